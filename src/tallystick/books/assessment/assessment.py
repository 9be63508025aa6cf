"""An assessment from beginning to end: examine two files, propose what their columns are, reconcile, and write what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from tallystick.books.assessment.assessed import Assessment
from tallystick.books.assessment.findings import LISTED, find
from tallystick.books.assessment.mapping import Mapping, SideMapping, write_mapping
from tallystick.books.assessment.matching import match
from tallystick.books.assessment.report import write_report
from tallystick.books.assessment.roles import propose_roles
from tallystick.books.assessment.workbook import write_workbook
from tallystick.books.reconciliation.engine import DEFAULT_MEMORY, open_engine
from tallystick.books.sources import Source, SourceError, examine
from tallystick.books.sources.engine import literal

STEPS = 15
"""About as many steps as `step` is told of."""


def assess(
    sales: str,
    finance: str,
    out: Path,
    *,
    said: Mapping | None = None,
    today: date | None = None,
    memory: str = DEFAULT_MEMORY,
    step: Callable[[str], None] = lambda what: None,
) -> Assessment:
    """Assess two exports and write report.html, breaks.xlsx, breaks.parquet, summary.json and mapping.toml into `out`.

    `said` corrects what would be proposed; `today` is the day from which breaks are aged. Raises SourceError, in one line,
    for what a person can put right; then nothing is written.
    """
    said, today = said or Mapping(), today or date.today()  # noqa: DTZ011  # the day where the person is
    step("examining sales")
    with examine(sales, said.sales.read) as left:
        step("examining finance")
        with examine(finance, said.finance.read) as right, open_engine(memory) as engine:
            for side in (left, right):
                _must_hold_rows(side)
            step("finding out what the columns are")
            roles = propose_roles(engine.connection, left, right, said)
            matched = match(engine, (left, right), roles, step)
            step("summing up")
            mapping = roles.mapping
            findings = find(engine.connection, (_known(mapping.sales), _known(mapping.finance)), today)
            step("writing the report")
            out.mkdir(parents=True, exist_ok=True)
            names = ("report.html", "breaks.xlsx", "breaks.parquet", "summary.json", "mapping.toml")
            files = tuple(out / name for name in names)
            found = Assessment(today, (left.report(), right.report()), roles, matched, findings, files)
            with tempfile.TemporaryDirectory(dir=out, prefix=".writing-") as folder:
                _write(Path(folder), found, engine.connection)
                for path in files:
                    (Path(folder) / path.name).replace(path)
            return found


def _write(folder: Path, found: Assessment, connection: Any) -> None:
    """All files; they move to their place together, when all of them are whole."""
    connection.execute(f"COPY {LISTED} TO {literal(str(folder / 'breaks.parquet'))} (FORMAT parquet, COMPRESSION zstd)")
    (folder / "summary.json").write_bytes(orjson.dumps(found.summary(), default=str, option=orjson.OPT_INDENT_2))
    write_mapping(folder / "mapping.toml", found.roles.mapping, found.roles.proposed)
    proposed = [
        (each.role, ", ".join(each.sales), ", ".join(each.finance), each.confidence, each.evidence, each.compared)
        for each in found.roles.proposed
    ]
    write_workbook(folder / "breaks.xlsx", connection, found.findings, found.matched.quarantined, proposed)
    write_report(folder / "report.html", found, connection)


def _must_hold_rows(source: Source) -> None:
    if not any(column.rows for column in source.columns):
        raise SourceError(f"{source.location} has column names and no rows")


def _known(side: SideMapping) -> set[str]:
    """What the side has, as the engine's views call it."""
    named = {role for role in ("party", "channel", "product", "date", "due") if side.column(role)}
    return {*named, *(f"key_{place}" for place in range(len(side.key)))}
