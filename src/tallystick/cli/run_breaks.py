"""`tallystick runs breaks`: breaks over all runs of a reconciliation, and what people do about them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from tallystick.cli.hub import DEFAULT_URL, Limit, Url, Version, open_hub
from tallystick.cli.runs import Reason
from tallystick.cli.runs import commands as runs
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
from tallystick.control.exceptions import RootCause

commands = typer.Typer(help="Breaks as they stand, from run to run.", no_args_is_help=True)
runs.add_typer(commands, name="breaks")

BreakId = Annotated[UUID, typer.Argument(metavar="BREAK", help="The id in `runs breaks list`.")]
State = StrEnum("State", ["open", "accepted", "standing", "closed", "all"])
Sort = StrEnum("Sort", ["money", "age"])


@commands.command("list")
def list_standing(
    state: Annotated[State, typer.Option(help="Which ones; standing: open or accepted.")] = State.open,
    reconciliation: Annotated[str | None, typer.Option(help="Only those of this reconciliation.")] = None,
    of_class: Annotated[str | None, typer.Option("--class", help="Such as price or missing_right.")] = None,
    root_cause: Annotated[RootCause | None, typer.Option(help="What a person said, else the rules.")] = None,
    cause: Annotated[str | None, typer.Option(help="The specific cause that the rules found.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only those given to this person.")] = None,
    age_days: Annotated[int | None, typer.Option(min=0, help="Found first at least so many days ago.")] = None,
    money_at_least: Annotated[int | None, typer.Option(min=0, help="Money at risk, in minor units.")] = None,
    sort: Annotated[Sort, typer.Option(help="The most money, or the oldest first.")] = Sort.money,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List breaks, the most money at risk first.

    Example: `tallystick runs breaks list --class price --age-days 30`
    """
    query = {"class": of_class, "root_cause": root_cause.value if root_cause else None}
    with open_hub(url) as hub:
        items, more = hub.every(
            "/reconciliations/breaks",
            limit,
            state=state.value,
            reconciliation=reconciliation,
            cause=cause,
            owner=owner,
            age_days=age_days,
            money_at_least=money_at_least,
            sort=sort.value,
            **query,
        )
    print_items(
        items,
        more,
        as_json,
        ("break", "class", "key", "at risk", "days", "state", "owner", "cause", "explanation"),
        lambda each: (
            each["id"],
            each["class"],
            each["name"],
            money(each["money_at_risk"], each["currency"]),
            each["age_days"],
            each["state"],
            each["owner"],
            each["explained_kind"] or each["cause"],
            each["explanation"] or each["acceptance"],
        ),
    )


@commands.command()
def show(of: BreakId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one break: both sides, the evidence, and its story from run to run."""
    with open_hub(url) as hub:
        found = hub.get(f"/reconciliations/breaks/{of}")
    if as_json:
        print_json(found)
        return
    _print_break(found)
    print_heading("Sides")
    left, right = found["left_record"], found["right_record"]
    print_rows(("field", "left", "right"), [(name, left.get(name), right.get(name)) for name in {**left, **right}])
    print_heading("Runs")
    print_rows(
        ("run", "kept", "found", "at risk"),
        [
            (each["number"], instant(each["kept_at"]), each["found"], money(each["money_at_risk"], each["currency"]))
            for each in found["runs"]
        ],
    )
    if found["notes"]:
        print_heading("Notes")
        print_rows(
            ("at", "by", "action", "note"),
            [(instant(each["at"]), each["principal"], each["action"], each["note"]) for each in found["notes"]],
        )


def _print_break(found: dict[str, Any]) -> None:
    shown = (
        *("id", "reconciliation", "class", "name", "differs", "state", "resolution", "owner", "cause", "evidence"),
        *("correction", "explained_kind", "explanation", "explained_by", "acceptance", "accepted_by", "lapsed"),
    )
    print_record(
        {
            "at risk": money(found["money_at_risk"], found["currency"]),
            **{name.replace("_", " "): found[name] for name in shown},
            "found first": instant(found["first_run_at"]),
            "version": found["version"],
        }
    )


@commands.command()
def assign(
    of: BreakId,
    owner: Annotated[str | None, typer.Argument(help="Who takes it; leave it out to give it back.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Give it to somebody, who stays with it from run to run."""
    _work(url, of, "assign", {"owner": owner}, version, as_json)


@commands.command()
def explain(
    of: BreakId,
    text: Annotated[str, typer.Argument(help="What it comes from, in words.")],
    root_cause: Annotated[RootCause, typer.Option(help="What is to be mended, so that it does not come again.")],
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say what it comes from.

    Example: `tallystick runs breaks explain 01938f40-2222-7b33-9c44-1d2e3f4a5b6c "invoiced twice" --root-cause process_design`
    """
    _work(url, of, "explain", {"root_cause": root_cause.value, "text": text}, version, as_json)


@commands.command()
def accept(
    of: BreakId, reason: Reason, version: Version = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Let it be as it is; where a later run finds another amount it is open again."""
    _work(url, of, "accept", {"reason": reason}, version, as_json)


@commands.command()
def reopen(
    of: BreakId, reason: Reason, version: Version = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Take an acceptance back."""
    _work(url, of, "reopen", {"reason": reason}, version, as_json)


Reconciliation = Annotated[str, typer.Option(help="The reconciliation whose breaks are meant.")]
OfClass = Annotated[str | None, typer.Option("--class", help="Only these, such as price.")]
Cause = Annotated[str | None, typer.Option(help="Only those with this specific cause that the rules found.")]
Owner = Annotated[str | None, typer.Option(help="Only those given to this person.")]
AtMost = Annotated[int | None, typer.Option(min=0, help="Only with at most so much money at risk, in minor units.")]
OfCurrency = Annotated[str | None, typer.Option("--currency", help="Only those in this currency.")]
Entity = Annotated[str, typer.Option(help="Whose breaks.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many it would be, and change nothing.")]


@commands.command("explain-all")
def explain_all(
    text: Annotated[str, typer.Argument(help="What they come from, in words.")],
    root_cause: Annotated[RootCause, typer.Option(help="What is to be mended, so that it does not come again.")],
    reconciliation: Reconciliation,
    of_class: OfClass = None,
    cause: Cause = None,
    owner: Owner = None,
    money_at_most: AtMost = None,
    currency: OfCurrency = None,
    entity: Entity = "default",
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say what many come from that have no explanation: one cause is often behind thousands."""
    named = _named(entity, reconciliation, of_class, cause, owner, money_at_most, currency, dry_run)
    _work_many(url, "explain", {**named, "root_cause": root_cause.value, "text": text}, as_json)


@commands.command("accept-all")
def accept_all(
    reason: Reason,
    reconciliation: Reconciliation,
    of_class: OfClass = None,
    cause: Cause = None,
    owner: Owner = None,
    money_at_most: AtMost = None,
    currency: OfCurrency = None,
    entity: Entity = "default",
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Let many be as they are, such as all that are worth a few cents."""
    named = _named(entity, reconciliation, of_class, cause, owner, money_at_most, currency, dry_run)
    _work_many(url, "accept", {**named, "reason": reason}, as_json)


def _named(
    entity: str,
    reconciliation: str,
    of_class: str | None,
    cause: str | None,
    owner: str | None,
    money_at_most: int | None,
    currency: str | None,
    dry_run: bool,
) -> dict[str, Any]:
    fields = {"class": of_class, "cause": cause, "owner": owner, "money_at_most": money_at_most, "currency": currency}
    return {"entity": entity, "reconciliation": reconciliation, **fields, "dry_run": dry_run}


def _work_many(url: str, action: str, body: dict[str, Any], as_json: bool) -> None:
    with open_hub(url) as hub:
        answer = hub.post(f"/reconciliations/breaks:{action}", body)
    if as_json:
        print_json(answer)
    else:
        print_record({name.replace("_", " "): count for name, count in answer.items()})


def _work(url: str, of: UUID, action: str, body: dict[str, Any], version: int | None, as_json: bool) -> None:
    with open_hub(url) as hub:
        if version is None:
            version = hub.get(f"/reconciliations/breaks/{of}")["version"]
        answer = hub.post(f"/reconciliations/breaks/{of}:{action}", body, version=version)
    if as_json:
        print_json(answer)
    else:
        _print_break(answer)
