"""How each column of a relation is written: judged on a sample, and on the whole column where the sample can't tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import duckdb

from tallystick.books.sources.choices import Choices
from tallystick.books.sources.dates import (
    DateFormat,
    Order,
    decide_order,
    evidence_of,
    evidence_sql,
    read_date_format,
)
from tallystick.books.sources.engine import identifier
from tallystick.books.sources.numbers import DecimalSign, NumberFormat, number_sql, read_number_format
from tallystick.books.sources.source import Column

_SAMPLE_ROWS = 4000
_DIFFERENT = 1000
_DATES = ("DATE", "TIMESTAMP")
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


def read_columns(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    names: Sequence[str],
    said: Choices,
    written: Sequence[str] = (),
    natives: Sequence[str | None] = (),
) -> tuple[Column, ...]:
    """The columns of a relation whose columns are called `names`; `natives` are their types where not text."""
    selected = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in names)
    rows = connection.execute(f"SELECT {selected} FROM {relation} LIMIT {_SAMPLE_ROWS}").fetchall()
    columns = []
    for place, name in enumerate(names):
        filled = [value.strip() for row in rows if (value := row[place]) is not None and value.strip()]
        values = tuple(dict.fromkeys(filled))[:_DIFFERENT]
        columns.append(
            Column(
                name,
                written[place] if place < len(written) else name if not written else "",
                None,
                None,
                natives[place] if natives else None,
                len(filled) / len(rows) if rows else 0.0,
                values,
                len(filled),
            )
        )
    formatted = [_formatted(column, said, None, None) for column in columns]
    decimal, order = _habits(formatted)
    formatted = [_formatted(each, said, decimal, order) if _in_doubt(each) else each for each in formatted]
    return tuple(_judged_whole(connection, relation, formatted))


def _formatted(column: Column, said: Choices, decimal: DecimalSign | None, order: Order | None) -> Column:
    if column.native is not None and column.native != "VARCHAR":
        return _typed(column)
    if order is None and decimal == ",":
        order = "dmy"  # who writes a decimal comma does not write the month first
    date = read_date_format(column.name, column.values, said.date_order, order)
    number = None if date else read_number_format(column.values, said.decimal, decimal)
    return replace(column, date=date, number=number)


def _in_doubt(column: Column) -> bool:
    return bool((column.date and column.date.ambiguous) or (column.number and column.number.ambiguous))


def _typed(column: Column) -> Column:
    native = column.native or ""
    if native.startswith(_DATES):
        return replace(column, date=DateFormat("ymd", None, 1.0, "the file's own type"))
    if native in _NUMBERS or native.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        decimals = max(
            (len(value.rpartition(".")[2].rstrip("0")) for value in column.values if "." in value), default=0
        )
        return replace(column, number=NumberFormat(".", None, 1.0, "the file's own type", decimals))
    return column


def _habits(columns: Sequence[Column]) -> tuple[DecimalSign | None, Order | None]:
    """The decimal sign and the order of dates of those columns of the file that leave no doubt."""
    signs: list[DecimalSign] = [
        each.number.decimal
        for each in columns
        if each.number and not each.number.ambiguous and each.number.most_decimals
    ]
    orders: list[Order] = [
        each.date.order
        for each in columns
        if each.date and not each.date.ambiguous and each.date.order in ("dmy", "mdy")
    ]
    return max(signs, key=signs.count, default=None), max(orders, key=orders.count, default=None)


def _judged_whole(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> list[Column]:
    """The columns, with those that the sample leaves in doubt decided by all their rows, in one pass."""
    asked: list[str] = []
    for column in columns:
        name = identifier(column.name)
        if column.date and column.date.ambiguous:
            asked += evidence_sql(name)
        elif column.number and column.number.ambiguous:
            asked += [
                f"count(*) FILTER ({_reads(column, sign)} AND NOT {_reads(column, other)})"
                for sign, other in (".,", ",.")
            ]
    if not asked:
        return list(columns)
    found = connection.execute(f"SELECT {', '.join(asked)} FROM {relation}").fetchone() or ()
    counts = iter(found)
    return [_decided(column, next(counts), next(counts)) if _in_doubt(column) else column for column in columns]


def _reads(column: Column, sign: str) -> str:
    written = replace(_number(column), decimal=sign)  # type: ignore[arg-type]  # one of the two
    return f"({number_sql(identifier(column.name), written, 'DECIMAL(38, 9)')}) IS NOT NULL"


def _number(column: Column) -> NumberFormat:
    assert column.number is not None  # noqa: S101  # asked of columns of numbers only
    return column.number


def _decided(column: Column, first: Any, second: Any) -> Column:
    if column.date and column.date.pattern:
        separator = column.date.pattern[2]
        if not (first or second):
            return column
        order, confidence, _ = decide_order(first, second, separator)
        year = column.date.pattern[-2:]
        pattern = separator.join(("%d", "%m", year) if order == "dmy" else ("%m", "%d", year))
        date = DateFormat(order, pattern, round(confidence, 3), evidence_of(first, second))
        return replace(column, date=date)
    if not (first or second):
        return column
    decimal: DecimalSign = "." if first >= second else ","
    evidence = f"{first} values of all only read with '.', {second} only with ','"
    confidence = round(max(first, second) / (first + second), 3)
    number = replace(_number(column), decimal=decimal, confidence=confidence, evidence=evidence, ambiguous=False)
    return replace(column, number=number)
