"""Small reconciliations for the tests: two tables written down as text, rules, and what came out as plain rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from tallystick.books.reconciliation.outcome import Outcome
from tallystick.books.reconciliation.rules_file import parse_rules
from tallystick.books.reconciliation.run import Options, reconcile

HEAD = """
name = "a test"
[left]
source = "left.csv"
[left.columns]
key = "number"
party = "customer"
date = "day"
amount = "amount"
{left}
[right]
source = "right.csv"
[right.columns]
key = "number"
party = "customer"
date = "day"
amount = "amount"
{right}
"""
COLUMNS = "number,customer,day,amount"
Reconciled = tuple[Outcome, list[dict[str, Any]]]


def rules_of(matches: str, left: str = "", right: str = "", before: str = "", causes: bool = False) -> str:
    """Rules over two small files with number, customer, day and amount; with the standard causes where they are asked for."""
    return f"standard_causes = {str(causes).lower()}\n" + before + HEAD.format(left=left, right=right) + matches


def reconciled(
    folder: Path,
    rules: str,
    left: str,
    right: str,
    columns: str = COLUMNS,
    explain: str | None = None,
    step: Callable[[str], None] = lambda what: None,
) -> Reconciled:
    """Write both sides as CSV, reconcile them, and give the outcome and the breaks."""
    for name, rows in (("left", left), ("right", right)):
        lines = [columns, *(line.strip() for line in rows.strip().splitlines())]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = reconcile(
        parse_rules(rules, "rules.toml"), Options(folder, folder / "out", explain=explain, threads=1), step
    )
    return outcome, read(folder / "out" / "breaks.parquet")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a result file, in their order."""
    with duckdb.connect() as connection:
        cursor = connection.execute(f"select * from '{path}'")
        names = [each[0] for each in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def said(breaks: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Class, key and money at risk of each break, in order."""
    return sorted((row["class"], row["left_key"] or row["right_key"], row["money_at_risk"]) for row in breaks)
