"""`tallystick cash suggestions`: what cash application would not do by itself, for a person to accept or refuse."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from tallystick.cli.cash import commands as cash
from tallystick.cli.failure import WrongUse
from tallystick.cli.hub import DEFAULT_URL, Limit, Url, Version, open_hub
from tallystick.cli.terminal import AsJson, money, print_heading, print_items, print_json, print_record, print_rows

commands = typer.Typer(help="Bank lines for a person to decide.", no_args_is_help=True)
cash.add_typer(commands, name="suggestions")

LineId = Annotated[UUID, typer.Argument(metavar="LINE", help="The id in `cash suggestions list`.")]
State = StrEnum("State", ["open", "suggested", "unidentified", "posting", "posted", "refused", "all"])


@commands.command("list")
def list_lines(
    state: Annotated[State, typer.Option(help="Which ones; open: those to decide.")] = State.open,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List received bank lines, by default those that a person must decide."""
    with open_hub(url) as hub:
        items, more = hub.every("/cash/lines", limit, state=state.value)
    print_items(
        items,
        more,
        as_json,
        ("line", "paid", "amount", "from", "state", "rule", "invoices", "rivals", "evidence"),
        lambda each: (
            each["id"],
            each["paid_on"],
            money(each["amount"], each["currency"]),
            each["payer"] or each["customer_id"],
            each["state"],
            each["rule"],
            ", ".join(part["number"] for part in each["proposals"][0]["allocations"]) if each["proposals"] else "",
            each["rivals"] or "",
            each["proposals"][0]["evidence"] if each["proposals"] else each["remittance"],
        ),
    )


@commands.command()
def show(line: LineId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one line with every suggestion by its rank."""
    with open_hub(url) as hub:
        found = hub.get(f"/cash/lines/{line}")
    if as_json:
        print_json(found)
        return
    shown = (
        "id",
        "state",
        "paid_on",
        "payer",
        "payer_account",
        "remittance",
        "customer_id",
        "doubt",
        "reference",
        "version",
    )
    print_record({"amount": money(found["amount"], found["currency"]), **{each: found[each] for each in shown}})
    if found["proposals"]:
        print_heading("Suggestions")
        print_rows(("choice", "rule", "invoices", "evidence"), list(_ranked(found)))


def _ranked(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    currency = found["currency"]
    return [
        (
            rank,
            each["rule"],
            ", ".join(f"{part['number']} {money(part['amount'], currency)}" for part in each["allocations"]),
            each["evidence"],
        )
        for rank, each in enumerate(found["proposals"], 1)
    ]


@commands.command()
def accept(
    line: LineId,
    choice: Annotated[int | None, typer.Option(min=1, help="A suggestion by its rank; default: the first.")] = None,
    invoice: Annotated[
        list[str] | None,
        typer.Option(help="By hand: CUSTOMER:INVOICE:AMOUNT in minor units; may be repeated.", metavar="C:I:AMOUNT"),
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Whose account the rest belongs on.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the audit trail.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Have it booked in the ERP: by a suggestion, or by hand.

    Example: tallystick cash suggestions accept 01938f30-2c33-7f44-9a55-6b7c8d9e0fa1 --choice 2
    """
    by_hand = [_allocation(each) for each in invoice or ()]
    if choice is not None and by_hand:
        raise WrongUse("--choice takes a suggestion as it is; leave out --invoice")
    if choice is None and not by_hand and customer is None:
        choice = 1
    body = {"choice": choice, "allocations": by_hand, "customer_id": customer, "reason": reason}
    _decide(url, line, "accept", body, version, as_json)


def _allocation(text: str) -> dict[str, Any]:
    customer, _, rest = text.partition(":")
    number, _, amount = rest.rpartition(":")
    if not (customer and number and amount.isascii() and amount.isdigit()):
        raise WrongUse(f"--invoice: {text!r} is not CUSTOMER:INVOICE:AMOUNT with the amount in minor units")
    return {"customer_id": customer, "invoice_number": number, "amount": int(amount)}


@commands.command()
def refuse(
    line: LineId,
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit trail.")],
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Leave it to be dealt with elsewhere; nothing of it is booked from here."""
    _decide(url, line, "refuse", {"reason": reason}, version, as_json)


def _decide(url: str, line: UUID, action: str, body: dict[str, Any], version: int | None, as_json: bool) -> None:
    with open_hub(url) as hub:
        if version is None:
            version = hub.get(f"/cash/lines/{line}")["version"]
        answer = hub.post(f"/cash/lines/{line}:{action}", body, version=version)
    if as_json:
        print_json(answer)
    else:
        print_record(answer)
