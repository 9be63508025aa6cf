"""What a run found, read out of its engine bit by bit: breaks in batches, inputs with their hashes, and which keys it has."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.csv

from tallystick.books.reconciliation.classes import deciding
from tallystick.books.reconciliation.engine import quoted
from tallystick.books.reconciliation.opening import FILE_SHIFT, NUMBER, OpenSide
from tallystick.books.reconciliation.outcome import Outcome
from tallystick.books.reconciliation.results import NAMES, SIDE_COLUMNS, Results
from tallystick.books.reconciliation.sides import Prepared
from tallystick.books.runs.inputs import Input, file_input
from tallystick.store.identifiers import new_id

if TYPE_CHECKING:
    import duckdb

BATCH = 10_000
"""Breaks in memory at a time."""
STAGED = (
    *("id", "number", "identity", "likeness", "class", "side", "left_name", "right_name", "differs"),
    *("cause_kind", "cause", "confidence", "evidence", "correction", "currency", "money_at_risk", "amount_difference"),
    *("left_record", "right_record"),
)
"""The columns of a batch, in order."""
_WHOLE_NUMBERS = ("row", "rows", "amount")
_SEPARATOR = "chr(31)"


@dataclass(frozen=True, slots=True)
class Missing:
    """A break that stands in the database and that the run did not find."""

    id: UUID
    left_name: str | None
    right_name: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A run that was made, while its engine is open."""

    outcome: Outcome
    results: Results
    prepared: tuple[Prepared, Prepared]

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return self.results.engine.connection

    def inputs(self, started_at: datetime) -> list[Input]:
        """Every file and other source of both sides. Raises RunNotPossible for a file that was changed meanwhile."""
        found: list[Input] = []
        for name, side, count in zip(NAMES, self.results.sides, (self.outcome.left, self.outcome.right), strict=True):
            if not side.files:
                found.append(Input(name, side.location, count.rows_in))
                continue
            rows = self._rows_of_files(name, side)
            found += [file_input(name, path, rows[index], started_at) for index, path in enumerate(side.files)]
        return found

    def _rows_of_files(self, name: str, side: OpenSide) -> list[int]:
        """The rows of each file, those that could not be read with them."""
        if len(side.files) == 1:
            return [side.rows_in]
        counted = f'select ("{NUMBER}" >> {FILE_SHIFT})::bigint, count(*) from "{name}" group by 1'
        rows = dict(self._connection.execute(counted).fetchall())
        unread: dict[str, int] = {}
        if side.unreadable_table:
            listed = f"select file, count(distinct row) from {side.unreadable_table} group by 1"
            unread = dict(self._connection.execute(listed).fetchall())
        return [rows.get(index, 0) + unread.get(path.name, 0) for index, path in enumerate(side.files)]

    def batches(self) -> Iterator[bytes]:
        """The breaks as CSV with the columns of STAGED, some thousand at a time, each with a new id."""
        reader = self._connection.sql(self._statement()).to_arrow_reader(BATCH)
        options = pyarrow.csv.WriteOptions(include_header=False)
        for batch in reader:
            ids = pa.array([str(new_id()) for _ in range(batch.num_rows)], type=pa.string())
            table = pa.Table.from_arrays([ids, *batch.columns], names=["id", *batch.schema.names])
            written = io.BytesIO()
            pyarrow.csv.write_csv(table, written, options)
            yield written.getvalue()

    def _statement(self) -> str:
        """The breaks as they are kept. Text is freed of NUL, which PostgreSQL can't hold."""
        shown = self.results.engine.sql(self.results.shown())
        left, right = (self._name(f"{side}_") for side in NAMES)
        parts = ["side", '"class"', left, right]
        content = [f"{side}_{each}" for side in NAMES for each in ("party", "reference", "item", "date", "amount")]
        alone = f"case when {left} is null and {right} is null then {_digest(content)} else '' end"
        amounts = [f"{side}_{each}" for side in NAMES for each in ("amount", "quantity", "price", "date", "item")]
        records = [_record(side, len(opened.files) > 1) for side, opened in zip(NAMES, self.results.sides, strict=True)]
        columns = {
            "number": "number",
            "identity": _digest([*parts, alone]),
            "likeness": _digest([*amounts, "currency"]),
            "class": '"class"',
            "side": "side",
            "left_name": _clean(left),
            "right_name": _clean(right),
            "differs": "differs",
            **{each: _clean(each) for each in ("cause_kind", "cause", "confidence", "evidence", "correction")},
            "currency": "currency",
            "money_at_risk": "money_at_risk",
            "amount_difference": "amount_difference",
            "left_record": records[0],
            "right_record": records[1],
        }
        listed = ", ".join(f'{value} as "{name}"' for name, value in columns.items())
        return f"select {listed} from ({shown})"

    def _name(self, prefix: str = "") -> str:
        """What a row, or a group of rows, is called on its side: the fields by which the rules find it, else its key."""
        on = deciding(self.outcome.rules).on
        whole = f" || {quoted(' / ')} || ".join(f'"{prefix}{each}"::varchar' for each in on)
        return f'coalesce({whole}, "{prefix}key")'

    def stage_missing(self, missing: Sequence[Missing]) -> None:
        """Take a batch of breaks of earlier runs that this one did not find."""
        table = pa.table(
            {
                "id": pa.array([str(each.id) for each in missing], type=pa.string()),
                "left_name": pa.array([each.left_name for each in missing], type=pa.string()),
                "right_name": pa.array([each.right_name for each in missing], type=pa.string()),
            }
        )
        self._connection.execute(
            "create temp table if not exists missing (id varchar, left_name varchar, right_name varchar)"
        )
        self._connection.register("missing_batch", table)
        self._connection.execute("insert into missing select * from missing_batch")
        self._connection.unregister("missing_batch")

    def resolved(self) -> Iterator[list[tuple[UUID, str]]]:
        """Of the staged breaks those whose rows this run has and did not quarantine: matched, or differs_otherwise.

        By conservation, a sound row that is in no break was matched. Of the others the run has no row, so nothing is known.
        """
        there, broken = [], []
        for side, prepared in zip(NAMES, self.prepared, strict=True):
            rows = self.results.engine.sql(prepared.rows)
            breaks = self.results.engine.sql(self.results.shown())
            sound = f"select distinct {self._name()} as name from ({rows}) where sound"
            there.append(f"select id from missing join ({sound}) on {side}_name = {_clean('name')}")
            named = f"select distinct {self._name(f'{side}_')} as name from ({breaks})"
            broken.append(f"select id from missing join ({named}) on {side}_name = {_clean('name')}")
        cursor = self._connection.execute(
            f"""
            select id, case when id in ({" union ".join(broken)}) then 'differs_otherwise' else 'matched' end
            from ({" union ".join(there)})
            """
        )
        while rows_found := cursor.fetchmany(BATCH):
            yield [(UUID(identifier), verdict) for identifier, verdict in rows_found]
        self._connection.execute("drop table missing")


def _clean(value: str) -> str:
    return f"replace(({value})::varchar, chr(0), '\N{REPLACEMENT CHARACTER}')"


def _digest(values: Sequence[str]) -> str:
    """A hash of several values, none and empty told apart."""
    whole = f" || {_SEPARATOR} || ".join(f"coalesce('=' || ({value})::varchar, '')" for value in values)
    return f"md5({whole})"


def _record(side: str, several_files: bool) -> str:
    """A side's row as JSON."""
    names = [*SIDE_COLUMNS, *(["file"] if several_files else [])]
    values = {each: f"{side}_{each}" if each in _WHOLE_NUMBERS else _clean(f"{side}_{each}") for each in names}
    fields = ", ".join(f"{quoted(each)}: {value}" for each, value in values.items())
    return f"to_json({{{fields}}})::varchar"


def summary_of(outcome: Outcome) -> dict[str, Any]:
    """What of a run's summary is kept: all that is no break, no file and no clock."""
    whole = outcome.summary()
    return {name: whole[name] for name in whole if name not in ("largest", "seconds", "files", "explanation", "breaks")}
