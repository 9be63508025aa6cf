"""What the values of two sides say about each other: which columns share values, and how often paired rows agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from tallystick.books.sources import Column, Source
from tallystick.books.sources.engine import identifier
from tallystick.books.sources.numbers import number_sql
from tallystick.books.sources.source import attach
from tallystick.books.sources.values import day_sql, text_sql

_BYTES_FOR_EVERY_VALUE = 4 << 20
_BYTES_AT_MOST, _BYTES_AT_LEAST = 64 << 20, 64 << 10
_ROWS_LOOKED_AT = 20_000
_MOST_COLUMNS = 60


@dataclass(frozen=True, slots=True)
class Spread:
    """How the values of one column are spread over all its rows."""

    rows: int
    distinct: int
    values: frozenset[str]
    """Its values, or in a large file the same part of all values that is taken of every other column."""

    @property
    def uniqueness(self) -> float:
        """Share of different values among the rows; 1 where each row has its own."""
        return min(1.0, self.distinct / self.rows) if self.rows else 0.0


def normal_sql(column: Column, digits_only: bool = False) -> str:
    """A column's text in the form in which keys are compared: capitals, no zeros before it; or its digits only."""
    text = f"upper(CAST({text_sql(identifier(column.name), column)} AS VARCHAR))"
    if digits_only:
        text = f"regexp_replace({text}, '[^0-9]', '', 'g')"
    return f"nullif(ltrim({text}, '0'), '')"


def whole_sql(source: Source, columns: Sequence[str], connection: duckdb.DuckDBPyConnection) -> str:
    """All files of a source as one relation of the named columns, as their files have them."""
    names = ", ".join(identifier(each) for each in columns)
    parts = [f"SELECT {names} FROM {file.again or file.relation}" for file in source.files]
    for file in source.files:
        attach(connection, file)
    return "(" + " UNION ALL ".join(parts) + ")"


def identifying_columns(source: Source) -> list[Column]:
    """The columns that may name things: texts and whole numbers that are not always the same."""
    named = [
        column
        for column in source.columns
        if not column.date and (not column.number or not column.number.most_decimals) and column.filled > 0.2
    ]
    return sorted(named, key=lambda column: -len(column.values))[:_MOST_COLUMNS]


def spreads(
    connection: duckdb.DuckDBPyConnection, source: Source, columns: Sequence[Column], digits_only: bool, part: int
) -> dict[str, Spread]:
    """The spread of each column over the whole source, in one pass; one value in `part` is kept, by its hash."""
    if not columns:
        return {}
    selected = []
    for place, column in enumerate(columns):
        normal = normal_sql(column, digits_only)
        selected.append(f"{normal} AS n{place}")
    kept = ", ".join(
        f"count(n{place}), approx_count_distinct(n{place}), list(DISTINCT n{place}) FILTER (hash(n{place}) % {part} = 0)"
        for place in range(len(columns))
    )
    relation = whole_sql(source, [column.name for column in columns], connection)
    found = connection.execute(f"SELECT {kept} FROM (SELECT {', '.join(selected)} FROM {relation})").fetchall()[0]
    answer = {}
    for place, column in enumerate(columns):
        rows, distinct, values = found[3 * place : 3 * place + 3]
        kept_values = frozenset(values or ())
        answer[column.name] = Spread(rows, len(kept_values) if part == 1 else int(distinct), kept_values)
    return answer


def part_of(*sources: Source) -> int:
    """One value in how many is looked at: all in files that are small, and of two unequal ones enough of the smaller."""
    sizes = [max(file.path.stat().st_size for file in source.files) for source in sources]
    smaller, larger = min(sizes), max(sizes)
    return max(1, larger // _BYTES_AT_MOST, min(larger // _BYTES_FOR_EVERY_VALUE, smaller // _BYTES_AT_LEAST))


def sample_pairs(
    connection: duckdb.DuckDBPyConnection,
    sides: tuple[Source, Source],
    keys: tuple[Column, Column],
    digits_only: bool,
    rows: int,
) -> None:
    """Keep rows of both sides whose keys are the same part of all keys, as tables sample_0 and sample_1 with the key as `k`."""
    part = max(1, rows // _ROWS_LOOKED_AT)
    for place, (source, key) in enumerate(zip(sides, keys, strict=True)):
        normal = normal_sql(key, digits_only)
        relation = whole_sql(source, [column.name for column in source.columns], connection)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE sample_{place} AS SELECT {normal} AS k, * FROM {relation} "
            f"WHERE hash({normal}) % {part} = 0"
        )


def uniqueness_of(connection: duckdb.DuckDBPyConnection, place: int, column: Column | None) -> float:
    """Share of different keys, with another column beside the key or without, among the rows of a sample."""
    name = f"(k, {normal_sql(column)})" if column else "k"
    rows, distinct = connection.execute(f"SELECT count(k), count(DISTINCT {name}) FROM sample_{place}").fetchall()[0]
    return float(distinct / rows) if rows else 0.0


def agreement(
    connection: duckdb.DuckDBPyConnection,
    pairs: Sequence[tuple[Column, Column, bool]],
    key: tuple[Column, Column] | None,
) -> list[float]:
    """For each pair of columns the share of keys for which both samples say the same.

    Where the pair is one of numbers (its third) their sums are compared, else the first of the texts. `key` is a second part
    of the key, if it has one. Keys without a value on either side don't count.
    """
    if not pairs:
        return []
    grouped = []
    places: list[dict[tuple[str, bool], int]] = []
    for place in (0, 1):
        extra = f", {normal_sql(key[place])} AS k2" if key else ""
        columns = [(pair[:2][place], pair[2]) for pair in pairs]
        asked = {(column.name, number): _value(column, number) for column, number in columns}
        places.append({name: index for index, name in enumerate(asked)})
        values = ", ".join(f"{value} AS v{index}" for index, value in enumerate(asked.values()))
        grouped.append(f"(SELECT k{extra}, {values} FROM sample_{place} GROUP BY ALL)")
    shares = []
    for a, b, number in pairs:
        left, right = f"l.v{places[0][a.name, number]}", f"r.v{places[1][b.name, number]}"
        shares.append(
            f"avg(CASE WHEN {left} IS NOT NULL AND {right} IS NOT NULL THEN CAST({left} = {right} AS INTEGER) END)"
        )
    using = "k, k2" if key else "k"
    sql = f"SELECT {', '.join(shares)} FROM {grouped[0]} l JOIN {grouped[1]} r USING ({using})"
    return [float(each or 0) for each in connection.execute(sql).fetchall()[0]]


def _value(column: Column, number: bool) -> str:
    name = identifier(column.name)
    if not number and column.date is not None:
        return f"CAST(min({day_sql(name, column)}) AS VARCHAR)"  # however each side writes the day
    if not number or column.number is None:
        return f"min({normal_sql(column)})"
    if column.native in (None, "VARCHAR"):
        return f"sum({number_sql(name, column.number, 'DECIMAL(38, 4)')})"
    return f"sum(try_cast({name} AS DECIMAL(38, 4)))"
