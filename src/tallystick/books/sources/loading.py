"""A source read into the engine: values cast by the engine, and every row that can't be read set aside and listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import duckdb
import pyarrow

from tallystick.books.sources.delimited import blank_lines, line_breaks_sql, lines_at, physical_lines
from tallystick.books.sources.engine import identifier, literal
from tallystick.books.sources.failure import SourceError
from tallystick.books.sources.source import Source, SourceFile, attach
from tallystick.books.sources.values import Reading, Wanted, reading_of

_parts = count(1)
_REASONS = {
    "INVALID ENCODING": "not in the file's encoding",
    "TOO MANY COLUMNS": "more fields than columns",
    "MISSING COLUMNS": "fewer fields than columns",
    "UNQUOTED VALUE": "a quote that does not end",
    "LINE SIZE OVER MAXIMUM": "a line of more than two million bytes",
}
FILE_COLUMN, ROW_COLUMN, ID_COLUMN = "source_file", "source_row", "source_id"
"""Columns that each loaded table has beside those wanted: the file's name, the row in it as an editor counts, and a number
that no other row of the source has."""
_ROWS_A_FILE = 1 << 40


@dataclass(frozen=True, slots=True)
class QuarantinedValue:
    """A value because of which a row was set aside."""

    file: str
    row: int
    column: str | None
    value: str | None
    reason: str


@dataclass(slots=True)
class Loaded:
    """A source in the engine. `rows_in` is always `kept` plus `quarantined`."""

    table: str
    """Name of a view of the rows that could be read, with the columns wanted, source_file, source_row and source_id."""
    quarantine: str
    """Name of a table of the values that could not: file, row, column, value, reason."""
    kept: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def rows_in(self) -> int:
        """Rows that the files hold."""
        return self.kept + self.quarantined

    def listed(self, connection: duckdb.DuckDBPyConnection, limit: int = 1000) -> list[QuarantinedValue]:
        """The first quarantined values by file and row."""
        sql = f'SELECT file, "row", "column", value, reason FROM {identifier(self.quarantine)} ORDER BY 1, 2, 3 LIMIT {limit}'
        return [QuarantinedValue(*row) for row in connection.execute(sql).fetchall()]


def load(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    table: str,
    wanted: Mapping[str, Wanted] | None = None,
    others: Literal["leave", "text"] = "leave",
) -> Loaded:
    """Read all rows into the view `table`; rows with a wanted value that can't be read go to the table `table`_quarantine.

    `wanted` names columns and what they must be; `others` whether the rest is left out or kept as text. Without `wanted` every
    column is kept as text. Raises SourceError when a column is not there or a file changed meanwhile.
    """
    wanted = _known(source, wanted or {})
    if not wanted or others == "text":
        wanted = {**{column.name: Wanted("text") for column in source.columns if column.name not in wanted}, **wanted}
    loaded = Loaded(table, f"{table}_quarantine")
    connection.execute(
        f"CREATE OR REPLACE TABLE {identifier(loaded.quarantine)} "
        '(file VARCHAR, "row" BIGINT, "column" VARCHAR, value VARCHAR, reason VARCHAR)'
    )
    views = []
    (ordered,) = connection.execute("SELECT current_setting('preserve_insertion_order')").fetchall()[0]
    connection.execute("SET preserve_insertion_order = true")  # a row's place in the table is its place in the file
    try:
        for place, file in enumerate(source.files):
            try:
                views.append(_load_file(connection, file, wanted, loaded, place * _ROWS_A_FILE))
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                raise SourceError(f"{file.path} can't be read: {str(error).partition(chr(10))[0]}") from error
    finally:
        connection.execute(f"SET preserve_insertion_order = {bool(ordered)}")
    connection.execute(f"CREATE OR REPLACE VIEW {identifier(table)} AS {' UNION ALL BY NAME '.join(views)}")
    sql = f'SELECT reason, count(DISTINCT (file, "row")) FROM {identifier(loaded.quarantine)} GROUP BY 1 ORDER BY 2 DESC, 1'
    loaded.reasons = {str(reason): int(number) for reason, number in connection.execute(sql).fetchall()}
    return loaded


def _known(source: Source, wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
    known = {}
    for name, what in wanted.items():
        try:
            known[source.column(name).name] = what
        except KeyError:
            there = ", ".join(column.name for column in source.columns[:40])
            raise SourceError(f"{source.location} has no column {name!r}; it has {there}") from None
    return known


def _load_file(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, wanted: Mapping[str, Wanted], loaded: Loaded, first: int
) -> str:
    """Load one file into a table of its own, and give the SELECT of its kept rows."""
    relation = attach(connection, file)
    columns = {column.name.casefold(): column for column in file.columns}
    readings = [
        reading_of(place, columns[name.casefold()], what, columns) for place, (name, what) in enumerate(wanted.items())
    ]
    part = identifier(f"{loaded.table}_part_{next(_parts)}")
    connection.execute(f"CREATE TABLE {part} AS {_reading_sql(relation, list(wanted), readings)}")
    if file.arrow is not None:
        connection.unregister(relation.strip('"'))
    rejected = _set_rejected_aside(connection, file, loaded)
    _balance(connection, file, part, rejected, loaded)
    of, row = _row_sql(connection, part, file, rejected)
    name = literal(file.path.name)
    for place, column in enumerate(wanted, 1):
        connection.execute(
            f"INSERT INTO {identifier(loaded.quarantine)} SELECT {name}, {row}, {literal(column)}, _raw[{place}], _why[{place}] "
            f"FROM {of} WHERE _raw IS NOT NULL AND _why[{place}] IS NOT NULL"
        )
    kept, wrong = _counts(connection, f"SELECT count(*) - count(_raw), count(_raw) FROM {part}")
    loaded.kept += kept
    loaded.quarantined += wrong
    names = ", ".join(identifier(each) for each in wanted)
    places = f"{name} AS {FILE_COLUMN}, {row} AS {ROW_COLUMN}, {first} + {row} AS {ID_COLUMN}"
    return f"SELECT {names}, {places} FROM {of} WHERE _raw IS NULL"


def _reading_sql(relation: str, names: Sequence[str], readings: Sequence[Reading]) -> str:
    """One pass over a file: its values, and for rows that can't be taken their raw texts and the reasons."""
    wrong = " OR ".join(f"({each.wrong})" for each in readings)
    raw = ", ".join(f"CAST(r{place} AS VARCHAR)" for place in range(len(names)))
    why = ", ".join(f"CAST({each.why} AS VARCHAR)" for each in readings)
    values = ", ".join(f"v{place} AS {identifier(name)}" for place, name in enumerate(names))
    return (
        f"SELECT {values}, CASE WHEN wrong THEN [{raw}] END AS _raw, CASE WHEN wrong THEN [{why}] END AS _why "
        f"FROM (SELECT *, {wrong} AS wrong "
        f"FROM (SELECT *, {', '.join(each.values for each in readings)} "
        f"FROM (SELECT {', '.join(each.sources for each in readings)} FROM {relation})))"
    )


@dataclass(frozen=True, slots=True)
class _Rejected:
    """The lines that could not be parted into fields."""

    table: str | None
    """One record of them a row: its first `line` in the file, and how many it `taken`."""
    lines: int


def _set_rejected_aside(connection: duckdb.DuckDBPyConnection, file: SourceFile, loaded: Loaded) -> _Rejected:
    """List the lines that the engine could not part into fields; a quote that does not end takes several."""
    if file.rejects is None or file.readable is None:
        return _Rejected(None, 0)
    found = identifier(f"{file.rejects}_found")
    connection.execute(
        f"CREATE OR REPLACE TABLE {found} AS SELECT line_byte_position AS position, "
        "min_by((column_name, error_type, csv_line), byte_position) AS fault, 0::BIGINT AS line, 0::BIGINT AS taken "
        f"FROM {file.rejects} GROUP BY line_byte_position"
    )
    connection.execute(f"DROP TABLE {file.rejects}")
    connection.execute(f"DROP TABLE {file.rejects}_scan")
    positions = connection.execute(f"SELECT position FROM {found} ORDER BY 1").fetchnumpy()["position"]
    if not len(positions):
        return _Rejected(None, 0)
    # The engine counts records; the place in the file is exact.
    placed = pyarrow.table({"at": positions, "line": lines_at(file.readable, positions)})
    connection.register("tallystick_places", placed)
    split = "string_split(rtrim(fault[3], chr(13) || chr(10)), chr(10))"
    connection.execute(
        f"UPDATE {found} SET line = places.line, taken = greatest(1, len({split})) "
        "FROM tallystick_places places WHERE position = places.at"
    )
    connection.unregister("tallystick_places")
    reasons = " ".join(f"WHEN {literal(fault)} THEN {literal(reason)}" for fault, reason in _REASONS.items())
    connection.execute(
        f"INSERT INTO {identifier(loaded.quarantine)} SELECT {literal(file.path.name)}, line + unnest(range(taken)), fault[1], "
        f"left(unnest({split}), 200), CASE fault[2] {reasons} ELSE lower(fault[2]) END FROM {found}"
    )
    (lines,) = _counts(connection, f"SELECT sum(taken) FROM {found}")
    loaded.quarantined += lines
    return _Rejected(found, lines)


def _balance(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, part: str, rejected: _Rejected, loaded: Loaded
) -> None:
    """Check by an independent count that every line of a text became a row, part of one, or was set aside.

    Raises SourceError when one did not: then nothing that follows could be trusted.
    """
    if file.readable is None:
        return
    (rows,) = _counts(connection, f"SELECT count(*) FROM {part}")
    lines = physical_lines(file.readable) - (file.first_row - 1)
    missing = lines - rows - rejected.lines
    if not missing:
        return
    blank = blank_lines(file.readable, file.first_row - 1)
    (within,) = _counts(connection, f"SELECT {line_breaks_sql([each.name for each in file.columns])} FROM {file.again}")
    if not within <= missing <= within + blank:
        raise SourceError(
            f"{file.path}: of {lines} lines {missing} became neither a row nor a quarantined line "
            f"({within} line breaks within fields, {blank} blank lines)"
        )
    loaded.notes.append(
        f"{file.path.name}: {within} line breaks within fields and {blank} blank lines; row numbers count neither"
    )


def _row_sql(
    connection: duckdb.DuckDBPyConnection, part: str, file: SourceFile, rejected: _Rejected
) -> tuple[str, str]:
    """What to select from, and the row number of each: lines that were set aside count too."""
    if rejected.table is None:
        return part, f"rowid + {file.first_row}"
    shifts = identifier(part.strip('"') + "_shifts")
    connection.execute(
        f"CREATE TABLE {shifts} AS SELECT line - {file.first_row} - before AS after, max(before + taken) AS lines "
        f"FROM (SELECT line, taken, sum(taken) OVER (ORDER BY line) - taken AS before FROM {rejected.table}) GROUP BY 1"
    )
    of = f"(SELECT p.*, p.rowid AS place FROM {part} p) ASOF LEFT JOIN {shifts} s ON place >= s.after"
    return of, f"place + {file.first_row} + coalesce(s.lines, 0)::BIGINT"


def _counts(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    return tuple(int(each) for each in connection.execute(sql).fetchall()[0])
