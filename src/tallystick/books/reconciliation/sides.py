"""One side made canonical: whatever the source calls its columns, fields with our names, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import ibis

from tallystick.books.reconciliation.keys import as_text, changes_nothing, normalised
from tallystick.books.reconciliation.numbers import Parsed, converted, minor_units, six_digits, times
from tallystick.books.reconciliation.rules import Conversion, Day, Rules, Side, Text
from tallystick.documents.money import MINOR_DIGITS

RAW = "raw_"
"""Texts as the source has them: where those are equal they need no trimming to be so."""
FIELD_TYPES = {
    "key": "string",
    "amount": "int64",
    "currency": "string",
    "quantity": "decimal(18, 6)",
    "price": "decimal(18, 6)",
    "date": "date",
    "party": "string",
    "item": "string",
    "status": "string",
    "reference": "string",
    "group": "string",
}


# Text as a time by a format, null where it does not fit: the engine's own function.
_try_strptime = ibis.udf.scalar.builtin(
    lambda text, form: None, name="try_strptime", signature=(("string", "string"), "timestamp")
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row can't take part."""

    where: ibis.expr.types.BooleanValue
    column: str
    value: ibis.Value
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A side ready to be matched; nothing is computed yet."""

    rows: ibis.Table
    """`row`, the fields of FIELD_TYPES (null where the source has none), `sound`, and why not: `column`, `value`, `reason`."""
    parts: tuple[str, ...]
    """The columns of `rows` that are the parts of the key."""
    of_rows: Callable[[ibis.Table], ibis.Table]
    """The same of only those rows whose number is in the column `row` of a table, so that nothing is worked out for others."""

    def whole(self) -> ibis.Table:
        """The rows without what only the first pass needs."""
        return _lasting(self.rows)


def _lasting(rows: ibis.Table) -> ibis.Table:
    return rows.select("row", *FIELD_TYPES, "sound", "column", "value", "reason")


def prepare(
    source: ibis.Table, side: Side, rules: Rules, number: str = "__row", written: Sequence[str | None] | None = None
) -> Prepared:
    """A side's rows by its rules. `number` is the column of `source` with the number of each row.

    `written` are all values that its column of currency has: to ask for those few is far cheaper than for all of ISO 4217.
    """

    def of_rows(numbers: ibis.Table) -> ibis.Table:
        return _lasting(_canonical(source.semi_join(numbers, [(number, "row")]), side, rules, number, written)[0])

    return Prepared(*_canonical(source, side, rules, number, written), of_rows)


def _canonical(
    source: ibis.Table, side: Side, rules: Rules, number: str, written: Sequence[str | None] | None
) -> tuple[ibis.Table, tuple[str, ...]]:
    columns, keys = side.columns, side.keys or rules.keys
    plain = changes_nothing(keys) and not (rules.left.keys or rules.right.keys)
    parts = [source[each] if plain and _whole(source[each]) else normalised(source[each], keys) for each in columns.key]
    parts = [each.cast("int64") if _whole(each) else each.nullif("") for each in parts]
    faults = [
        Fault(part.isnull(), name, as_text(source[name]), "the key is empty")
        for part, name in zip(parts, columns.key, strict=True)
    ]
    fields: dict[str, ibis.Value] = {"key": _joined(parts)}
    raw: dict[str, ibis.Value] = {}
    currency = _currency(source, side, rules.currency, faults, written)
    _money(source, side, rules, currency, fields, faults)
    _quantities(source, side, rules, fields, faults)
    if columns.date:
        day = day_of(source[columns.date.column], columns.date)
        _checked(day, columns.date.column, source, faults)
        fields["date"] = day.value
    for name in ("party", "item", "status", "reference", "group"):
        rule = getattr(columns, name)
        if rule is not None:
            fields[name] = text_of(source, rule)
            if rule.column is not None:
                raw[RAW + name] = as_text(source[rule.column])
    every = {name: fields.get(name, ibis.null(kind)).cast(kind) for name, kind in FIELD_TYPES.items()}
    named = {f"part_{index}": part for index, part in enumerate(parts)}
    return source.select(row=source[number], **named, **every, **raw, **_why(faults)), tuple(named)


def _whole(value: ibis.Value) -> bool:
    return bool(value.type().is_integer())


def _joined(parts: list[ibis.Value]) -> ibis.Value:
    """All parts as one text; a bar within a part is told from the bars between them."""
    texts = [each.cast("string") for each in parts]
    if len(texts) == 1:
        return texts[0]
    whole = texts[0].replace("|", "\\|")
    for each in texts[1:]:
        whole = whole + "|" + each.replace("|", "\\|")
    return whole


def _currency(
    source: ibis.Table, side: Side, default: str, faults: list[Fault], written: Sequence[str | None] | None
) -> ibis.Value | str:
    """The currency of each row, or of all."""
    rule = side.columns.currency
    if rule is None or rule.column is None:
        return rule.constant if rule and rule.constant else default
    code = source[rule.column].cast("string")
    known: list[str] = list(MINOR_DIGITS)
    if written is not None and all(each is None or each == each.strip().upper() for each in written):
        known = [each for each in written if each in MINOR_DIGITS] or ["none"]
    else:
        code = code.strip().upper()
    faults.append(Fault(~code.isin(known).fill_null(False), rule.column, code, "is no currency of ISO 4217"))
    return code


def _money(
    source: ibis.Table,
    side: Side,
    rules: Rules,
    currency: ibis.Value | str,
    fields: dict[str, ibis.Value],
    faults: list[Fault],
) -> None:
    exchange: Conversion | None = rules.currencies
    fields["currency"] = ibis.literal(currency) if isinstance(currency, str) else currency
    rule = side.columns.amount
    if rule is None:
        return
    shown = rule.column or f"{rule.price} × {rule.quantity}"
    amount = minor_units(source, rule, currency)
    told = source[rule.column] if rule.column else source[rule.price or ""]
    faults.append(Fault(amount.value.isnull() & _or_false(amount.bad), shown, as_text(told), amount.reason))
    faults.append(Fault(amount.value.isnull(), shown, as_text(told), "the amount is missing"))
    value = amount.value if side.sign > 0 else -amount.value
    if exchange:
        value = converted(value, currency, exchange.to, exchange.rates)
        no_rate = amount.value.notnull() & value.isnull()
        faults.append(Fault(no_rate, "currency", fields["currency"], f"has no rate to {exchange.to}"))
        fields["currency"] = ibis.literal(exchange.to)
    fields["amount"] = value


def _or_false(condition: ibis.expr.types.BooleanValue | None) -> ibis.expr.types.BooleanValue:
    return ibis.literal(False) if condition is None else condition


def _quantities(
    source: ibis.Table, side: Side, rules: Rules, fields: dict[str, ibis.Value], faults: list[Fault]
) -> None:
    """Quantities and prices in the smallest unit, where there is a table of units."""
    columns = side.columns
    unit = text_of(source, columns.unit) if columns.unit and rules.units else None
    for name, rule in (("quantity", columns.quantity), ("price", columns.price)):
        if rule is None:
            continue
        parsed = six_digits(source[rule.column], rule.decimal)
        _checked(parsed, rule.column, source, faults)
        value = parsed.value
        if unit is not None:
            factors = {
                code: factor if name == "quantity" else (Decimal(1) / factor) for code, factor in rules.units.items()
            }
            value = times(value, _by_unit(unit, factors)).cast("decimal(18, 6)")
        fields[name] = -value if side.sign < 0 and name == "quantity" else value
    if unit is not None and columns.unit:
        known = unit.isnull() | unit.isin(list(rules.units))
        faults.append(Fault(~known, columns.unit.column or "unit", unit, "is not in the table of units"))


def _by_unit(unit: ibis.Value, factors: dict[str, Decimal]) -> ibis.Value:
    kind = "decimal(19, 10)"
    exact = [
        (unit == code, ibis.literal(factor.quantize(Decimal("1e-10")), type=kind)) for code, factor in factors.items()
    ]
    return ibis.cases(*exact, else_=ibis.literal(Decimal(1), type=kind))


def _checked(parsed: Parsed, column: str, source: ibis.Table, faults: list[Fault]) -> None:
    if parsed.bad is not None:
        faults.append(Fault(parsed.bad.fill_null(False), column, as_text(source[column]), parsed.reason))


def text_of(source: ibis.Table, rule: Text) -> ibis.Value:
    """A field of text; what is empty is not there."""
    if rule.column is None:
        return ibis.literal(rule.constant)
    return as_text(source[rule.column]).strip().nullif("")


def day_of(column: ibis.Value, rule: Day) -> Parsed:
    """A column as a date."""
    if column.type().is_date():
        return Parsed(column)
    if column.type().is_timestamp():
        return Parsed(column.date())
    text = as_text(column).strip()
    if rule.format == "excel":
        number = column.try_cast("float64").floor().try_cast("int32")
        value = ibis.literal("1899-12-30", type="date") + number.as_interval("D")
        value = value.cast("date")
    elif rule.format:
        value = _try_strptime(text, rule.format).date()
    else:
        value = text.try_cast("timestamp").date()
    return Parsed(value, (text.length() > 0) & value.isnull(), "is no date, or not of the format")


def _why(faults: list[Fault]) -> dict[str, ibis.Value]:
    """The first fault of each row, and whether it has none."""
    if not faults:
        return {"sound": ibis.literal(True), **{each: ibis.null("string") for each in ("column", "value", "reason")}}
    wrong = faults[0].where
    for each in faults[1:]:
        wrong |= each.where
    return {
        "sound": ~wrong,
        "column": ibis.cases(*((each.where, each.column) for each in faults), else_=ibis.null("string")),
        "value": ibis.cases(*((each.where, each.value) for each in faults), else_=ibis.null("string")),
        "reason": ibis.cases(*((each.where, each.reason) for each in faults), else_=ibis.null("string")),
    }
