"""How people write dates: which order of day and month, evidence for it, and the SQL that reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Order = Literal["dmy", "mdy", "ymd", "serial"]
_TIME = (
    r"(?:[ T]([0-9]{1,2}):([0-9]{2})(?::[0-9]{2}(?:\.[0-9]+)?)?(?: ?(?:AM|PM|am|pm))?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_ISO = re.compile(rf"([0-9]{{4}})[-/]([0-9]{{1,2}})[-/]([0-9]{{1,2}}){_TIME}")
_ISO_POINTS = re.compile(r"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})")
_COMPACT = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_NUMERIC = re.compile(rf"([0-9]{{1,2}})([./-])([0-9]{{1,2}})[./-]([0-9]{{4}}|[0-9]{{2}}){_TIME}")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_NAMED = re.compile(rf"[0-9]{{1,2}}([ -]){_MONTH}[ -]([0-9]{{4}}|[0-9]{{2}})", re.IGNORECASE)
_SERIAL = re.compile(r"(?:2[0-9]|3[0-9]|4[0-9]|5[0-9])[0-9]{3}(?:\.[0-9]+)?")
_NAME_OF_A_DATE = re.compile(
    r"date|datum|\bdt\b|_dt$|day\b|tag\b|faellig|fällig|due|posted|gebucht|period", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How the dates of a column are written."""

    order: Order
    pattern: str | None
    """The strptime format of the date, without its time; None for ISO 8601 and serials, which need none."""
    confidence: float
    evidence: str
    ambiguous: bool = False
    """Whether every value of the sample reads as day before month and as month before day."""

    @property
    def shown(self) -> str:
        """The format as people write it: d.m.Y."""
        if self.order == "serial":
            return "spreadsheet serial"
        return self.pattern.replace("%", "") if self.pattern else "Y-m-d"


def named_like_a_date(name: str) -> bool:
    """Whether a column's name says that it holds dates."""
    return bool(_NAME_OF_A_DATE.search(name))


def read_date_format(
    name: str,
    values: Sequence[str],
    said: Order | None = None,
    hint: Order | None = None,
    least: float = 0.95,
) -> DateFormat | None:
    """How the values are written as dates; None when a smaller share than `least` are dates at all.

    `hint` is the order that other columns of the file have, for a column that could be read both ways.
    """
    if not values:
        return None
    least = max(least, 1 / len(values))
    for pattern, order, written, evidence in (
        (_ISO, "ymd", None, "year first"),
        (_ISO_POINTS, "ymd", "%Y.%m.%d", "year first"),
        (_COMPACT, "ymd", "%Y%m%d", "eight digits, year first"),
    ):
        share = sum(1 for value in values if pattern.fullmatch(value)) / len(values)
        if share >= least and (written != "%Y%m%d" or named_like_a_date(name)):
            return DateFormat(order, written, round(share, 3), evidence)  # type: ignore[arg-type]  # one of ours
    named = [found for value in values if (found := _NAMED.fullmatch(value))]
    if len(named) >= least * len(values):
        gap, year = named[0].group(1), "%Y" if len(named[0].group(2)) == 4 else "%y"
        return DateFormat("dmy", f"%d{gap}%b{gap}{year}", round(len(named) / len(values), 3), "the month by name")
    numeric = [found for value in values if (found := _NUMERIC.fullmatch(value))]
    if len(numeric) >= least * len(values):
        return _by_order(numeric, len(numeric) / len(values), said, hint)
    serials = sum(1 for value in values if _SERIAL.fullmatch(value)) / len(values)
    if serials >= least and named_like_a_date(name):
        return DateFormat("serial", None, round(0.8 * serials, 3), "days since 1899-12-30, by the column's name")
    return None


def _by_order(found: Sequence[re.Match[str]], share: float, said: Order | None, hint: Order | None) -> DateFormat:
    day_first = sum(1 for each in found if int(each.group(1)) > 12)
    month_first = sum(1 for each in found if int(each.group(3)) > 12)
    separator, year = found[0].group(2), "%Y" if len(found[0].group(4)) == 4 else "%y"
    order: Order
    if said in ("dmy", "mdy"):
        order, confidence, ambiguous = said, 1.0, False
    else:
        order, confidence, ambiguous = decide_order(day_first, month_first, separator, hint)
    parts = ("%d", "%m") if order == "dmy" else ("%m", "%d")
    return DateFormat(
        order,
        separator.join((*parts, year)),
        round(confidence * share, 3),
        evidence_of(day_first, month_first),
        ambiguous,
    )


def evidence_of(day_first: int, month_first: int) -> str:
    """The evidence in words."""
    return f"{day_first} values only read day first, {month_first} only month first"


def decide_order(
    day_first: int, month_first: int, separator: str, hint: Order | None = None
) -> tuple[Order, float, bool]:
    """Day or month first, how sure, and whether nothing told: by what only reads one way, else by habit."""
    if day_first or month_first:
        order: Order = "dmy" if day_first >= month_first else "mdy"
        return order, max(day_first, month_first) / (day_first + month_first), False
    if separator == ".":
        return "dmy", 0.9, True
    if hint in ("dmy", "mdy"):
        return hint, 0.75, True
    return "dmy", 0.5, True


def evidence_sql(column: str) -> tuple[str, str]:
    """Two counts over a whole column: values that only read day first, and values that only read month first."""
    first, second = (
        f"try_cast(regexp_extract({column}, '^([0-9]{{1,2}})[./-]([0-9]{{1,2}})[./-]', {group}) AS INTEGER)"
        for group in (1, 2)
    )
    return f"count(*) FILTER ({first} > 12)", f"count(*) FILTER ({second} > 12)"


def date_sql(column: str, written: DateFormat) -> str:
    """The DATE of a text column, NULL where it is none."""
    if written.order == "serial":
        days = f"try_cast({column} AS DECIMAL(18, 10))"
        return f"CASE WHEN {days} BETWEEN 1 AND 2958465 THEN DATE '1899-12-30' + CAST(floor({days}) AS INTEGER) END"
    if written.pattern is None:
        # The engine also knows dates such as 'epoch' and 'infinity', which no export means.
        return f"CASE WHEN {column} BETWEEN ' ' AND ':' THEN try_cast({column} AS DATE) END"
    bare = f"try_strptime({column}, '{written.pattern}')"
    timed = f"try_strptime(regexp_replace(trim({column}), '[ T][0-9]{{1,2}}:.*$', ''), '{written.pattern}')"
    return f"CAST(coalesce({bare}, {timed}) AS DATE)"
