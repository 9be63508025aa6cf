"""Delimited text as programs export it: encoding, delimiter, heading, decimal mark and order of dates are found out, and said."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from tallystick.books.statements.statement import StatementError
from tallystick.documents.money import EXACT, MINOR_DIGITS

_DELIMITERS = ";,\t|"
_MOST_PREAMBLE = 40
"""Lines above the heading in which banks write the account's name and their own."""
_WORD = re.compile(r"[^a-z0-9äöüßéèêàçñõãáíóú]+")
_ISO = re.compile(r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?$")
_COMPACT = re.compile(r"^(\d{4})(\d{2})(\d{2})$")
_OTHER = re.compile(r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})$")
_UNIT = re.compile(r"^(?:[A-Z]{3}|[€$£¥])|(?:[A-Z]{3}|[€$£¥])$")
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Row:
    """A row under the heading, its cells by the field they were recognised as."""

    line: int
    cells: Mapping[str, str]

    def get(self, field: str) -> str:
        """The cell's text; empty where there is none."""
        return self.cells.get(field, "")


@dataclass(frozen=True, slots=True)
class DelimitedTable:
    """What the text turned out to be."""

    columns: Mapping[str, str]
    """Field to the heading it was recognised by."""
    preamble: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str
    decimal_comma: bool
    day_first: bool
    notes: tuple[str, ...]
    """What was found out, for people to check."""

    def amount(self, row: Row, field: str, currency: str) -> int | None:
        """A cell as minor units; None where it is empty. Raises StatementError naming line, field and value."""
        text = row.get(field)
        if not text:
            return None
        if currency not in MINOR_DIGITS:
            raise StatementError(f"line {row.line}: {currency[:10]!r} is no active ISO 4217 currency")
        try:
            scaled = _number(text, decimal_comma=self.decimal_comma).scaleb(MINOR_DIGITS[currency], EXACT)
            whole = scaled.to_integral_value()
        except InvalidOperation:
            raise StatementError(f"line {row.line}: {field} is {text[:_LONGEST_SHOWN]!r}, and no amount") from None
        if scaled != whole:
            raise StatementError(
                f"line {row.line}: {field} {text[:_LONGEST_SHOWN]} has more decimals than {currency} has"
            )
        return int(whole)

    def day(self, row: Row, field: str) -> date | None:
        """A cell as a day; None where it is empty. Raises StatementError naming line, field and value."""
        text = row.get(field)
        if not text:
            return None
        found = _day(text, day_first=self.day_first)
        if found is None:
            raise StatementError(f"line {row.line}: {field} is {text[:_LONGEST_SHOWN]!r}, and no date")
        return found


def read_table(
    text: str,
    headings: Mapping[str, Sequence[str]],
    required: Callable[[set[str]], bool],
    *,
    amounts: Sequence[str],
    days: Sequence[str],
    said_decimal: bool | None = None,
) -> DelimitedTable:
    """The table in a text. `headings`: the words by which each field is known; `required`: whether these fields will do.

    Raises StatementError where there is no heading that will do.
    """
    lines = text.splitlines()
    by_word = {_plain(word): field for field, words in headings.items() for word in words}
    delimiter, at, columns = _heading(lines, by_word, required)
    reader = csv.reader(lines[at + 1 :], delimiter=delimiter)
    rows = []
    try:
        for cells in reader:
            named = {field: cells[place].strip() for field, place in columns.items() if place < len(cells)}
            if any(named.values()):
                rows.append(Row(at + 1 + reader.line_num, named))
    except csv.Error as error:
        raise StatementError(f"line {at + 1 + reader.line_num}: {error}") from None
    heading = next(csv.reader([lines[at]], delimiter=delimiter))
    comma, comma_note = _decimal_comma([row.get(each) for row in rows for each in amounts])
    first, first_note = _day_first([row.get(each) for row in rows for each in days], comma=comma)
    shown = {"\t": "tab"}.get(delimiter, repr(delimiter))
    notes = (f"separated by {shown}", comma_note, first_note)
    return DelimitedTable(
        {field: heading[place].strip() for field, place in columns.items()},
        tuple(lines[:at]),
        tuple(rows),
        delimiter,
        comma,
        first,
        tuple(each for each in notes if each),
    )


def _heading(
    lines: Sequence[str], by_word: Mapping[str, str], required: Callable[[set[str]], bool]
) -> tuple[str, int, dict[str, int]]:
    """The delimiter, the heading's place, and each field's column: the first line that will do, with the most fields known."""
    for at, line in enumerate(lines[:_MOST_PREAMBLE]):
        best: tuple[str, dict[str, int]] | None = None
        for delimiter in _DELIMITERS:
            columns: dict[str, int] = {}
            try:
                cells = next(csv.reader([line], delimiter=delimiter), [])
            except csv.Error:
                continue
            for place, cell in enumerate(cells):
                field = by_word.get(_plain(cell))
                if field is not None:
                    columns.setdefault(field, place)
            if required(set(columns)) and (best is None or len(columns) > len(best[1])):
                best = delimiter, columns
        if best is not None:
            return best[0], at, best[1]
    beginning = next((each for each in lines if each.strip()), "")[:80]
    raise StatementError(f"none of its lines is a heading that is known; it begins with {beginning!r}")


def _plain(word: str) -> str:
    return _WORD.sub(" ", word.strip().strip('"').lower()).strip()


def _number(text: str, *, decimal_comma: bool) -> Decimal:
    """1.234,56- or (1,234.56) or 'USD 1 234.56' as a Decimal."""
    bare = _UNIT.sub("", text.strip())
    bare = re.sub(r"[\s\u00a0\u202f'’+]", "", bare)
    negative = bare.startswith(("-", "(", "\u2212")) or bare.endswith("-")
    bare = bare.strip("-()\u2212")
    bare = bare.replace(".", "").replace(",", ".") if decimal_comma else bare.replace(",", "")
    if not re.fullmatch(r"\d{1,20}(\.\d{0,10})?|\.\d{1,10}", bare):
        raise InvalidOperation
    return -Decimal(bare) if negative else Decimal(bare)


def _decimal_comma(texts: Sequence[str]) -> tuple[bool, str]:
    """Whether the comma is the decimal mark: by numbers that have both marks, else by those with one that is no thousand's."""
    votes = {",": 0, ".": 0}
    for text in texts:
        comma, point = text.rfind(","), text.rfind(".")
        if comma >= 0 and point >= 0:
            votes["," if comma > point else "."] += 100
        elif (mark := "," if comma >= 0 else "." if point >= 0 else "") and text.count(mark) == 1:
            behind = len(re.sub(r"\D*$", "", text[text.rfind(mark) + 1 :]))
            if behind != 3:
                votes[mark] += 1
    comma_wins = votes[","] > votes["."]
    return comma_wins, f"decimal {'comma' if comma_wins else 'point'}" if any(votes.values()) else ""


def _day_first(texts: Sequence[str], *, comma: bool) -> tuple[bool, str]:
    """Whether the day comes before the month: by a number above twelve, else as the decimal mark's countries write it."""
    found = [match for text in texts if (match := _OTHER.match(text.strip()))]
    if not found:
        return True, "dates year first" if any(texts) else ""
    first = any(int(each[1]) > 12 for each in found)
    second = any(int(each[2]) > 12 for each in found)
    if first and second:
        raise StatementError("its dates have the day first and the month first: they can't be read for sure")
    if first or second:
        return first, f"dates {'day' if first else 'month'} first"
    dotted = any("." in each[0] for each in found)
    assumed = comma or dotted
    return assumed, f"dates taken as {'day' if assumed else 'month'} first, which no date in it proves"


def _day(text: str, *, day_first: bool) -> date | None:
    text = text.strip()
    match = _ISO.match(text) or _COMPACT.match(text)
    try:
        if match:
            return date(int(match[1]), int(match[2]), int(match[3]))
        match = _OTHER.match(text)
        if not match:
            return None
        day, month = (match[1], match[2]) if day_first else (match[2], match[1])
        year = int(match[3]) + (2000 if len(match[3]) == 2 else 0)
        return date(year, int(month), int(day))
    except ValueError:
        return None
