"""Whether two rows agree, field by field, by a rule's tolerances: the same expressions in every pass."""

from __future__ import annotations

from decimal import Decimal

import ibis

from tallystick.books.reconciliation.numbers import times
from tallystick.books.reconciliation.rules import Match, Rules
from tallystick.documents.money import MINOR_DIGITS

LEFT, RIGHT = "l_", "r_"
FIELDS = ("key", "amount", "currency", "quantity", "price", "date", "party", "item", "status", "reference", "group")


def side_by_side(rows: ibis.Table, prefix: str, *more: str) -> ibis.Table:
    """The rows with each column named for its side, so that both sides fit into one table."""
    names = ("row", *FIELDS, *more)
    return rows.select(**{prefix + name: rows[name] for name in names})


def agreements(
    pair: ibis.Table, match: Match, rules: Rules, lines: ibis.Value | int = 1, fields: tuple[str, ...] | None = None
) -> dict[str, ibis.Value]:
    """For each field that `match` compares, or of those only `fields`, whether both sides of `pair` agree in it.

    `lines` is for tolerances a line.
    """
    compared = rules.compared(match) if fields is None else fields
    found = {field: _agrees(pair, field, match, rules, lines) for field in compared}
    if match.days:
        apart = days_apart(pair)
        found["date"] = apart.between(-match.days.before, match.days.after).fill_null(False)
    return found


def all_of(conditions: dict[str, ibis.Value]) -> ibis.Value:
    """That every condition holds."""
    whole: ibis.Value = ibis.literal(True)
    for each in conditions.values():
        whole = each if whole is None else whole & each
    return whole


def days_apart(pair: ibis.Table) -> ibis.Value:
    """How many days the right date is after the left one."""
    return pair[RIGHT + "date"].delta(pair[LEFT + "date"], unit="day")


def _agrees(pair: ibis.Table, field: str, match: Match, rules: Rules, lines: ibis.Value | int) -> ibis.Value:
    left, right = pair[LEFT + field], pair[RIGHT + field]
    if field == "amount":
        return _near(pair, left, right, match, rules, lines)
    if field == "status" and rules.statuses:
        fits = ibis.literal(False)
        for each in rules.statuses:
            fits |= left.isin(each.left) & right.isin(each.right)
        return (fits | left.identical_to(right)).fill_null(False)
    return left.identical_to(right)


def _near(
    pair: ibis.Table, left: ibis.Value, right: ibis.Value, match: Match, rules: Rules, lines: ibis.Value | int
) -> ibis.Value:
    """Whether two amounts are within any of the tolerances."""
    allowed, apart = match.tolerance, (left - right).abs()
    within = left == right
    if allowed.absolute:
        within |= apart <= minor_of(pair, allowed.absolute, rules)
    if allowed.percent:
        larger = ibis.greatest(left.abs(), right.abs())
        share = ibis.literal((allowed.percent / 100).quantize(Decimal("1e-8")), type="decimal(10, 8)")
        within |= apart.cast("decimal(38, 8)") <= times(larger, share)
    if allowed.per_line:
        within |= apart <= minor_of(pair, allowed.per_line, rules) * lines
    return within.fill_null(False)


def minor_of(pair: ibis.Table, amount: Decimal, rules: Rules) -> ibis.Value | int:
    """An amount of the rules in whole minor units, by the currency of each pair."""
    if not (rules.left.columns.currency or rules.right.columns.currency):
        return int(amount.scaleb(MINOR_DIGITS[rules.currency]))
    currency = ibis.coalesce(pair[LEFT + "currency"], pair[RIGHT + "currency"])
    by_digits = {digits: [code for code, each in MINOR_DIGITS.items() if each == digits] for digits in (0, 3, 4)}
    return ibis.cases(
        *((currency.isin(codes), int(amount.scaleb(digits))) for digits, codes in by_digits.items()),
        else_=int(amount.scaleb(2)),
    )
