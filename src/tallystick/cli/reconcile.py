"""`tallystick reconcile`: two sides by written rules; what agrees, what breaks, why, and what money is at risk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.application import BOOKS, SettingsFile, app
from tallystick.cli.failure import CommandFailed, WrongUse
from tallystick.cli.run_keeping import keeper_of
from tallystick.cli.terminal import AsJson, complain, errors, money, print_heading, print_json, print_rows, tell

if TYPE_CHECKING:
    from tallystick.books.reconciliation.outcome import Explanation, Outcome, Tally
    from tallystick.books.reconciliation.rules import Rules

LIMITS_PASSED = 3


@app.command(rich_help_panel=BOOKS)
def reconcile(
    rules: Annotated[str, typer.Argument(help="A rules file, or the name of a rule set.", metavar="RULES")] = "",
    left: Annotated[str, typer.Argument(help="File or pattern of the left side, instead of the rules'.")] = "",
    right: Annotated[str, typer.Argument(help="File or pattern of the right side, instead of the rules'.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for breaks, quarantine and summary.")] = None,
    explain: Annotated[str | None, typer.Option("--explain", help="Tell how this key was matched, or not.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the rule sets that come with Tallystick.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the rule set, to copy and change.")] = False,
    memory: Annotated[str, typer.Option("--memory", help="Memory to use at most; the rest spills to disk.")] = "1200MB",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads; default: all cores.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the run and carry its breaks over; needs a key.")] = False,
    entity: Annotated[str, typer.Option("--entity", help="Whose run it is, with --keep.")] = "default",
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Reconcile two sides by the rules of a file or a rule set.

    Exit codes: 0 done, 1 the result can't be trusted, 2 wrong rules or sources, 3 a limit of the rules was passed, 130
    interrupted. Example: tallystick reconcile orders-to-invoices orders.csv invoices.csv --out result
    """
    if listed:
        _list_rule_sets(as_json)
        return
    if not rules:
        raise WrongUse("name a rules file or a rule set; --list shows the rule sets")
    if show:
        from tallystick.books.reconciliation.rule_sets import text_of

        with _failures():
            typer.echo(text_of(rules), nl=False)
        return
    from tallystick.books.reconciliation.run import Options
    from tallystick.books.reconciliation.run import reconcile as run

    with _failures():
        loaded, folder = _rules(rules, left, right)
        hub = _hub_url(settings) if loaded.left.hub or loaded.right.hub else None
        keeper = keeper_of(settings, entity, rules) if keep else None
        options = Options(folder, out, memory, threads, hub, explain, keeper.keep if keeper else None)
        with _progress(as_json) as step:
            outcome = run(loaded, options, step)
    if as_json:
        print_json({**outcome.summary(), **(keeper.told() if keeper else {})})
    else:
        _print(outcome)
        if keeper:
            keeper.tell()
    for each in outcome.passed_limits():
        complain(each)
    raise typer.Exit(LIMITS_PASSED if outcome.passed_limits() else 0)


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong, as the command line says it."""
    from tallystick.books.reconciliation.engine import EngineError
    from tallystick.books.reconciliation.outcome import NotConserved
    from tallystick.books.reconciliation.rules_file import RulesError
    from tallystick.books.sources.failure import SourceError

    try:
        yield
    except RulesError as error:
        first, *others = str(error).splitlines()
        for each in [first, *others][:-1]:
            complain(each)
        raise WrongUse([first, *others][-1]) from None
    except SourceError as error:
        raise WrongUse(str(error)) from None
    except EngineError as error:
        raise CommandFailed(f"the engine could not do it: {error}") from None
    except NotConserved as error:
        raise CommandFailed(f"{error}; this is a mistake of Tallystick's own, please report it") from None
    except KeyboardInterrupt:
        tell("interrupted; nothing was kept")
        raise typer.Exit(130) from None


def _rules(name: str, left: str, right: str) -> tuple[Rules, Path]:
    """The rules, with the sides' files where the command names them, and the folder from which files are sought."""
    from tallystick.books.reconciliation.rule_sets import rule_set
    from tallystick.books.reconciliation.rules_file import load_rules

    path = Path(name)
    loaded = load_rules(path) if path.suffix == ".toml" or path.exists() else rule_set(name)
    changes = {}
    for side, file in (("left", left), ("right", right)):
        if file:
            here = {"source": str(Path.cwd() / file), "database": None, "hub": None, "table": None, "query": None}
            changes[side] = getattr(loaded, side).model_copy(update=here)
    return loaded.model_copy(update=changes), path.parent if path.exists() else Path.cwd()


def _hub_url(settings: Path | None) -> str:
    from tallystick.settings import load_settings
    from tallystick.store.embedded import database_url

    return database_url(load_settings(settings))


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What is being done, on a terminal; nothing where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=errors, transient=True
    ) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what: bar.update(task, description=what)


def _list_rule_sets(as_json: bool) -> None:
    from tallystick.books.reconciliation.rule_sets import names, rule_set

    found = [(name, rule_set(name).description) for name in names()]
    if as_json:
        print_json({"rule_sets": [{"name": name, "description": text} for name, text in found]})
    else:
        print_rows(("rule set", "what it does"), found)


def _print(outcome: Outcome) -> None:
    sides = (outcome.left, outcome.right)
    print_rows(
        ("side", "rows in", "matched", "broken", "quarantined", "left out"),
        [(each.name, each.rows_in, each.matched, each.broken, each.quarantined, each.left_out) for each in sides],
    )
    names = [each.name for each in outcome.rules.matches]
    print_heading("Matched")
    print_rows(
        ("rule", "left rows", "right rows", "left amount", "right amount"),
        [
            (
                names[each.rule],
                each.left_rows,
                each.right_rows,
                money(each.left_amount, each.currency),
                money(each.right_amount, each.currency),
            )
            for each in outcome.agreed
        ],
        empty="nothing matched",
    )
    for title, tallies in (("Breaks", outcome.classes), ("Root causes", outcome.causes)):
        print_heading(title)
        print_rows(
            ("what", "kind", "breaks", "money at risk", "left less right"),
            [_tally_row(each) for each in tallies],
            empty="none",
        )
    if outcome.quarantine_reasons:
        print_heading("Quarantined")
        print_rows(("what", "values"), outcome.quarantine_reasons.items())
    for note in outcome.notes:
        tell(note)
    if outcome.explanation:
        _print_explanation(outcome.explanation)
    if outcome.files:
        tell(f"written: {', '.join(str(each) for each in outcome.files)}")


def _tally_row(tally: Tally) -> tuple[object, ...]:
    at_risk, difference = money(tally.money_at_risk, tally.currency), money(tally.amount_difference, tally.currency)
    return tally.name, tally.kind, tally.breaks, at_risk, difference


def _print_explanation(story: Explanation) -> None:
    print_heading(f"How {story.key} was matched, or not")
    fields = ("side", "row", "key", "party", "date", "amount", "quantity", "price", "status")
    shown = [{**row, "amount": money(row.get("amount"), row.get("currency"))} for row in story.rows]
    print_rows(fields, [[row.get(each) for each in fields] for row in shown], empty="no row has this key")
    for number, looked in enumerate(story.rules, start=1):
        typer.echo(f"\nrule {number}, {looked.rule}: {looked.said}")
        if looked.candidates:
            print_rows(list(looked.candidates[0]), [list(each.values()) for each in looked.candidates])
    for line in story.end:
        typer.echo(f"\n{line}")
