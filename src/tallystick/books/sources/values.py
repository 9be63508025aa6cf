"""What a column must become, and the SQL that makes it that or says why a value can't be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tallystick.books.sources.dates import DateFormat, date_sql, read_date_format
from tallystick.books.sources.engine import identifier, literal
from tallystick.books.sources.numbers import NumberFormat, finer_sql, number_sql, read_number_format
from tallystick.books.sources.source import Column
from tallystick.documents.money import MAXIMUM_MINOR, MINOR_DIGITS, minor_digits

NUMBER_DIGITS = 6
_HALF = 0.5
_CURRENCY_SIGNS = {"€": "EUR", "EURO": "EUR", "£": "GBP", "$": "USD", "US$": "USD"}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a column must become: text is trimmed, a number DECIMAL(18, 6), money BIGINT minor units, a date DATE."""

    kind: Literal["text", "number", "money", "currency", "date"]
    required: bool = False
    """Whether a row without a value is set aside; so for keys."""
    currency: str | None = None
    """The currency of the money, or of rows whose currency column is empty. Neither: two decimals."""
    currency_column: str | None = None
    """The column that names each row's currency; its minor digits then count."""
    round_finer: bool = False
    """Whether money finer than its minor unit is rounded half up; else its row is set aside."""


@dataclass(frozen=True, slots=True)
class Reading:
    """SQL of one wanted column, in three steps, each knowing the names that the one before gave."""

    sources: str
    """From the file: the raw value as r1, and the raw currency as c1 where one stands beside it."""
    values: str
    """From those: the value as v1, and the currency's code as k1."""
    reasons: tuple[tuple[str, str], ...]
    """From all of them: what must not be, and how it is called."""

    @property
    def wrong(self) -> str:
        """Whether there is any reason not to take the row."""
        return " OR ".join(f"({test})" for test, _ in self.reasons) or "false"

    @property
    def why(self) -> str:
        """The first reason, or NULL."""
        whens = " ".join(f"WHEN {test} THEN {literal(reason)}" for test, reason in self.reasons)
        return f"CASE {whens} END" if whens else "NULL"


def reading_of(place: int, column: Column, wanted: Wanted, columns: Mapping[str, Column]) -> Reading:
    """The SQL that reads `column` as `wanted`; `columns` are the file's, by their names in small letters."""
    raw, value = f"r{place}", f"v{place}"
    sources = f"{identifier(column.name)} AS {raw}"
    blank = f"coalesce(trim(CAST({raw} AS VARCHAR)), '') = ''"
    # CASE and not AND, here and below: AND would work out both sides for every row.
    empty = ((f"CASE WHEN {value} IS NULL THEN {blank} ELSE false END", "empty"),) if wanted.required else ()
    unread = f"CASE WHEN {value} IS NULL THEN NOT {blank} ELSE false END"
    # A column that is wanted as numbers or dates is read as what most of its values are, be they few.
    form = column.number or read_number_format(column.values, least=0.0) or NumberFormat(".", None, 0.0, "", 0)
    no_number = (unread, f"no number with '{form.decimal}' before its decimals, or one too long")
    match wanted.kind:
        case "text":
            return Reading(sources, f"{text_sql(raw, column)} AS {value}", empty)
        case "currency":
            code = _currency(text_sql(raw, column), wanted.currency)
            return Reading(sources, f"{code} AS {value}", empty)
        case "date":
            no_date = (unread, f"no date as {_written(column).shown}")
            return Reading(sources, f"{day_sql(raw, column)} AS {value}", (*empty, no_date))
        case "number":
            finer = (_finer(raw, column, form, NUMBER_DIGITS), f"more than {NUMBER_DIGITS} decimals")
            number = _decimal(raw, column, form, NUMBER_DIGITS)
            return Reading(sources, f"{number} AS {value}", (*empty, no_number, finer))
        case "money":
            return _money(place, column, wanted, columns, form, (*empty, no_number))


def _money(
    place: int,
    column: Column,
    wanted: Wanted,
    columns: Mapping[str, Column],
    form: NumberFormat,
    reasons: tuple[tuple[str, str], ...],
) -> Reading:
    raw, value, code = f"r{place}", f"v{place}", f"k{place}"
    sources = f"{identifier(column.name)} AS {raw}"
    too_large = (f"abs({value}) > {MAXIMUM_MINOR}", "too large to be money")
    if not wanted.currency_column:
        digits = minor_digits(wanted.currency) if wanted.currency else 2
        finer = () if wanted.round_finer else ((_finer(raw, column, form, digits), f"more than {digits} decimals"),)
        return Reading(sources, f"{_minor(raw, column, form, digits)} AS {value}", (*reasons, *finer, too_large))
    beside = columns[wanted.currency_column.casefold()]
    sources += f", {identifier(beside.name)} AS c{place}"
    all_digits = sorted(set(MINOR_DIGITS.values()))
    arms = " ".join(f"WHEN {_has(code, each)} THEN {_minor(raw, column, form, each)}" for each in all_digits)
    values = f"{_currency(text_sql(f'c{place}', beside), wanted.currency)} AS {code}, CASE {arms} END AS {value}"
    known = " OR ".join(_has(code, each) for each in all_digits)
    unknown = (f"{code} IS NULL OR NOT ({known})", "no currency of ISO 4217 beside it")
    finer = ()
    if not wanted.round_finer:
        tests = " ".join(f"WHEN {_has(code, each)} THEN {_finer(raw, column, form, each)}" for each in all_digits)
        finer = ((f"CASE {tests} ELSE false END", "finer than the currency's minor unit"),)
    return Reading(sources, values, (unknown, *reasons, *finer, too_large))


def _has(code: str, digits: int) -> str:
    codes = ", ".join(literal(each) for each, number in MINOR_DIGITS.items() if number == digits)
    return f"{code} IN ({codes})"


def _minor(raw: str, column: Column, form: NumberFormat, digits: int) -> str:
    # So wide that the multiplication can't overflow.
    return f"CAST({_decimal(raw, column, form, digits, 18 - digits)} * {10**digits} AS BIGINT)"


def _currency(text: str, default: str | None) -> str:
    """An ISO code from what stands in a currency column: codes in small letters and signs are taken too."""
    signs = " ".join(f"WHEN {literal(sign)} THEN {literal(code)}" for sign, code in _CURRENCY_SIGNS.items())
    code = f"CASE upper({text}) {signs} ELSE upper({text}) END"
    return f"coalesce({code}, {literal(default)})" if default else code


def day_sql(raw: str, column: Column) -> str:
    """The DATE of a column's value, NULL where it is none."""
    return f"CAST({raw} AS DATE)" if _is_dated(column) else date_sql(_as_text(raw, column), _written(column))


def _written(column: Column) -> DateFormat:
    guess = column.date or read_date_format(column.name, column.values, least=_HALF)
    return guess or DateFormat("ymd", None, 0.0, "")


def _is_dated(column: Column) -> bool:
    return (column.native or "").startswith(("DATE", "TIMESTAMP"))


def _is_text(column: Column) -> bool:
    return column.native in (None, "VARCHAR")


def _as_text(raw: str, column: Column) -> str:
    return raw if _is_text(column) else f"CAST({raw} AS VARCHAR)"


def text_sql(raw: str, column: Column) -> str:
    """The trimmed text of a column whose value is `raw`, NULL where it is empty."""
    if column.native in ("DOUBLE", "FLOAT"):
        # Whole numbers that were kept as floats, for some were missing: 10248.0 is document 10248.
        return f"CASE WHEN {raw} = floor({raw}) THEN CAST(try_cast({raw} AS BIGINT) AS VARCHAR) ELSE CAST({raw} AS VARCHAR) END"
    if _is_text(column):
        return f"CASE WHEN contains({raw}, ' ') OR {raw} = '' THEN nullif(trim({raw}), '') ELSE {raw} END"
    return f"CAST({raw} AS VARCHAR)"


def _decimal(raw: str, column: Column, form: NumberFormat, digits: int, width: int = 18) -> str:
    """The value rounded half up to so many digits, NULL where it is no number."""
    if _is_text(column):
        return number_sql(raw, form, f"DECIMAL({width}, {digits})")
    return f"try_cast({raw} AS DECIMAL({width}, {digits}))"


def _finer(raw: str, column: Column, form: NumberFormat, digits: int) -> str:
    if _is_text(column):
        return finer_sql(raw, form, digits)
    if column.native in _INTEGERS:
        return "false"
    rounded = f"try_cast({raw} AS DECIMAL(18, {digits}))"
    if column.native in ("DOUBLE", "FLOAT"):
        return f"coalesce(abs({raw} - CAST({rounded} AS DOUBLE)) > greatest(1e-7, abs({raw}) * 1e-12), false)"
    return f"coalesce({raw} <> {rounded}, false)"
