"""How people write numbers: which sign parts the decimals, evidence for it, and the SQL that reads it exactly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tallystick.documents.money import MINOR_DIGITS

DecimalSign = Literal[".", ","]
_MONEY = rf"(?:[€$£¥]|{'|'.join(sorted(MINOR_DIGITS))})"
_THOUSANDS = {".": ",", ",": "."}
_SPACES = " '’\u00a0\u202f"  # also the two that do not break


def _pattern(decimal: str, sign: str) -> str:
    """A number with `decimal` as its decimal sign; RE2 and Python read it alike."""
    thousands = rf"[{_THOUSANDS[decimal]}{_SPACES}]"
    digits = rf"(?:[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+)(?:[{decimal}][0-9]+)?|[{decimal}][0-9]+"
    gap = "[ \u00a0\u202f]*"
    after = rf"(?:{gap}{sign})?"
    plain = rf"(?:{sign}{gap})?(?:{digits}){after}"
    signed = rf"(?:[-+−]{gap}(?:{sign}{gap})?|{sign}{gap}[-+−])(?:{digits}){after}"
    return rf"{gap}(?:{plain}|{signed}|{plain}{gap}[-−]|\({gap}{plain}{gap}\)){gap}"


_READ = {decimal: re.compile(_pattern(decimal, _MONEY)) for decimal in (".", ",")}
_SIGN = re.compile(_MONEY)
_CODES = {"€": "EUR", "£": "GBP", "$": "USD", "¥": "JPY"}
_NOISE = "0.00000001"
_LEADING_ZERO = re.compile(r"0[0-9]")


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How the numbers of a column are written."""

    decimal: DecimalSign
    sign: str | None
    """The currency sign or code beside the numbers, if any."""
    confidence: float
    evidence: str
    most_decimals: int
    ambiguous: bool = False
    """Whether nothing in the sample tells the decimal sign from the thousands' sign."""
    like_numbers_only: bool = False
    """Whether they look like document numbers: leading zeros, which a number would lose."""

    @property
    def currency(self) -> str | None:
        """The ISO code that the sign stands for."""
        return _CODES.get(self.sign, self.sign) if self.sign else None


def read_number_format(
    values: Sequence[str], said: DecimalSign | None = None, hint: DecimalSign | None = None, least: float = 0.95
) -> NumberFormat | None:
    """How the values are written as numbers; None when a smaller share than `least` are numbers at all.

    `hint` is what other columns of the file use, for a column that could be read both ways.
    """
    matched = {decimal: {value for value in values if _READ[decimal].fullmatch(value)} for decimal in (".", ",")}
    point, comma = matched["."] - matched[","], matched[","] - matched["."]
    either = matched["."] & matched[","]
    parted = sum(1 for value in either if re.search(r"[.,]", value))
    decimal: DecimalSign = said or ("." if len(point) > len(comma) else "," if comma else hint or ".")
    right = matched[decimal]
    if not right or len(right) < least * len(values):
        return None
    decisive, contrary = (len(point), len(comma)) if decimal == "." else (len(comma), len(point))
    ambiguous = said is None and not decisive and parted > 0
    signs = Counter(found.group() for value in values if value in right and (found := _SIGN.search(value)))
    share = len(right) / len(values)
    confidence = 1.0 if said else share * (0.6 if ambiguous and hint is None else 0.8 if ambiguous else 1.0)
    evidence = f"{decisive} values only read with {decimal!r}, {contrary} only with {_THOUSANDS[decimal]!r}"
    if len(signs) > 1:
        evidence += f"; currency signs {', '.join(f'{sign} {count}' for sign, count in signs.most_common())}"
    return NumberFormat(
        decimal,
        signs.most_common(1)[0][0] if signs else None,
        round(confidence, 3),
        evidence if decisive or contrary or parted or signs else "whole numbers",
        max((len(value.rpartition(decimal)[2].rstrip("0)- ")) for value in right if decimal in value), default=0),
        ambiguous,
        any(_LEADING_ZERO.match(value) for value in right),
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def number_sql(column: str, written: NumberFormat, sql_type: str) -> str:
    """The value of a text column as `sql_type` (a DECIMAL), NULL where it is no number.

    What is written plainly is cast as it stands; only what is not pays for the pattern.
    """
    plain = column if written.decimal == "." else f"replace({column}, ',', '.')"
    other = "" if written.decimal == "." else f"contains({column}, '.') OR "
    pattern = _pattern(written.decimal, re.escape(written.sign) if written.sign else "(?:)")
    digits = f"regexp_replace({column}, '[^0-9{written.decimal}]', '', 'g')"
    if written.decimal == ",":
        digits = f"replace({digits}, ',', '.')"
    minus = f"CASE WHEN regexp_matches({column}, '[-−(]') THEN '-' ELSE '' END"
    return (
        f"coalesce(CASE WHEN {other}contains({column}, 'E') OR contains({column}, 'e') THEN NULL "
        f"ELSE try_cast({plain} AS {sql_type}) END, "
        f"CASE WHEN regexp_full_match({column}, {_quoted(pattern)}) THEN try_cast({minus} || {digits} AS {sql_type}) END)"
    )


def finer_sql(column: str, written: NumberFormat, digits: int) -> str:
    """Whether a text column's value has more decimals than `digits`, other than zeros and the noise of floats."""
    mark = f"strpos({column}, '{written.decimal}')"
    exact, rounded = (number_sql(column, written, f"DECIMAL({size})") for size in ("38, 18", f"18, {digits}"))
    many = f"{mark} > 0 AND length({column}) - {mark} > {digits}"
    return f"CASE WHEN {many} THEN coalesce(abs({exact} - {rounded}) > {_NOISE}, false) ELSE false END"
