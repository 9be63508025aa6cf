"""The two sides' rows in the engine, wherever they come from: files, databases, or the hub itself."""

from __future__ import annotations

import glob
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import ibis

from tallystick.books.reconciliation.databases import load_query
from tallystick.books.reconciliation.engine import Engine, quoted
from tallystick.books.reconciliation.rules import Secret, Side
from tallystick.books.reconciliation.rules_file import RulesError
from tallystick.books.sources.examination import examine
from tallystick.books.sources.failure import SourceError
from tallystick.books.sources.loading import FILE_COLUMN, ROW_COLUMN, load
from tallystick.books.sources.values import Wanted

NUMBER = "__row"
FILE_SHIFT = 40
"""A row's number is that of its file, shifted so far, plus its number in the file, so that it names the row for good."""


@dataclass(frozen=True, slots=True)
class OpenSide:
    """One side, readable as often as needed."""

    table: ibis.Table
    """The rows that take part, with their number as `__row`."""
    rows_in: int
    """All rows that the source has."""
    rows: int
    """Those of `table`."""
    left_out: int
    """Those that the side's filters leave out."""
    unreadable: int
    """Those that could not be read at all, or hold values that are not what they should be."""
    location: str
    files: tuple[Path, ...] = ()
    unreadable_table: str | None = None
    """Where those are listed: file, row, column, value, reason."""
    notes: tuple[str, ...] = field(default=())


def open_side(
    engine: Engine, side: Side, name: str, folder: Path, stack: ExitStack, hub_url: str | None = None
) -> OpenSide:
    """Open `side` under `name` (left or right); files are sought from `folder`. Raises RulesError and SourceError."""
    if side.source is not None:
        location = side.source if Path(side.source).is_absolute() else str(folder / side.source)
        paths = _paths(location)
        if all(path.suffix.lower() in (".parquet", ".pq") for path in paths):
            opened = _open_parquet(engine, side, name, paths, location)
        else:
            opened = _open_text(engine, side, name, paths, location, stack)
    elif side.database is not None:
        url = _secret(side.database, name)
        opened = _counted(engine, load_query(engine, name, url, _query(side)), _shown(url))
    elif side.hub is not None:
        opened = _open_hub(engine, side, name, hub_url)
    else:
        raise RulesError(f"{name}: no source; name one in the rules or with --{name} FILE")
    _must_have(opened, side)
    return _filtered(engine, opened, side)


def _paths(location: str) -> list[Path]:
    if Path(location).exists():
        return [Path(location)]
    found = sorted(path for each in glob.glob(location, recursive=True) if (path := Path(each)).is_file())
    if not found:
        raise SourceError(f"there is no file {location}")
    return found


def _open_parquet(engine: Engine, side: Side, name: str, paths: list[Path], location: str) -> OpenSide:
    """Parquet is read where it lies, as often as needed; nothing is copied."""
    listed = "[" + ", ".join(quoted(str(each)) for each in paths) + "]"
    try:
        engine.connection.execute(
            f'create or replace temp view "{name}" as select *, (file_index::bigint << {FILE_SHIFT}) + file_row_number + 1 '
            f'as "{NUMBER}" from read_parquet({listed}, union_by_name = {len(paths) > 1})'
        )
        rows = engine.connection.execute(f"select sum(num_rows) from parquet_file_metadata({listed})").fetchall()[0][0]
    except duckdb.Error as error:
        raise SourceError(f"{location} can't be read: {str(error).partition(chr(10))[0]}") from error
    table = engine.backend.table(name, database=("temp", "main"))
    return OpenSide(table, int(rows or 0), int(rows or 0), 0, 0, location, tuple(paths))


def _open_text(engine: Engine, side: Side, name: str, paths: list[Path], location: str, stack: ExitStack) -> OpenSide:
    """CSV and spreadsheets are sniffed, read once, and kept in the engine."""
    source = stack.enter_context(examine(location))
    known = {each.name.casefold() for each in source.columns}
    wanted = {column: what for column, what in _wanted(side).items() if column.casefold() in known}
    loaded = load(engine.connection, source, f"{name}_loaded", wanted, others="text")
    files = "[" + ", ".join(quoted(each.path.name) for each in source.files) + "]"
    number = f"((list_position({files}, {FILE_COLUMN}) - 1)::bigint << {FILE_SHIFT}) + {ROW_COLUMN}"
    if len({each.path.name for each in source.files}) < len(source.files):
        # Two files of one name: their rows are numbered once, and kept with their numbers.
        engine.connection.execute(
            f'create temp table "{name}" as select *, row_number() over () as "{NUMBER}" from {loaded.table}'
        )
    else:
        engine.connection.execute(f'create temp view "{name}" as select *, {number} as "{NUMBER}" from {loaded.table}')
    table = engine.backend.table(name, database=("temp", "main"))
    notes = (*source.notes, *loaded.notes)
    return OpenSide(
        table, loaded.rows_in, loaded.kept, 0, loaded.quarantined, location, tuple(paths), loaded.quarantine, notes
    )


def _wanted(side: Side) -> dict[str, Wanted]:
    """What the reader shall make of the columns; whatever the rules say how to read stays text until then."""
    columns, wanted = side.columns, dict[str, Wanted]()
    if columns.date and columns.date.format is None:
        wanted[columns.date.column] = Wanted("date")
    numbers = [(each.column, each.decimal) for each in (columns.quantity, columns.price) if each]
    if columns.amount:
        rule = columns.amount
        numbers += [(each, rule.decimal) for each in (rule.column, rule.price, rule.quantity, rule.discount) if each]
    wanted |= {column: Wanted("number") for column, decimal in numbers if decimal == "."}
    return wanted


def _query(side: Side) -> str:
    if side.query is not None:
        return side.query
    parts = (side.table or "").split(".")
    return "select * from " + ".".join('"' + each.replace('"', '""') + '"' for each in parts)


def _secret(value: str | Secret, name: str) -> str:
    if isinstance(value, str):
        return value
    if value.env not in os.environ:
        raise RulesError(f"{name}.database: environment variable {value.env} is not set; export it or change the rules")
    return os.environ[value.env]


def _shown(url: str) -> str:
    """A database's address without its credentials."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _open_hub(engine: Engine, side: Side, name: str, url: str | None) -> OpenSide:
    from tallystick.books.reconciliation.hub import HUB_QUERIES

    if url is None:
        raise RulesError(f"{name}: the hub's own documents need its database; run with --settings FILE")
    return _counted(engine, load_query(engine, name, url, HUB_QUERIES[side.hub or "orders"]), f"hub: {side.hub}")


def _counted(engine: Engine, table: ibis.Table, location: str) -> OpenSide:
    rows = engine.count(table)
    return OpenSide(table, rows, rows, 0, 0, location)


def _must_have(opened: OpenSide, side: Side) -> None:
    """Say at once which column is not there."""
    named = set(side.columns.key) | {each.column for each in side.filters}
    for value in side.columns.model_dump(exclude={"key"}, exclude_none=True).values():
        named |= {value[each] for each in ("column", "price", "quantity", "discount") if value.get(each)}
    there = [each for each in opened.table.columns if each not in (NUMBER, FILE_COLUMN, ROW_COLUMN)]
    if missing := sorted(named - set(there)):
        more = f" and {len(there) - 40} more" if len(there) > 40 else ""
        raise SourceError(f"{opened.location} has no column {missing[0]!r}; it has {', '.join(there[:40])}{more}")


def _filtered(engine: Engine, opened: OpenSide, side: Side) -> OpenSide:
    if not side.filters:
        return opened
    table = opened.table
    for each in side.filters:
        values = [str(value) for value in (each.is_in if each.is_in is not None else each.not_in) or ()]
        chosen = table[each.column].cast("string").isin(values).fill_null(False)
        table = table.filter(chosen if each.is_in is not None else ~chosen)
    rows = engine.count(table)
    return OpenSide(
        table,
        opened.rows_in,
        rows,
        opened.rows - rows,
        opened.unreadable,
        opened.location,
        opened.files,
        opened.unreadable_table,
        opened.notes,
    )
