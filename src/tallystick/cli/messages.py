"""`tallystick messages`: what waits, what is dead, and the way back."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from tallystick.cli.application import OPERATE, app
from tallystick.cli.exceptions import print_attempts, read_document
from tallystick.cli.failure import WrongUse
from tallystick.cli.hub import DEFAULT_URL, Hub, Limit, Url, open_hub
from tallystick.cli.terminal import AsJson, instant, print_heading, print_items, print_json, print_record

commands = typer.Typer(help="Messages: what waits to be delivered, and what is dead.", no_args_is_help=True)
app.add_typer(commands, name="messages", rich_help_panel=OPERATE)

State = StrEnum("State", ["ready", "parked", "dead"])
Stage = Annotated[str | None, typer.Option(help="Only of this stage, such as commitment.")]
System = Annotated[str | None, typer.Option(help="Only to this system.")]
Kind = Annotated[str | None, typer.Option(help="Only of this kind, such as commit_order.")]
OfTransaction = Annotated[UUID | None, typer.Option("--transaction", help="Only of this transaction.")]
MessageId = Annotated[UUID, typer.Argument(metavar="MESSAGE", help="The id in `messages list`.")]
OneMessage = Annotated[UUID | None, typer.Argument(metavar="[MESSAGE]", help="One dead letter; or name a filter.")]
EveryOne = Annotated[bool, typer.Option("--all", help="Every dead letter, with no filter at all.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many it would be.")]
_MOST = 10_000


@commands.command("list")
def list_live(
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    stage: Stage = None,
    system: System = None,
    kind: Kind = None,
    transaction: OfTransaction = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List live messages in their order: waiting, in flight, dead. A delivered one is in its transaction's timeline.

    Example: `tallystick messages list --state dead --system erp`
    """
    with open_hub(url) as hub:
        wanted = _filter(stage, system, kind, transaction)
        items, more = hub.every("/messages", limit, state=state.value if state else None, **wanted)
    print_items(
        items,
        more,
        as_json,
        ("message", "state", "stage", "system", "kind", "attempts", "due", "last failure"),
        lambda each: (
            each["id"],
            "in flight" if each["claimed_by"] else each["state"],
            each["stage"],
            each["system"],
            each["kind"],
            each["attempts"],
            instant(each["available_at"]),
            (each["last_failure"] or {}).get("message"),
        ),
    )


@commands.command()
def depths(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Say how many messages wait, are in flight and dead, by stage and system."""
    with open_hub(url) as hub:
        items = hub.get("/messages:depths")["items"]
    print_items(
        items,
        False,
        as_json,
        ("stage", "system", "waiting", "in flight", "dead", "oldest"),
        lambda each: (
            each["stage"],
            each["system"],
            each["waiting"],
            each["in_flight"],
            each["dead"],
            f"{each['oldest_seconds']:.0f} s" if each["oldest_seconds"] is not None else "",
        ),
    )


@commands.command()
def show(message: MessageId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one live message with its payload and every failed attempt."""
    with open_hub(url) as hub:
        found = hub.get(f"/messages/{message}")
    if as_json:
        print_json(found)
        return
    attempts = found.pop("attempts_made")
    print_record({name.replace("_", " "): value for name, value in found.items()})
    if attempts:
        print_heading("Attempts")
        print_attempts(attempts)


@commands.command()
def replay(
    message: OneMessage = None,
    payload: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="JSON to send instead of the message's own payload."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the audit trail.")] = None,
    stage: Stage = None,
    system: System = None,
    kind: Kind = None,
    transaction: OfTransaction = None,
    every: EveryOne = False,
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Deliver one dead letter again, or all that a filter names (at most 10,000 at once).

    Example: `tallystick messages replay --system erp --dry-run`
    """
    wanted = _filter(stage, system, kind, transaction)
    _check_target(message, wanted, every)
    with open_hub(url) as hub:
        if message:
            if dry_run:
                raise WrongUse(
                    "--dry-run goes with a filter; look at one message with: tallystick messages show MESSAGE"
                )
            answer = hub.post(
                f"/messages/{message}:replay", {"payload": payload and read_document(payload), "reason": reason}
            )
        elif payload:
            raise WrongUse("--payload goes with one MESSAGE")
        else:
            answer = hub.post("/messages:replay", {**wanted, "dry_run": dry_run, "reason": reason})
    _show(answer, as_json)


@commands.command()
def discard(
    message: OneMessage = None,
    reason: Annotated[
        str | None, typer.Option(help="Why; it stands in the audit trail. Needed unless --dry-run.")
    ] = None,
    stage: Stage = None,
    system: System = None,
    kind: Kind = None,
    transaction: OfTransaction = None,
    every: EveryOne = False,
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Give up one dead letter for good, or all that a filter names; what waited behind them flows on.

    Example: `tallystick messages discard --transaction 01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1 --reason "booked by hand"`
    """
    wanted = _filter(stage, system, kind, transaction)
    _check_target(message, wanted, every)
    if not (reason or dry_run):
        raise WrongUse("--reason is missing: discarding is for good, say why")
    with open_hub(url) as hub:
        ids = [str(message)] if message else _dead(hub, wanted)
        if dry_run:
            _show({"would_discard": len(ids)}, as_json)
            return
        done = sum(hub.post(f"/messages/{each}:discard", {"reason": reason})["discarded"] for each in ids)
    _show({"discarded": done}, as_json)


def _filter(stage: str | None, system: str | None, kind: str | None, transaction: UUID | None) -> dict[str, str]:
    named = {
        "stage": stage,
        "system": system,
        "kind": kind,
        "transaction_id": str(transaction) if transaction else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _check_target(message: UUID | None, wanted: dict[str, str], every: bool) -> None:
    """One message, a filter, or everything: exactly one of them. Raises WrongUse."""
    if (message is not None) + bool(wanted) + every != 1:
        raise WrongUse("name one MESSAGE, or a filter (--stage, --system, --kind, --transaction), or --all")


def _dead(hub: Hub, wanted: dict[str, str]) -> list[str]:
    items, _ = hub.every("/messages", _MOST, state="dead", **wanted)
    return [each["id"] for each in items]


def _show(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_record({name.replace("_", " "): count for name, count in answer.items()})
