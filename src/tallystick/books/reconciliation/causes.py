"""Root causes: the first whose conditions hold is what a break is put down to, with its evidence in words."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from importlib.resources import files

import ibis
from pydantic import TypeAdapter

from tallystick.books.reconciliation.conditions import Condition
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.rules import Cause, Rules
from tallystick.documents.money import MINOR_DIGITS

_FIELD = re.compile(r"\{(\w+)\}")
_MONEY = ("amount_difference", "left_amount", "right_amount")
_COLUMNS = {
    **{f"left_{each}": f"l_{each}" for each in ("amount", "status", "currency", "party", "reference", "rows", "key")},
    **{f"right_{each}": f"r_{each}" for each in ("amount", "status", "currency", "party", "reference", "rows", "key")},
    **{
        f"{side}_{each}": f"{side[0]}_{each}"
        for side in ("left", "right")
        for each in ("price", "quantity", "date", "item")
    },
}


@cache
def standard_causes() -> tuple[Cause, ...]:
    """The causes that come with Tallystick, in the order in which they are tried."""
    import tomllib

    text = files("tallystick.books.reconciliation").joinpath("standard_causes.toml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Cause, ...]).validate_python(tomllib.loads(text, parse_float=Decimal)["cause"])


def causes_of(rules: Rules) -> tuple[Cause, ...]:
    """The causes that a run tries: the file's own before the standard ones."""
    return (*rules.causes, *(standard_causes() if rules.standard_causes else ()))


def name_causes(engine: Engine, found: ibis.Table, rules: Rules) -> ibis.Table:
    """The breaks with `cause`, `cause_kind`, `confidence` and `correction`; null where nothing explains them."""
    causes = causes_of(rules)
    which = (
        ibis.cases(*((_holds(found, each, rules), index) for index, each in enumerate(causes)), else_=-1)
        if causes
        else -1
    )
    rows = engine.keep("found", found.mutate(cause_number=which))
    known = engine.list(
        "known_causes",
        {"of_cause": "int", "cause": "text", "cause_kind": "text", "confidence": "double", "correction": "text"},
        [
            (index, each.name, str(each.kind), float(each.confidence), each.correction)
            for index, each in enumerate(causes)
        ],
    )
    return rows.left_join(known, [("cause_number", "of_cause")]).drop("of_cause")


def with_evidence(breaks: ibis.Table, rules: Rules) -> ibis.Table:
    """The same with `evidence` in words, which are put together when they are read."""
    number = breaks["cause_number"]
    worded = [(number == index, _worded(breaks, each.evidence)) for index, each in enumerate(causes_of(rules))]
    text = ibis.cases(*worded, else_=ibis.null("string")) if worded else ibis.null("string")
    return breaks.mutate(evidence=text)


def _holds(rows: ibis.Table, cause: Cause, rules: Rules) -> ibis.Value:
    whole: ibis.Value = ibis.literal(True)
    for condition in cause.when:
        whole &= _condition(rows, condition, rules)
    return whole.fill_null(False)


def _condition(rows: ibis.Table, condition: Condition, rules: Rules) -> ibis.Value:
    value = rows[_COLUMNS.get(condition.field, condition.field)]
    if condition.is_true is not None:
        return value == condition.is_true
    if condition.is_in is not None or condition.not_in is not None:
        chosen = value.lower().isin([each.lower() for each in condition.is_in or condition.not_in or ()])
        return chosen if condition.is_in is not None else (~chosen).fill_null(True)
    bounds: ibis.Value = ibis.literal(True)
    if condition.at_least is not None:
        bounds &= value >= _bound(condition, condition.at_least, rules)
    if condition.at_most is not None:
        bounds &= value <= _bound(condition, condition.at_most, rules)
    return bounds


def _bound(condition: Condition, bound: Decimal, rules: Rules) -> ibis.Value | int:
    """A bound of money in minor units; any other as it stands."""
    if condition.field in _MONEY:
        return int(bound.scaleb(MINOR_DIGITS[rules.currencies.to if rules.currencies else rules.currency]))
    return ibis.literal(bound, type="decimal(18, 6)")


def _worded(rows: ibis.Table, text: str) -> ibis.Value:
    """A text with each {field} as the break has it."""
    words: ibis.Value = ibis.literal("")
    for index, part in enumerate(_FIELD.split(text)):
        if not part:
            continue
        words = words + (ibis.literal(part) if index % 2 == 0 else _told(rows, part))
    return words


def _told(rows: ibis.Table, field: str) -> ibis.Value:
    name = _COLUMNS.get(field, field)
    if name not in rows.columns:
        return ibis.literal("{" + field + "}")
    if field in (*_MONEY, "money_at_risk"):
        return money_text(rows[name], rows["currency"])
    text = rows[name].cast("string")
    if rows[name].type().is_decimal():
        text = text.re_replace(r"(\.\d*?)0+$", r"\1").re_replace(r"\.$", "")
    return text.fill_null("nothing")


def money_text(amount: ibis.Value, currency: ibis.Value) -> ibis.Value:
    """Minor units as a decimal with the digits of the currency, as text."""
    sign, size = ibis.ifelse(amount < 0, "-", ""), amount.abs()
    plain = {digits: [code for code, each in MINOR_DIGITS.items() if each == digits] for digits in (0, 3, 4)}

    def written(digits: int) -> ibis.Value:
        if digits == 0:
            return sign + size.cast("string")
        whole, rest = size // 10**digits, size % 10**digits
        return sign + whole.cast("int64").cast("string") + "." + rest.cast("int64").cast("string").lpad(digits, "0")

    choices = [(currency.isin(codes), written(digits)) for digits, codes in plain.items()]
    return ibis.cases(*choices, else_=written(2)).fill_null("nothing")
