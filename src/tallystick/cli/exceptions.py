"""`tallystick exceptions`: the work queue from a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from tallystick.cli.application import WORK, app
from tallystick.cli.failure import WrongUse
from tallystick.cli.hub import DEFAULT_URL, Limit, Url, Version, open_hub
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
from tallystick.cli.transactions import print_timeline
from tallystick.control.exceptions import RootCause

commands = typer.Typer(help="Exceptions: what did not fit, for a person to decide.", no_args_is_help=True)
app.add_typer(commands, name="exceptions", rich_help_panel=WORK)

ExceptionId = Annotated[UUID, typer.Argument(metavar="EXCEPTION", help="The id in `exceptions list`.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the audit trail.")]
State = StrEnum("State", ["open", "resolved", "all"])
Sort = StrEnum("Sort", ["due", "money", "opened"])


@commands.command("list")
def list_queue(
    state: Annotated[State, typer.Option(help="Which ones.")] = State.open,
    kind: Annotated[str | None, typer.Option("--type", help="Such as order.held or commitment.dead_letter.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only those given to this person.")] = None,
    transaction: Annotated[UUID | None, typer.Option(help="Only this transaction's.")] = None,
    due_before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only those due before, in UTC.")
    ] = None,
    sort: Annotated[Sort, typer.Option(help="First due, most money at risk, or longest open.")] = Sort.due,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List the work queue, the first due first.

    Example: `tallystick exceptions list --type order.held --sort money`
    """
    due = due_before.replace(tzinfo=UTC).isoformat() if due_before else None
    with open_hub(url) as hub:
        items, more = hub.every(
            "/exceptions",
            limit,
            state=state.value,
            type=kind,
            owner=owner,
            transaction_id=transaction,
            due_before=due,
            sort=sort.value,
        )
    print_items(
        items,
        more,
        as_json,
        ("exception", "due", "type", "at risk", "owner", "summary"),
        lambda each: (
            each["id"],
            instant(each["due_at"]) if each["state"] == "open" else each["resolution"],
            each["type"],
            money(each["money_at_risk"], each["currency"]),
            each["owner"],
            each["summary"],
        ),
    )


@commands.command()
def show(exception: ExceptionId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one exception with its whole story: reasons, notes, every attempt, and what happened before."""
    with open_hub(url) as hub:
        found = hub.get(f"/exceptions/{exception}")
    if as_json:
        print_json(found)
        return
    print_record(
        {
            "exception": found["id"],
            "summary": found["summary"],
            "type": found["type"],
            "state": found["state"],
            "at risk": money(found["money_at_risk"], found["currency"]),
            "owner": found["owner"],
            "due": instant(found["due_at"]),
            "entity": found["entity"],
            "transaction": found["transaction_id"],
            "message": found["message_id"],
            "system": found["system"],
            "resolution": found["resolution"],
            "resolved by": found["resolved_by"],
            "because": found["resolution_reason"],
            "root cause": found["root_cause"],
            "version": found["version"],
        }
    )
    if found["reasons"]:
        print_heading("Reasons")
        print_rows(
            ("code", "where", "order says", "system says", "message"),
            [
                (each["code"], each["path"], each["order_value"], each["system_value"], each["message"])
                for each in found["reasons"]
            ],
        )
    if found["attempts"]:
        print_heading("Attempts")
        print_attempts(found["attempts"])
    if found["notes"]:
        print_heading("Notes")
        print_rows(
            ("at", "by", "action", "note"),
            [(instant(each["at"]), each["principal"], each["action"], each["note"]) for each in found["notes"]],
        )
    print_heading("Timeline")
    print_timeline(found["lineage"])


@commands.command()
def assign(
    exception: ExceptionId,
    owner: Annotated[str | None, typer.Argument(help="Who takes it; leave it out to put it back.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Give it to somebody, or back into the queue.

    Example: `tallystick exceptions assign 01938f2c-8f01-7a60-8a40-7f3ed8a1c0d2 jane.doe`
    """
    _act(url, exception, "assign", {"owner": owner}, version, as_json)


@commands.command()
def comment(exception: ExceptionId, text: str, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Add a comment to its story."""
    _act(url, exception, "comment", {"text": text}, None, as_json)


@commands.command()
def retry(exception: ExceptionId, version: Version = None, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Try again as it is: a held order is checked again, a dead letter replayed. Exit 1 when the order is held again."""
    _act(url, exception, "retry", {}, version, as_json)


@commands.command()
def amend(
    exception: ExceptionId,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="JSON: the corrected order of a held one, the edited payload of a dead letter.",
        ),
    ],
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the audit trail.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Correct it and try again; what was there before stays readable. Exit 1 when the order is held again."""
    document = read_document(file)
    with open_hub(url) as hub:
        held = hub.get(f"/exceptions/{exception}")["message_id"] is None
    body = {"order" if held else "payload": document, "reason": reason}
    _act(url, exception, "amend", body, version, as_json)


@commands.command()
def override(
    exception: ExceptionId,
    reason: Reason,
    code: Annotated[list[str] | None, typer.Option(help="Only these reason codes; default: all that hold it.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Let a held order pass in spite of its reasons. Exit 1 when something else holds it still.

    Example: `tallystick exceptions override 01938f2c-8f01-7a60-8a40-7f3ed8a1c0d2 --reason "price agreed with Ms Lee"`
    """
    _act(url, exception, "override", {"reason": reason, "codes": code or None}, version, as_json)


@commands.command()
def reject(
    exception: ExceptionId, reason: Reason, version: Version = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Send the order back to its channel, with the reason."""
    _act(url, exception, "reject", {"reason": reason}, version, as_json, wanted="reject")


@commands.command()
def resolve(
    exception: ExceptionId,
    reason: Reason,
    root_cause: Annotated[RootCause, typer.Option(help="What is to be mended, so that it does not come again.")],
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Close it: what was to be done was done elsewhere. A dead letter stays, for replay or discard."""
    body = {"reason": reason, "root_cause": root_cause.value}
    _act(url, exception, "resolve", body, version, as_json)


def read_document(file: Path) -> Any:
    """The JSON document in a file. Raises WrongUse."""
    try:
        return orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"{file}: not valid JSON: {error}") from None


def print_attempts(attempts: list[dict[str, Any]]) -> None:
    """Every failed attempt at a message."""
    print_rows(
        ("delivery", "at", "took", "failure", "code", "error"),
        [
            (
                each["delivery"],
                instant(each["at"]),
                f"{each['duration_ms']:.0f} ms" if each["duration_ms"] is not None else "",
                each["failure"],
                each["code"],
                each["error"],
            )
            for each in attempts
        ],
    )


def _act(
    url: str,
    exception: UUID,
    action: str,
    body: dict[str, Any],
    version: int | None,
    as_json: bool,
    wanted: str = "accept",
) -> None:
    """Ask for an action on the version that was seen, or the one it has now; exit 1 when the order came out otherwise."""
    with open_hub(url) as hub:
        if version is None and action != "comment":
            version = hub.get(f"/exceptions/{exception}")["version"]
        answer = hub.post(f"/exceptions/{exception}:{action}", body, version=version)
    if as_json:
        print_json(answer)
    else:
        reasons = "; ".join(each["message"] for each in answer.pop("reasons", ()))
        print_record({**answer, "because": reasons})
    raise typer.Exit(0 if answer.get("decision", wanted) == wanted else 1)
