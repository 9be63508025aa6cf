"""What a run leaves behind: breaks, quarantine and matches as tables and files, each row by its file and number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import ibis
import orjson

from tallystick.books.reconciliation.classes import Broken
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.matching import Matched
from tallystick.books.reconciliation.opening import FILE_SHIFT, OpenSide
from tallystick.books.reconciliation.outcome import Outcome
from tallystick.books.reconciliation.rules import Kind, Rules

BREAK_COLUMNS = (
    *("number", "class", "differs", "side", "cause_kind", "cause", "confidence", "evidence", "correction"),
    *("currency", "money_at_risk", "amount_difference", "days_apart"),
)
SIDE_COLUMNS = (
    *("row", "rows", "key", "party", "item", "date", "amount", "currency", "quantity", "price", "status", "reference"),
    "group",
)
NAMES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Results:
    """The tables of a run that was made."""

    engine: Engine
    rules: Rules
    sides: tuple[OpenSide, OpenSide]
    matched: Matched
    broken: Broken
    breaks: ibis.Table

    def shown(self) -> ibis.Table:
        """The breaks with names for people: left_… and right_…; amounts in minor units."""
        columns: dict[str, ibis.Value] = {each: self.breaks[each] for each in BREAK_COLUMNS}
        for name, side in zip(NAMES, self.sides, strict=True):
            own = {each: self.breaks[f"{name[0]}_{each}"] for each in SIDE_COLUMNS}
            columns |= {f"{name}_{each}": value for each, value in own.items()}
            columns[f"{name}_row"] = _row_of(own["row"], side)
            if len(side.files) > 1:
                columns[f"{name}_file"] = _file_of(own["row"], side)
        return self.breaks.select(**columns)

    def quarantine(self) -> ibis.Table:
        """Every value because of which a row took no part: side, file, row, column, value and reason."""
        parts = []
        faulty = (self.matched.quarantined.left, self.matched.quarantined.right)
        for name, side, rows in zip(NAMES, self.sides, faulty, strict=True):
            parts.append(rows.select(**_placed(rows, name, side), column="column", value="value", reason="reason"))
            if side.unreadable_table:
                listed = self.engine.backend.table(side.unreadable_table)
                names = ("file", "row", "column", "value", "reason")
                parts.append(listed.select(side=ibis.literal(name), **{each: listed[each] for each in names}))
        return parts[0].union(*parts[1:])

    def quarantine_reasons(self) -> dict[str, int]:
        """How often which reason, by side and column."""
        whole = self.quarantine()
        counted = whole.group_by("side", "column", "reason").aggregate(n=whole.count())
        return {
            f"{row['side']}: {row['column'] or 'line'}: {row['reason']}": int(row["n"])
            for row in self.engine.fetch(counted.order_by("side", "column", "reason"))
        }

    def write(self, outcome: Outcome, folder: Path) -> Outcome:
        """Write the result files, each whole or not at all, the summary last; gives the outcome with their names."""
        folder.mkdir(parents=True, exist_ok=True)
        breaks = self.shown().order_by("number")
        tables = {"breaks.parquet": breaks, "quarantine.parquet": self.quarantine()}
        if self.rules.output.csv:
            tables["breaks.csv"] = breaks
        if any(each.kind is not Kind.ONE_TO_ONE for each in self.rules.matches):
            tables["break_rows.parquet"] = self._break_rows()
        if self.rules.output.matches:
            tables["matches.parquet"] = self._matches()
        for name, rows in tables.items():
            self.engine.write(rows, folder / name)
        summary = folder / "summary.json"
        outcome = replace(outcome, files=(*(folder / name for name in tables), summary))
        partial = summary.with_name(summary.name + ".partial")
        partial.write_bytes(orjson.dumps(outcome.summary(), option=orjson.OPT_INDENT_2) + b"\n")
        partial.replace(summary)
        return outcome

    def _break_rows(self) -> ibis.Table:
        """Which rows are in which break, for groups have many."""
        parts = []
        for name, rows, side in zip(NAMES, (self.broken.left, self.broken.right), self.sides, strict=True):
            first = self.breaks[f"{name[0]}_row"]
            own = self.breaks.filter(first.notnull()).select(number="number", first=first)
            joined = rows.inner_join(own, [("group_row", "first")])
            parts.append(joined.select(number="number", **_placed(joined, name, side)))
        return parts[0].union(parts[1])

    def _matches(self) -> ibis.Table:
        """By which rule which rows were matched; those with the same `match` belong together."""
        parts = []
        for name, marks, side in zip(NAMES, (self.matched.left, self.matched.right), self.sides, strict=True):
            parts.append(marks.select(rule=marks["rule"] + 1, match="group_row", **_placed(marks, name, side)))
        return parts[0].union(parts[1])


def _placed(rows: ibis.Table, name: str, side: OpenSide) -> dict[str, ibis.Value]:
    """Where a row is: side, file and number."""
    return {"side": ibis.literal(name), "file": _file_of(rows["row"], side), "row": _row_of(rows["row"], side)}


def _row_of(row: ibis.Value, side: OpenSide) -> ibis.Value:
    """The number of a row in its file, or in the order in which the database gave it."""
    return (row & (2**FILE_SHIFT - 1)) if side.files else row


def _file_of(row: ibis.Value, side: OpenSide) -> ibis.Value:
    if len(side.files) <= 1:
        return ibis.literal(side.files[0].name if side.files else side.location)
    names = ibis.literal([str(each) for each in side.files], type="array<string>")
    return names[(row >> FILE_SHIFT).cast("int64")]
