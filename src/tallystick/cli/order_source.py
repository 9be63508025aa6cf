"""Where `orders submit` reads from: a file or stdin, its format, how far it has been read, and what it yields."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from tallystick.cli.failure import WrongUse

STDIN = "-"
# Far more than an order of 2,000 lines needs; a longer one is no order, and memory stays bounded.
LONGEST_ORDER = 20_000_000


class OrderFormat(StrEnum):
    """How orders are written down."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


_ORDER_LINE = re.compile(r"/lines[/\[](\d+)\]?[./]?(.*)")
_FORMATS = {
    ".json": OrderFormat.JSON,
    ".ndjson": OrderFormat.NDJSON,
    ".jsonl": OrderFormat.NDJSON,
    ".csv": OrderFormat.CSV,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its file an order stands; for CSV also the line and the column that each of its values came from."""

    file: str
    line: int
    rows: Sequence[int] = ()
    """CSV: the file's line of each order line."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """CSV: column by JSON pointer; `*` stands for any order line."""

    def __str__(self) -> str:
        return f"{self.file} line {self.line}"

    def of(self, path: str | None) -> str:
        """Where the value at a JSON pointer (/lines/0/quantity) or path (lines[0].quantity) of the order stands."""
        path = f"/{(path or '').lstrip('/')}"
        found = _ORDER_LINE.match(path)
        index = int(found[1]) if found else 0
        line = self.rows[index] if index < len(self.rows) else self.line
        pointer = f"/lines/*/{found[2]}" if found else path
        column = self.columns.get(pointer)
        return f"{self.file} line {line}" + (f", column {column}" if column else "")


@dataclass(frozen=True, slots=True)
class FileOrder:
    """An order as it will be sent: JSON on one line."""

    place: Place
    body: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in the file that can't be sent as an order, and why; what comes after it can be."""

    place: Place
    detail: str
    order_number: str | None = None


Read = FileOrder | Unreadable


class Source:
    """An open file with its name; `read` says how many bytes were consumed, `size` how many there are (None: unknown)."""

    def __init__(self, stream: IO[bytes], name: str, size: int | None) -> None:
        self.stream = stream
        self.name = name
        self.size = size
        self.read = 0

    def parts(self, size: int = 65_536) -> Iterator[bytes]:
        """The bytes in parts."""
        while part := self.stream.read(size):
            self.read += len(part)
            yield part

    def lines(self, longest: int = LONGEST_ORDER) -> Iterator[bytes]:
        """The lines, each with its end; one that is longer than `longest` comes cut to one byte more than that."""
        while line := self.stream.readline(longest + 1):
            self.read += len(line)
            yield line
            while len(line) > longest and not line.endswith(b"\n"):
                line = self.stream.readline(longest)
                self.read += len(line)

    def rewind(self) -> None:
        """Back to the beginning."""
        self.stream.seek(0)
        self.read = 0


def format_of(file: str, named: OrderFormat | None) -> OrderFormat:
    """The named format, else the one that the file's name says. Raises WrongUse."""
    if named:
        return named
    found = _FORMATS.get(Path(file).suffix.lower())
    if found is None:
        what = "stdin" if file == STDIN else repr(file)
        raise WrongUse(f"{what}: which format is it? say --format json, ndjson or csv")
    return found


@contextmanager
def open_source(file: str, *, seekable: bool) -> Iterator[Source]:
    """The file, or stdin for `-`; a `seekable` source can be read twice, so stdin goes into a file of its own first."""
    if file != STDIN:
        with ExitStack() as open_file:
            try:
                stream = open_file.enter_context(Path(file).open("rb"))
            except OSError as error:
                raise WrongUse(f"{file}: cannot be read ({error.strerror})") from None
            yield Source(stream, file, Path(file).stat().st_size)
    elif seekable:
        with tempfile.SpooledTemporaryFile(max_size=1_000_000) as copy:
            while part := sys.stdin.buffer.read(65_536):
                copy.write(part)
            size = copy.tell()
            copy.seek(0)
            yield Source(copy, "stdin", size)
    else:
        yield Source(sys.stdin.buffer, "stdin", None)
