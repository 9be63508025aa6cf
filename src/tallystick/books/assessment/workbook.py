"""The workbook: the findings on sheets for those who go on in a spreadsheet, written row by row, with no formula in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import xlsxwriter

from tallystick.books.assessment.findings import COLUMNS, LISTED, Findings
from tallystick.books.sources import QuarantinedValue
from tallystick.documents.money import MINOR_DIGITS

MOST_ROWS = 50_000
_AT_ONCE = 5_000
_MONEY = ("sales_amount", "finance_amount", "amount_difference", "money_at_risk")


def write_workbook(
    path: Path,
    connection: duckdb.DuckDBPyConnection,
    findings: Findings,
    quarantined: Mapping[str, Sequence[QuarantinedValue]],
    proposed: Iterable[Sequence[Any]],
) -> None:
    """Write the workbook. Breaks beyond MOST_ROWS are left to the Parquet file, and the sheet says so."""
    # Whatever comes from a file is written as text: a cell that begins with = must not become a formula.
    book = xlsxwriter.Workbook(
        str(path),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": True,
        },
    )
    sheets = _Sheets(book)
    sheets.add("Causes", *_causes(findings))
    for name, shares in {**findings.concentration, "age": findings.ageing}.items():
        rows = [
            (each.name, each.breaks, _money(each.money_at_risk, each.currency), each.currency, each.share)
            for each in shares
        ]
        sheets.add(f"By {name}", (name, "breaks", "money at risk", "currency", "share"), rows)
    sheets.add("Breaks", COLUMNS, _breaks(connection))
    listed = [
        (side, each.file, each.row, each.column, each.value, each.reason)
        for side, all_ in quarantined.items()
        for each in all_
    ]
    sheets.add("Quarantine", ("side", "file", "row", "column", "value", "reason"), listed)
    sheets.add("Columns", ("role", "sales", "finance", "confidence", "evidence", "compared"), proposed)
    book.close()


class _Sheets:
    """Sheets one after the other: in constant memory a row that is written can't be changed any more."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._head = book.add_format({"bold": True, "bottom": 1})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._money = book.add_format({"num_format": "#,##0.00##"})

    def add(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, 16)
            sheet.write_string(0, place, column.replace("_", " "), self._head)
        count = 0
        for count, row in enumerate(rows, 1):
            for place, value in enumerate(row):
                self._write(sheet, count, place, value)
        if count:
            sheet.autofilter(0, 0, count, len(columns) - 1)

    def _write(self, sheet: Any, row: int, place: int, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool | str):
            sheet.write_string(row, place, str(value))
        elif isinstance(value, date):
            sheet.write_datetime(row, place, value, self._day)
        else:
            sheet.write_number(row, place, float(value), self._money if isinstance(value, float) else None)


def _money(amount: int | None, currency: str) -> float | None:
    """Minor units as the number that a spreadsheet shows; it has no exact one."""
    return None if amount is None else amount / 10 ** MINOR_DIGITS.get(currency, 2)


def _causes(findings: Findings) -> tuple[Sequence[str], list[Sequence[Any]]]:
    columns = (
        "cause",
        "kind",
        "breaks",
        "money at risk",
        "currency",
        "share",
        "removes in all",
        "confidence",
        "correction",
    )
    rows: list[Sequence[Any]] = [
        (
            each.name,
            each.kind,
            each.breaks,
            _money(each.money_at_risk, each.currency),
            each.currency,
            each.share,
            each.removes,
            each.confidence,
            each.correction,
        )
        for each in findings.causes
    ]
    return columns, rows


def _breaks(connection: duckdb.DuckDBPyConnection) -> Iterable[Sequence[Any]]:
    selected = ", ".join(f'"{each}"' for each in COLUMNS)
    cursor = connection.cursor()
    cursor.execute(
        f"SELECT {selected} FROM {LISTED} ORDER BY money_at_risk DESC NULLS LAST, number LIMIT {MOST_ROWS + 1}"
    )
    currency, written = COLUMNS.index("currency"), 0
    while rows := cursor.fetchmany(_AT_ONCE):
        for row in rows:
            written += 1
            if written > MOST_ROWS:
                yield (f"These are the first {MOST_ROWS}; all of them are in breaks.parquet.",)
                return
            yield [
                _money(value, row[currency]) if column in _MONEY else value
                for column, value in zip(COLUMNS, row, strict=True)
            ]
