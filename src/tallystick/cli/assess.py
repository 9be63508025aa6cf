"""`tallystick assess`: two exports that should agree, read without configuration, and a report of where and why they don't."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.application import BOOKS, app
from tallystick.cli.failure import CommandFailed, WrongUse
from tallystick.cli.terminal import AsJson, errors, money, print_heading, print_json, print_rows, tell

if TYPE_CHECKING:
    from tallystick.books.assessment.assessed import Assessment

Sales = Annotated[str, typer.Argument(help="Orders, or whatever sales promised: a file, or files as 'orders-*.csv'.")]
Finance = Annotated[str, typer.Argument(help="Invoices, or whatever finance booked of it.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the report; it is made where it is missing.")]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", help="Says which column is what; one to correct is written into --out.")
]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="Day from which breaks are aged; default: today."),
]
Memory = Annotated[str, typer.Option("--memory", help="What the engine may take; the rest spills to disk.")]
_SHOWN = 5


@app.command(rich_help_panel=BOOKS)
def assess(
    sales: Sales,
    finance: Finance,
    out: Out = Path("assessment"),
    mapping: MappingFile = None,
    as_of: AsOf = None,
    memory: Memory = "1200MB",
    as_json: AsJson = False,
) -> None:
    """Compare two exports, and write what breaks between them, why, and the money at risk.

    Reads CSV, Parquet and Excel; finds out layout and columns by itself, and says how sure it is.
    Writes report.html, breaks.xlsx, breaks.parquet, summary.json and mapping.toml.
    Exit 0 when the report was written, whatever it found; 2 when a file can't be read or nothing in both names the same; 130 when
    interrupted: then nothing was written; 1 when the engine gives up, for want of memory or disk.
    Example: tallystick assess orders.csv invoices.xlsx --out report
    """
    import duckdb
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from tallystick.books.assessment.assessment import STEPS, assess
    from tallystick.books.assessment.mapping import read_mapping
    from tallystick.books.reconciliation.engine import EngineError
    from tallystick.books.reconciliation.outcome import NotConserved
    from tallystick.books.sources import SourceError
    from tallystick.books.sources.engine import interruptible

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        said = read_mapping(mapping) if mapping else None
        with (
            interruptible(),
            Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress,
        ):
            task = progress.add_task("", total=STEPS)
            found = assess(
                sales,
                finance,
                out,
                said=said,
                today=as_of.date() if as_of else None,
                memory=memory,
                step=lambda what: progress.update(task, advance=1, description=what),
            )
    except KeyboardInterrupt:
        tell("interrupted; nothing was written")
        raise typer.Exit(130) from None
    except SourceError as error:
        raise WrongUse(str(error)) from error
    except (EngineError, duckdb.Error) as error:
        raise CommandFailed(f"the engine could not do it: {str(error).partition(chr(10))[0]}") from error
    except NotConserved as error:
        raise CommandFailed(f"{error}; this is a mistake of Tallystick's own, please report it") from error
    except OSError as error:
        raise WrongUse(f"{out} can't be written: {error.strerror or error}") from error
    if as_json:
        print_json(found.summary())
    else:
        _show(found, out)


def _show(found: Assessment, out: Path) -> None:
    print_heading("Which column is what")
    print_rows(
        ("role", "sales", "finance", "sure", "why"),
        [
            (each.role, " + ".join(each.sales), " + ".join(each.finance), f"{each.confidence:.0%}", each.evidence)
            for each in found.roles.proposed
        ],
    )
    print_heading("Where the rows went")
    print_rows(
        ("side", "rows", "matched", "broken", "quarantined"),
        [(each.name, each.rows_in, each.matched, each.broken, each.quarantined) for each in found.matched.sides],
    )
    for name, values in found.matched.quarantined.items():
        for each in values[:_SHOWN]:
            where = f"{each.file}, row {each.row}" + (f", {each.column}" if each.column else "")
            tell(f"quarantined in {name}: {where}: {each.reason} (got {each.value!r})")
        if len(values) > _SHOWN:
            tell(f"and {len(values) - _SHOWN} more values of {name}: see the report")
    print_heading("Why, and what it puts at risk")
    print_rows(
        ("cause", "kind", "breaks", "at risk", "share", "what to do"),
        [
            (
                each.name,
                each.kind,
                each.breaks,
                money(each.money_at_risk, each.currency),
                f"{each.share:.0%}",
                each.correction,
            )
            for each in found.findings.causes
        ],
        empty="nothing breaks",
    )
    for note in found.matched.notes:
        tell(note)
    tell(f"the report is in {out / 'report.html'}")
