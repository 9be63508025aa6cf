"""`tallystick runs`: kept reconciliations, what they read and found, and the closing of periods."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from tallystick.cli.application import BOOKS, app
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

commands = typer.Typer(
    help="Kept reconciliations (reconcile --keep): runs, breaks, and periods that two people close.",
    no_args_is_help=True,
)
app.add_typer(commands, name="runs", rich_help_panel=BOOKS)

RunId = Annotated[UUID, typer.Argument(metavar="RUN", help="The id in `runs list`.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the audit trail.")]
State = StrEnum("State", ["kept", "prepared", "signed_off"])


@commands.command("list")
def list_kept(
    reconciliation: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    period: Annotated[str | None, typer.Option(help="Only those of this period, such as 2026-10.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List kept runs, the newest first."""
    with open_hub(url) as hub:
        items, more = hub.every(
            "/reconciliations/runs",
            limit,
            reconciliation=reconciliation,
            state=state.value if state else None,
            period=period,
        )
    print_items(
        items,
        more,
        as_json,
        ("run", "reconciliation", "number", "kept", "by", "breaks", "new", "closed", "state", "period"),
        lambda each: (
            each["id"],
            each["reconciliation"],
            each["number"],
            instant(each["kept_at"]),
            each["run_by"],
            each["breaks"],
            each["carried"]["new"],
            each["carried"]["matched"] + each["carried"]["differs_otherwise"],
            each["state"],
            each["period"],
        ),
    )


@commands.command()
def show(run: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one run: its inputs with their hashes, where the rows went, and its period."""
    with open_hub(url) as hub:
        found = hub.get(f"/reconciliations/runs/{run}")
    if as_json:
        print_json(found)
        return
    _print_run(found)
    print_heading("Inputs")
    print_rows(
        ("side", "name", "rows", "SHA-256"),
        [(each["side"], each["name"], each["rows"], each["sha256"] or "not a file") for each in found["inputs"]],
    )
    print_heading("Rows")
    print_rows(
        ("side", "rows in", "matched", "broken", "quarantined", "left out"),
        [
            [each[name] for name in ("name", "rows_in", "matched", "broken", "quarantined", "left_out")]
            for each in found["summary"]["sides"].values()
        ],
    )
    print_heading("Breaks carried over")
    print_record({name.replace("_", " "): count for name, count in found["carried"].items()})


def _print_run(found: dict[str, Any]) -> None:
    names = ("id", "reconciliation", "number", "entity", "run_by", "breaks", "rules_version", "rules_hash", "state")
    unexplained = found["unexplained"] or {"breaks": None, "money": {}}
    print_record(
        {
            **{name.replace("_", " "): found[name] for name in names},
            "kept": instant(found["kept_at"]),
            "period": found["period"],
            "statement": found["statement"],
            "unexplained": unexplained["breaks"],
            "unexplained money": ", ".join(money(amount, code) for code, amount in unexplained["money"].items()),
            "prepared": _by(found, "prepared"),
            "signed off": _by(found, "signed"),
            "reopened": _by(found, "reopened"),
            "because": found["reopen_reason"],
            "version": found["version"],
        }
    )


def _by(found: dict[str, Any], what: str) -> str | None:
    return f"{found[f'{what}_by']}, {instant(found[f'{what}_at'])}" if found[f"{what}_by"] else None


@commands.command()
def found(run: RunId, limit: Limit = 50, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List what a run found, the most money first; of a prepared or signed-off run as each break stood then."""
    with open_hub(url) as hub:
        items, more = hub.every(f"/reconciliations/runs/{run}/breaks", limit)
    print_items(
        items,
        more,
        as_json,
        ("break", "class", "key", "at risk", "found", "state", "owner", "cause", "explanation"),
        lambda each: (
            each["break_id"],
            each["class"],
            each["name"],
            money(each["money_at_risk"], each["currency"]),
            each["found"],
            each["state"],
            each["owner"],
            each["explained_kind"] or each["cause"],
            each["explanation"] or each["acceptance"],
        ),
    )


@commands.command()
def verify(
    run: RunId,
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="The files that it read.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Tell whether files are those that a run read, byte for byte. Exit 1 when one is not, or is missing."""
    from tallystick.books.runs.inputs import compare

    with open_hub(url) as hub:
        inputs = hub.get(f"/reconciliations/runs/{run}")["inputs"]
    try:
        verdicts = compare(inputs, files)
    except OSError as error:
        raise WrongUse(f"{error.filename}: it cannot be read ({error.strerror})") from None
    good = all(each.verdict in ("same", "unhashed") for each in verdicts)
    if as_json:
        print_json({"verified": good, "inputs": [asdict(each) for each in verdicts]})
    else:
        print_rows(
            ("side", "name", "verdict", "SHA-256 on record", "SHA-256 now"),
            [(each.side, each.name, each.verdict, each.kept, each.now) for each in verdicts],
        )
    raise typer.Exit(0 if good else 1)


@commands.command()
def prepare(
    run: RunId,
    period: Annotated[str, typer.Option(help="Year and month, such as 2026-10.")],
    statement: Annotated[str | None, typer.Option(help="What you have to say about it.")] = None,
    most_breaks: Annotated[
        int | None, typer.Option(min=0, help="Open breaks that may have no explanation; default: none.")
    ] = None,
    most_money: Annotated[
        int | None, typer.Option(min=0, help="Money at risk in them, in minor units of each currency.")
    ] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """State that a run is ready to be signed off for a period.

    Example: `tallystick runs prepare 01938f40-1111-7a22-8b33-0c1d2e3f4a5b --period 2026-10 --most-breaks 5`
    """
    body = {"period": period, "statement": statement, "most_breaks": most_breaks, "most_money": most_money}
    _close(url, run, "prepare", body, version, as_json)


@commands.command("sign-off")
def sign_off(
    run: RunId,
    reason: Annotated[str | None, typer.Option(help="What you have to say about it.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Close the period of a prepared run, as another person than the one who prepared it."""
    _close(url, run, "sign-off", {"reason": reason}, version, as_json)


@commands.command()
def reopen(
    run: RunId, reason: Reason, version: Version = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Open a period again that was signed off; for admins."""
    _close(url, run, "reopen", {"reason": reason}, version, as_json)


def _close(url: str, run: UUID, action: str, body: dict[str, Any], version: int | None, as_json: bool) -> None:
    with open_hub(url) as hub:
        if version is None:
            version = hub.get(f"/reconciliations/runs/{run}")["version"]
        answer = hub.post(f"/reconciliations/runs/{run}:{action}", body, version=version)
    if as_json:
        print_json(answer)
    else:
        _print_run(answer)
