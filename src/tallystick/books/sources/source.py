"""What was found out about a source before it is read: its files, their layout, and how each column is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import duckdb

from tallystick.books.sources.dates import DateFormat
from tallystick.books.sources.numbers import NumberFormat

Kind = Literal["text", "number", "date"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the sample shows it."""

    name: str
    written_name: str
    """The name as the file has it: empty or repeated, maybe."""
    number: NumberFormat | None
    date: DateFormat | None
    native: str | None
    """The engine's type where the file has types of its own (Parquet), else None for text."""
    filled: float
    """Share of the sample's rows that have a value."""
    values: tuple[str, ...]
    """Different values of the sample, in the order in which they came."""
    rows: int
    """Filled rows of the sample, to compare with the number of different values."""

    @property
    def kind(self) -> Kind:
        """What the values look like."""
        return "date" if self.date else "number" if self.number else "text"

    @property
    def confidence(self) -> float:
        """How sure that is, from 0 to 1."""
        found = self.date or self.number
        return found.confidence if found else 1.0

    def report(self) -> dict[str, Any]:
        """What was sniffed, for people and programs."""
        answer: dict[str, Any] = {"column": self.name, "kind": self.kind, "confidence": self.confidence}
        if self.written_name != self.name:
            answer["written"] = self.written_name
        if self.date:
            answer |= {"written_as": self.date.shown, "evidence": self.date.evidence}
        elif self.number:
            answer |= {"decimal": self.number.decimal, "evidence": self.number.evidence, "sign": self.number.sign}
        return answer


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source."""

    path: Path
    form: Literal["csv", "parquet", "excel"]
    columns: tuple[Column, ...]
    relation: str
    """What stands after FROM to read it; every column is there under its name."""
    first_row: int
    """Number of the first row of data, as an editor or spreadsheet counts."""
    sniffed: dict[str, Any]
    notes: tuple[str, ...] = ()
    again: str = ""
    """The same for every later pass, which sets nothing aside."""
    rejects: str | None = None
    """Name of the table into which the engine puts the lines that it can't part into fields."""
    readable: Path | None = None
    """The text that the engine reads: the file, or its copy in UTF-8."""
    arrow: Any = None
    """The cells of a spreadsheet, registered under the relation's name when it is read."""


@dataclass(slots=True)
class Source:
    """One or more files that are one table. Close it when it was read: it may hold copies in UTF-8."""

    location: str
    files: Sequence[SourceFile]
    folder: TemporaryDirectory[str] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, as the first file has them."""
        return self.files[0].columns

    def column(self, name: str) -> Column:
        """A column by its name. Raises KeyError when there is none."""
        for each in self.columns:
            if each.name.casefold() == name.casefold():
                return each
        raise KeyError(name)

    def report(self) -> dict[str, Any]:
        """What was sniffed of each file and column, with its confidence."""
        return {
            "location": self.location,
            "files": [
                {"file": each.path.name, "form": each.form, **each.sniffed, "notes": list(each.notes)}
                for each in self.files
            ],
            "columns": [each.report() for each in self.columns],
            "notes": list(self.notes),
        }

    def close(self) -> None:
        """Remove the copies."""
        if self.folder is not None:
            self.folder.cleanup()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def attach(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> str:
    """The file's relation, made known to this connection."""
    if file.arrow is not None:
        connection.register(file.relation.strip('"'), file.arrow)
    return file.relation
