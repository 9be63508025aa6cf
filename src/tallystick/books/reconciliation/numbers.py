"""Numbers of any source as exact decimals, and decimals as whole minor units, as expressions; nothing is a float on the way."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import ibis
import ibis.expr.datatypes as dt

from tallystick.books.reconciliation.rules import Amount, Decimals
from tallystick.documents.money import MINOR_DIGITS, Rounding

# Wide enough for any amount with nine decimals; narrower ones are faster, so typed columns keep what they have.
_WIDE = "decimal(38, 9)"
_FROM_FLOAT = "decimal(18, 4)"
_SIX = "decimal(18, 6)"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value, and where it could not be made of what stood there (None: it always can)."""

    value: ibis.Value
    bad: ibis.expr.types.BooleanValue | None = None
    reason: str = ""


def times(left: ibis.Value, right: ibis.Value) -> ibis.Value:
    """The exact product of two decimals, as wide as there is; Ibis' own `*` takes none of different scales."""
    scales = [0 if each.type().is_integer() else each.type().scale for each in (left, right)]
    kinds = tuple(f"decimal(38, {scale})" for scale in scales)
    product = ibis.udf.scalar.builtin(
        lambda left, right: None, name="multiply", signature=(kinds, f"decimal(38, {sum(scales)})")
    )
    return product(left.cast(kinds[0]), right.cast(kinds[1]))


def decimal_of(column: ibis.Value, mark: Decimals, wanted: str = _WIDE) -> Parsed:
    """A column as a decimal: text by its decimal mark, with or without signs of thousands, (12.30) and 12.30- being negative."""
    if column.type().is_decimal():
        return Parsed(column)
    if column.type().is_integer():
        return Parsed(column.cast("decimal(19, 0)"))
    if column.type().is_floating():
        value = column.try_cast(_FROM_FLOAT if wanted == _WIDE else wanted)
        return Parsed(value, column.notnull() & value.isnull(), "is no number, or too large")
    text = column.cast("string").strip()
    grouping = r"[\s'.\x{a0}\x{202f}]" if mark == "," else r"[\s',\x{a0}\x{202f}]"
    plain = text.re_replace(grouping, "").replace(mark, ".") if mark == "," else text.re_replace(grouping, "")
    plain = plain.re_replace(r"^\((.*)\)$", r"-\1").re_replace(r"^([^-]*)-$", r"-\1")
    value = plain.try_cast(wanted)
    return Parsed(value, (text.length() > 0) & value.isnull(), "is no number")


def six_digits(column: ibis.Value, mark: Decimals) -> Parsed:
    """A quantity or unit price with six decimals."""
    kind, too_large = column.type(), "is too large"
    if kind.is_integer() and kind.nbytes <= 4:
        return Parsed(column.cast(_SIX))
    if kind.is_decimal() and kind.scale <= 6 and kind.precision - kind.scale <= 12:
        return Parsed(column.cast(_SIX))
    if kind.is_integer():  # a cast that may fail costs five times as much as asking first
        fits = column.between(-(10**12) + 1, 10**12 - 1)
        return Parsed(ibis.ifelse(fits, column, ibis.null(kind)).cast(_SIX), ~fits, too_large)
    parsed = decimal_of(column, mark, _SIX)
    value = parsed.value if parsed.value.type() == dt.dtype(_SIX) else parsed.value.try_cast(_SIX)
    return Parsed(
        value, column.notnull() & value.isnull() if parsed.bad is None else parsed.bad, "is no number, or too large"
    )


def minor_units(table: ibis.Table, rule: Amount, currency: ibis.Value | str) -> Parsed:
    """An amount in whole minor units of its currency."""
    if rule.column:
        parsed = decimal_of(table[rule.column], rule.decimal)
        if rule.minor and table[rule.column].type().is_integer():
            return Parsed(table[rule.column].cast("int64"))
    else:
        parsed = _product(table, rule)
    digits = _digits(currency) if not rule.minor else 0
    kept, power = parsed.value.type(), digits if isinstance(digits, int) else None
    if power is not None and kept.scale <= power:
        narrow = kept.precision <= 15 - power
        scaled = parsed.value * 10**power if narrow else times(parsed.value, ibis.literal(10**power, type="int64"))
        return Parsed(scaled.cast("int64"), parsed.bad, parsed.reason)
    scaled = times(parsed.value, ibis.literal(10**power, "int64") if power is not None else _power(digits))
    if rule.rounds:
        return Parsed(rounded(scaled, rule.rounds), parsed.bad, parsed.reason)
    whole = scaled.floor().cast("int64")
    too_fine = (whole.cast(scaled.type()) != scaled).fill_null(False)
    bad = too_fine if parsed.bad is None else parsed.bad | too_fine
    return Parsed(
        ibis.ifelse(bad, ibis.null("int64"), whole), bad, "is no number, or has more decimals than the currency"
    )


def _product(table: ibis.Table, rule: Amount) -> Parsed:
    """Price × quantity × (1 − discount), exactly: 6 + 4 + 6 decimals are the sixteen that fit."""
    price = decimal_of(table[rule.price or ""], rule.decimal, _SIX)
    quantity = decimal_of(table[rule.quantity or ""], rule.decimal, "decimal(12, 4)")
    value = times(price.value.try_cast(_SIX), quantity.value.try_cast("decimal(12, 4)"))
    if rule.discount:
        discount = decimal_of(table[rule.discount], rule.decimal, "decimal(7, 6)").value.try_cast("decimal(7, 6)")
        value = times(value, ibis.literal(Decimal(1), type="decimal(7, 6)") - discount)
    missing = table[rule.price or ""].notnull() & table[rule.quantity or ""].notnull() & value.isnull()
    return Parsed(value, missing, "price, quantity or discount is no number")


def rounded(value: ibis.Value, rule: Rounding) -> ibis.Value:
    """A decimal to a whole number, by floor and comparison: every engine knows these alike, and none knows both roundings."""
    if value.type().scale == 0:
        return value.cast("int64")
    half = ibis.literal(Decimal("0.5"), type=value.type())
    if rule is Rounding.HALF_UP:
        away = (value.abs() + half).floor().cast("int64")
        return ibis.ifelse(value < 0, -away, away)
    whole = value.floor().cast("int64")
    rest = value - whole.cast(value.type())
    odd = (whole % 2).abs().cast("int64")
    return whole + ibis.cases(
        (rest > half, ibis.literal(1, "int64")), (rest < half, ibis.literal(0, "int64")), else_=odd
    )


def _digits(currency: ibis.Value | str) -> int | ibis.Value:
    """Digits after the point: of one currency a number, of a column an expression."""
    if isinstance(currency, str):
        return MINOR_DIGITS[currency]
    odd = {digits: [code for code, each in MINOR_DIGITS.items() if each == digits] for digits in (0, 3, 4)}
    return ibis.cases(*((currency.isin(codes), digits) for digits, codes in odd.items()), else_=2)


def _power(digits: int | ibis.Value) -> ibis.Value:
    return ibis.cases(*((digits == each, 10**each) for each in (0, 3, 4)), else_=100).cast("int64")


def converted(amount: ibis.Value, currency: ibis.Value | str, to: str, rates: dict[str, Decimal]) -> ibis.Value:
    """Minor units of any currency in minor units of `to`, rounded half up; null where there is no rate."""
    factors = {
        code: rate.scaleb(MINOR_DIGITS[to] - MINOR_DIGITS[code]).quantize(Decimal("1e-12"))
        for code, rate in rates.items()
    }
    factors[to] = Decimal(1)
    if isinstance(currency, str):
        factor: ibis.Value = ibis.literal(factors[currency], type="decimal(19, 12)")
    else:
        each = [(currency == code, ibis.literal(value, type="decimal(19, 12)")) for code, value in factors.items()]
        factor = ibis.cases(*each, else_=ibis.null("decimal(19, 12)"))
    return rounded(times(amount, factor), Rounding.HALF_UP)
