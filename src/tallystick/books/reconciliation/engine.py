"""The engine under a reconciliation: DuckDB behind Ibis, with bounded memory, and files written by the engine itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import ibis

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

DEFAULT_MEMORY = "1200MB"
Rows = list[dict[str, Any]]


class EngineError(Exception):
    """The engine could not do it: too little memory or disk, a broken file. The message is one line."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One run's database. What is in it is gone when it is closed."""

    backend: Backend

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The bare connection, for readers of files."""
        bare: duckdb.DuckDBPyConnection = self.backend.con
        return bare

    def keep(self, name: str, rows: ibis.Table) -> ibis.Table:
        """Compute `rows` once and keep them as a table of that name, instead of any older one."""
        self.run(f'create or replace temp table "{name}" as {self.sql(rows)}')
        return self.backend.table(name, database=("temp", "main"))

    def list(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> ibis.Table:
        """A few rows of our own as a table."""
        named = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        self.run(f'create or replace temp table "{name}" ({named})')
        if rows:
            self.connection.executemany(f'insert into "{name}" values ({", ".join("?" for _ in columns)})', rows)
        return self.backend.table(name, database=("temp", "main"))

    def fetch(self, rows: ibis.Table) -> Rows:
        """A small result as plain data."""
        cursor = self.run(self.sql(rows))
        names = [each[0] for each in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count(self, rows: ibis.Table) -> int:
        """How many rows there are."""
        return int(self.fetch(rows.aggregate(n=rows.count()))[0]["n"])

    def write(self, rows: ibis.Table, path: Path) -> None:
        """Write rows to a file, by its name's ending Parquet or CSV, whole or not at all."""
        form = "parquet" if path.suffix == ".parquet" else "csv, header true"
        partial = path.with_name(path.name + ".partial")
        self.run(f"copy ({self.sql(rows)}) to {quoted(str(partial))} (format {form})")
        partial.replace(path)

    def run(self, statement: str) -> duckdb.DuckDBPyConnection:
        """Run a statement. Raises EngineError, and KeyboardInterrupt at Ctrl-C."""
        try:
            return self.connection.execute(statement)
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.OutOfMemoryException as error:
            raise EngineError(f"it does not fit; allow more memory, or free the disk ({_first_line(error)})") from error
        except duckdb.Error as error:
            raise EngineError(_first_line(error)) from error
        except RuntimeError as error:
            if "interrupted" in str(error).lower():  # so the engine says it when a signal was pending
                raise KeyboardInterrupt from None
            raise

    def sql(self, rows: ibis.Table) -> str:
        """The statement that a table expression is."""
        return str(self.backend.compile(rows))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def open_engine(memory: str = DEFAULT_MEMORY, threads: int | None = None) -> Iterator[Engine]:
    """An engine that takes at most `memory` (such as 2GB) and spills the rest into a folder that goes with it."""
    spill = Path(tempfile.mkdtemp(prefix="tallystick-reconcile-"))
    try:
        backend = ibis.duckdb.connect(
            memory_limit=memory,
            temp_directory=str(spill),
            # Rows have numbers of their own, so their order in memory may be whatever is fastest.
            preserve_insertion_order=False,
            # Nothing is downloaded, ever: what the wheel holds must do.
            autoinstall_known_extensions=False,
            autoload_known_extensions=True,
            **({"threads": threads} if threads else {}),
        )
        try:
            yield Engine(backend)
        finally:
            backend.disconnect()
    finally:
        shutil.rmtree(spill, ignore_errors=True)
