"""How a delimited file is laid out: what parts its fields, what quotes them, and where its names stand."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.books.sources.choices import Choices
from tallystick.books.sources.dates import read_date_format
from tallystick.books.sources.numbers import read_number_format

_DELIMITERS = (";", "\t", "|", ",")
_ROWS_LOOKED_AT = 60


@dataclass(frozen=True, slots=True)
class Header:
    """Where the column names stand among the rows."""

    skip: int
    """Rows before the first row of data: preamble and names."""
    names: tuple[str, ...]
    found: bool
    confidence: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """The layout of a delimited file."""

    delimiter: str
    quote: str
    escape: str
    confidence: float
    evidence: str


def sniff_dialect(text: str, said: Choices) -> Dialect:
    """The layout that gives most lines of the sample the same number of fields."""
    quote = said.quote or ("'" if text.count("'") > 4 and '"' not in text and _quoted_by(text, "'") else '"')
    escape = "\\" if f"\\{quote}" in text and quote * 2 not in text else quote
    best = Dialect(said.delimiter or ",", quote, escape, 0.5, "one column")
    best_score = 0.0
    for delimiter in (said.delimiter,) if said.delimiter else _DELIMITERS:
        dialect = Dialect(delimiter, quote, escape, 0, "")
        rows = split(text, dialect)
        widths = Counter(len(row) for row in rows if row)
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        share = count / sum(widths.values())
        first = next((len(row) for row in rows if row), 0)
        score = share + (0.2 if first == width else 0)
        if width > 1 and score > best_score + 1e-9:
            best_score = score
            confidence = 1.0 if said.delimiter else round(share, 3)
            best = Dialect(
                delimiter, quote, escape, confidence, f"{count} of {sum(widths.values())} rows have {width} fields"
            )
    return best


def _quoted_by(text: str, quote: str) -> bool:
    return len(re.findall(rf"(?:^|[;,|\t]){quote}[^{quote}\n]*{quote}(?=[;,|\t\r]|$)", text, re.MULTILINE)) > 2


def split(text: str, dialect: Dialect) -> list[list[str]]:
    """The rows of a sample; blank lines are empty rows. A last line that was cut off must not be in it."""
    escape = dialect.escape if dialect.escape != dialect.quote else None
    reader = csv.reader(
        text.splitlines(keepends=True),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=escape,
        doublequote=escape is None,
    )
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) >= 2000:
                break
    except csv.Error:  # a field without an end: what stands before it is enough
        pass
    return rows


def find_header(rows: Sequence[Sequence[str]], said: int | None) -> Header:
    """Where the column names stand. Rows with fewer fields before them are a preamble."""
    widths = Counter(len(row) for row in rows if any(cell.strip() for cell in row))
    width = widths.most_common(1)[0][0]
    if said == 0:
        return Header(0, unique_names([""] * width), False, 1.0, "said to have none")
    if said is not None:
        return Header(
            said, unique_names(_padded(rows[said - 1] if said <= len(rows) else [], width)), True, 1.0, "said"
        )
    start = next(index for index, row in enumerate(rows) if len(row) == width and _half_filled(row))
    if start and len(rows[start - 1]) == width - 1 and width > 1 and _only_names(rows[start - 1]):
        start -= 1  # the rows end with a delimiter that the names have not
    candidate, body = rows[start], [row for row in rows[start + 1 : start + _ROWS_LOOKED_AT] if len(row) == width]
    if not _only_names(candidate):
        skip = start if any(any(cell.strip() for cell in row) for row in rows[:start]) else 0
        return Header(skip, unique_names([""] * width), False, 0.9, "the first row holds values, not names")
    typed = sum(1 for index in range(len(candidate)) if _typed([row[index] for row in body if row[index].strip()]))
    confidence, evidence = (
        (1.0, f"{typed} columns hold numbers or dates under their names") if typed else (0.6, "all text")
    )
    return Header(start + 1, unique_names(_padded(candidate, width)), True, confidence, evidence)


def _padded(names: Sequence[str], width: int) -> list[str]:
    return [*names, *[""] * (width - len(names))][:width]


def _half_filled(row: Sequence[str]) -> bool:
    return 2 * sum(1 for cell in row if cell.strip()) >= len(row)


def _only_names(row: Sequence[str]) -> bool:
    filled = [cell.strip() for cell in row if cell.strip()]
    return bool(filled) and _half_filled(row) and not any(_typed([cell]) for cell in filled)


def _typed(cells: Sequence[str]) -> bool:
    """Whether the cells hold numbers or dates."""
    values = [cell.strip() for cell in cells]
    return bool(values) and bool(read_number_format(values) or read_date_format("", values))


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Each column's own name: a repeated one is numbered, an empty one is called by its place.

    The engine tells no capital from a small letter, so neither does this.
    """
    taken: set[str] = set()
    unique = []
    for place, raw in enumerate(names, 1):
        name = " ".join(raw.replace("\ufeff", "").split()) or f"column_{place}"
        number, tried = 1, name
        while tried.casefold() in taken:
            number += 1
            tried = f"{name}_{number}"
        taken.add(tried.casefold())
        unique.append(tried)
    return tuple(unique)
