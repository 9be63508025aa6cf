"""`tallystick transactions`: search, and one with its states, documents and everything that happened to it in order."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from tallystick.cli.application import WORK, app
from tallystick.cli.hub import DEFAULT_URL, Limit, TransactionName, Url, open_hub
from tallystick.cli.terminal import (
    AsJson,
    instant,
    money,
    print_heading,
    print_items,
    print_json,
    print_record,
    print_rows,
)
from tallystick.documents.transaction import CommitmentState, IntakeState

commands = typer.Typer(help="Transactions: the order-to-cash chain of each order.", no_args_is_help=True)
app.add_typer(commands, name="transactions", rich_help_panel=WORK)
_STAGES = ("intake", "commitment", "fulfilment", "invoicing", "settlement", "returns")
_AMOUNTS = ("ordered", "tax", "shipped", "invoiced", "credited", "paid")


@commands.command("list")
def list_all(
    search: Annotated[
        str | None, typer.Option(help="An id, order number, PO, customer id or reference of any system.")
    ] = None,
    intake: Annotated[IntakeState | None, typer.Option(help="Only those in this state.")] = None,
    commitment: Annotated[CommitmentState | None, typer.Option(help="Only those in this state.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List transactions, the newest first.

    Example: `tallystick transactions list --intake held --customer C-100`
    """
    with open_hub(url) as hub:
        items, more = hub.every(
            "/transactions", limit, search=search, intake=intake, commitment=commitment, customer_id=customer
        )
    columns = ("transaction", "order", "customer", *_STAGES[:-1], "ordered", "created")
    print_items(
        items,
        more,
        as_json,
        columns,
        lambda each: (
            each["id"],
            each["order_number"],
            each["customer_id"],
            *(each[stage] for stage in _STAGES[:-1]),
            money(each["ordered_amount"], each["currency"]),
            instant(each["created_at"]),
        ),
    )


@commands.command()
def show(transaction: TransactionName, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show a transaction: its states and amounts, its documents, and its whole story as a timeline.

    Example: `tallystick transactions show W-10023`
    """
    with open_hub(url) as hub:
        found = hub.transaction(transaction)
        lineage = hub.get(f"/transactions/{found['id']}/lineage")["items"]
        kept = hub.get(f"/transactions/{found['id']}/documents")
    if as_json:
        print_json({"transaction": found, "lineage": lineage, **kept})
        return
    print_record(
        {
            "transaction": found["id"],
            "order": f"{found['order_number']} of channel {found['channel']}, entity {found['entity']}",
            "customer": found["customer_id"],
            "customer's PO": found["customer_po"],
            "ERP reference": found["erp_reference"],
            **{stage: found[stage] for stage in _STAGES},
            **{name: money(found[f"{name}_amount"], found["currency"]) for name in _AMOUNTS},
            "version": f"{found['version']}, order revision {found['order_revision']}",
        }
    )
    print_heading("Documents")
    print_rows(
        ("type", "number", "revision", "from", "at"),
        [(each["type"], each["number"], each["revision"], each["system"], instant(each["created_at"]))
         for each in kept["documents"]],
    )  # fmt: skip
    if kept["cross_references"]:
        print_heading("Known elsewhere as")
        print_rows(
            ("system", "kind", "reference", "ours"),
            [
                (each["system"], each["kind"], each["reference"], each["our_number"])
                for each in kept["cross_references"]
            ],
        )
    print_heading("Timeline")
    print_timeline(lineage)


def print_timeline(lineage: list[dict[str, Any]]) -> None:
    """Every fact in order, with the time since the first."""
    if not lineage:
        return
    began = datetime.fromisoformat(lineage[0]["at"])
    print_rows(
        ("at", "after", "stage", "fact", "system", "took", "by", "detail"),
        [
            (
                instant(each["at"]),
                _elapsed((datetime.fromisoformat(each["at"]) - began).total_seconds()),
                each["stage"],
                each["fact"],
                each["system"],
                f"{each['duration_ms']:.1f} ms" if each["duration_ms"] is not None else "",
                each["actor"],
                _brief(each["detail"]),
            )
            for each in lineage
        ],
    )


def _elapsed(seconds: float) -> str:
    if seconds < 60:
        return f"+{seconds:.3f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{seconds:02}"


def _brief(detail: dict[str, Any] | None) -> str:
    """What is plain in a fact's detail; the whole of it is in --json."""
    plain = {name: value for name, value in (detail or {}).items() if isinstance(value, str | int)}
    reasons = (detail or {}).get("reasons")
    if isinstance(reasons, list) and all(isinstance(each, str) for each in reasons) and reasons:
        plain["reasons"] = ", ".join(reasons)
    return ", ".join(f"{name} {value}" for name, value in plain.items())
