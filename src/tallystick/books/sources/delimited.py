"""Delimited text as the engine reads it: straight from the file, every field as text, what can't be parted set aside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tallystick.books.sources.choices import Choices
from tallystick.books.sources.columns import read_columns
from tallystick.books.sources.dialect import Dialect, find_header, sniff_dialect, split
from tallystick.books.sources.encoding import as_utf8, detect_encoding
from tallystick.books.sources.engine import identifier, literal
from tallystick.books.sources.failure import SourceError
from tallystick.books.sources.source import SourceFile

_SAMPLE_BYTES = 1 << 18
_MOJIBAKE = ("Ã¤", "Ã¶", "Ã¼", "Ã©", "ÃŸ", "â‚¬")
_BLANK = re.compile(rb"^\r?\n", re.MULTILINE)
_rejects = count(1)


def examine_delimited(connection: duckdb.DuckDBPyConnection, path: Path, said: Choices, folder: Path) -> SourceFile:
    """Layout and columns of a delimited file. Raises SourceError when it is empty or can't be parted into columns."""
    encoding = detect_encoding(path, said.encoding)
    try:
        readable = as_utf8(path, encoding, folder)
    except (UnicodeError, OSError) as error:
        raise SourceError(f"{path} is not {encoding.name}: {error}") from error
    text = _beginning(readable)
    if not text.strip():
        raise SourceError(f"{path} is empty")
    dialect = sniff_dialect(text, said)
    rows = split(text, dialect)
    if not any(any(cell.strip() for cell in row) for row in rows):
        raise SourceError(f"{path} holds no values")
    header = find_header(rows, said.header)
    lines = _lines_of(rows[: header.skip])
    rejects = f"tallystick_rejects_{next(_rejects)}"
    relation = _relation(readable, dialect, header.names, lines, rejects)
    sample = _relation(readable, dialect, header.names, lines, None)
    columns = read_columns(connection, sample, header.names, said, written=_written(rows, header.skip, header.found))
    notes = _notes(text, encoding.stray, header.names, _written(rows, header.skip, header.found))
    return SourceFile(
        path,
        "csv",
        columns,
        relation,
        lines + 1,
        {
            "encoding": _sniffed(encoding.name, encoding.confidence, encoding.evidence),
            "delimiter": _sniffed(dialect.delimiter, dialect.confidence, dialect.evidence),
            "quote": _sniffed(dialect.quote, 1.0 if said.quote else 0.9, "said" if said.quote else "by the sample"),
            "header": _sniffed(lines if header.found else 0, header.confidence, header.evidence),
        },
        tuple(notes),
        sample,
        rejects,
        readable,
    )


def _sniffed(value: Any, confidence: float, evidence: str) -> dict[str, Any]:
    return {"value": value, "confidence": confidence, "evidence": evidence}


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_SAMPLE_BYTES)
        if file.read(1):
            start = start[: start.rfind(b"\n") + 1] or start
    text = start.decode("utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines_of(rows: list[list[str]]) -> int:
    """Lines that rows take: a field may hold line breaks."""
    return sum(1 + sum(cell.count("\n") for cell in row) for row in rows)


def _written(rows: list[list[str]], skip: int, found: bool) -> list[str]:
    return [cell.strip() for cell in rows[skip - 1]] if found and 0 < skip <= len(rows) else []


def _notes(text: str, stray: int, names: tuple[str, ...], written: list[str]) -> list[str]:
    notes = []
    if stray:
        notes.append(f"{stray} bytes are not in the file's encoding; the lines that hold them are quarantined")
    if mangled := sum(text.count(each) for each in _MOJIBAKE):
        notes.append(
            f"{mangled} letters look as if they had been encoded twice (such as Ã¼ for ü); they are kept as they are"
        )
    renamed = [name for name, raw in zip(names, written, strict=False) if raw and " ".join(raw.split()) != name]
    if renamed:
        notes.append(f"repeated column names were numbered: {', '.join(renamed)}")
    return notes


def _relation(path: Path, dialect: Dialect, names: tuple[str, ...], skip: int, rejects: str | None) -> str:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    faults = (
        f"store_rejects=true, rejects_limit=0, rejects_table={literal(rejects)}, rejects_scan={literal(rejects + '_scan')}"
        if rejects
        else "ignore_errors=true"
    )
    return (
        f"read_csv({literal(_plain(path))}, auto_detect=false, header=false, skip={skip}, columns={{{columns}}}, "
        f"delim={literal(dialect.delimiter)}, quote={literal(dialect.quote)}, escape={literal(dialect.escape)}, "
        f"{faults})"
    )


def _plain(path: Path) -> str:
    """The path as the engine takes it literally: it would read *, ? and [ as a pattern."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))


def physical_lines(path: Path) -> int:
    """Lines of a file; the last need not end."""
    lines = returns = 0
    last = b"\n"
    with path.open("rb") as file:
        while chunk := file.read(8 << 20):
            lines += chunk.count(b"\n")
            returns += chunk.count(b"\r") if not lines else 0
            last = chunk[-1:]
    counted = lines or returns
    return counted + (last not in (b"\n", b"\r"))


def lines_at(path: Path, positions: Any) -> Any:
    """The line of each of some places in a file, given in order as its bytes are counted from 1."""
    found = np.ones(len(positions), dtype=np.int64)
    before = start = done = 0
    with path.open("rb") as file:
        while done < len(positions) and (chunk := file.read(8 << 20)):
            ends = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord(b"\n"))
            upto = int(np.searchsorted(positions, start + len(chunk), side="right"))
            found[done:upto] += before + np.searchsorted(ends, positions[done:upto] - 1 - start)
            before, start, done = before + len(ends), start + len(chunk), upto
    return found


def blank_lines(path: Path, skip: int) -> int:
    """Lines of a file without anything in them, after the first `skip`."""
    blank, rest = 0, b""
    with path.open("rb") as file:
        for _ in range(skip):
            file.readline()
        while chunk := file.read(8 << 20):
            lines, _, rest = (rest + chunk).rpartition(b"\n")
            blank += len(_BLANK.findall(lines + b"\n")) if lines else 0
    return blank + (not rest.strip(b"\r\n") and bool(rest))


def line_breaks_sql(names: Sequence[str]) -> str:
    """Sum of the line breaks within the fields of a relation."""
    return " + ".join(
        f"coalesce(sum(length({identifier(name)}) - length(replace({identifier(name)}, chr(10), ''))), 0)"
        for name in names
    )
