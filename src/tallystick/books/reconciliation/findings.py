"""What can be found out about each break besides its class: the facts by which root causes are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import ibis

from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.matching import Matched
from tallystick.books.reconciliation.numbers import times
from tallystick.books.reconciliation.rules import Rules

_NEAR_DAYS = 7
"""How far apart the dates of two rows may be that are one under two keys."""


@dataclass(frozen=True, slots=True)
class Wholes:
    """Both sides as they came, for what can't be seen in the breaks alone."""

    left: ibis.Table
    right: ibis.Table


def find_out(engine: Engine, breaks: ibis.Table, matched: Matched, wholes: Wholes, rules: Rules) -> ibis.Table:
    """The breaks with a column for each finding that a cause may ask for."""
    rows = _twins(breaks)
    rows = _repeats(rows, matched)
    rows = _earlier_prices(engine, rows, wholes, rules)
    ends = _last_days(engine, wholes, rules)
    larger, smaller = _larger_and_smaller(rows, "quantity")
    dear, cheap = _larger_and_smaller(rows, "price")
    apart = rows["amount_difference"].abs()
    lines = ibis.greatest(rows["l_rows"].fill_null(0), rows["r_rows"].fill_null(0), 1)
    pair = rows["side"] == "both"
    end = ibis.cases((rows["side"] == "left", ends[1]), (rows["side"] == "right", ends[0]), else_=ibis.null("date"))
    day = ibis.coalesce(rows["l_date"], rows["r_date"])
    return rows.mutate(
        quantity_difference=rows["l_quantity"] - rows["r_quantity"],
        price_difference=rows["l_price"] - rows["r_price"],
        # A quotient only for people and for bounds; whether it is a pack size is asked by multiplication.
        quantity_factor=(larger.cast("float64") / smaller.cast("float64").nullif(0.0)),
        price_factor=(dear.cast("float64") / cheap.cast("float64").nullif(0.0)),
        a_pack_size_apart=pair & _packs(rows, rules),
        a_tax_rate_apart=pair & (apart > 0) & _taxes(rows, apart, rules),
        a_rounding_apart=pair
        & (apart > 0)
        & (apart <= lines)
        & rows["l_quantity"].identical_to(rows["r_quantity"])
        & rows["l_price"].identical_to(rows["r_price"]),
        months_differ=pair & (rows["l_date"].truncate("M") != rows["r_date"].truncate("M")).fill_null(False),
        party_missing=pair & (rows["l_party"].isnull() != rows["r_party"].isnull()),
        days_to_the_end=end.delta(day, unit="day").cast("int64"),
    )


def _packs(rows: ibis.Table, rules: Rules) -> ibis.Value:
    """Whether quantities are a pack size apart and prices just so the other way round, or prices alone where they have none.

    A price for a pack was divided and rounded somewhere, so half a cent a piece is forgiven; only what is worth fifty cents a
    piece can be judged so, for cheap things are near every multiple. The same price for a twelfth of the quantity is no
    matter of units: that is a part of what was ordered.
    """
    larger, smaller = _larger_and_smaller(rows, "quantity")
    dear, cheap = _larger_and_smaller(rows, "price")
    no_price, same_quantity = dear.isnull() & cheap.isnull(), rows["l_quantity"].identical_to(rows["r_quantity"])
    fits = ibis.literal(False)
    for size in rules.pack_sizes:
        priced_so = ((dear - cheap * size).abs() <= Decimal("0.005") * size) & (cheap >= Decimal("0.5"))
        counted_so = (larger == smaller * size) & (smaller > 0)
        fits |= (counted_so & (no_price | priced_so)).fill_null(False) | (same_quantity & priced_so).fill_null(False)
    return fits


def _larger_and_smaller(rows: ibis.Table, field: str) -> tuple[ibis.Value, ibis.Value]:
    left, right = rows[f"l_{field}"].abs(), rows[f"r_{field}"].abs()
    return ibis.greatest(left, right), ibis.least(left, right)


def _taxes(rows: ibis.Table, apart: ibis.Value, rules: Rules) -> ibis.Value:
    """Whether the difference is one of the tax rates of either amount, or of the two rates' difference, to the minor unit."""
    fits = ibis.literal(False)
    for rate in rules.tax_rates:
        share = ibis.literal((rate / 100).quantize(Decimal("1e-8")), type="decimal(10, 8)")
        for side in ("l_amount", "r_amount"):
            tax = times(rows[side].abs(), share)
            fits |= (apart.cast(tax.type()) - tax).abs() <= 1
    return fits.fill_null(False)


def _twins(breaks: ibis.Table) -> ibis.Table:
    """For each single row the only row on the other side with the same money and party, and nearly the same day."""
    left = breaks.filter(breaks["class"] == "missing_right").select(
        own="number", amount="l_amount", party="l_party", money="currency", day="l_date", name="l_key"
    )
    right = breaks.filter(breaks["class"] == "missing_left").select(
        other="number", amount="r_amount", party="r_party", money="currency", other_day="r_date", other_name="r_key"
    )
    met = left.inner_join(right, ["amount", "party", "money"])
    apart = met["day"].delta(met["other_day"], unit="day").abs().fill_null(0)
    near = met.filter((apart <= _NEAR_DAYS) & (met["amount"] != 0))
    counted = near.mutate(
        of_own=near.count().over(ibis.window(group_by="own")), of_other=near.count().over(ibis.window(group_by="other"))
    )
    alone = counted.filter((counted["of_own"] == 1) & (counted["of_other"] == 1))
    twins = alone.select(twin_of="own", twin_key="other_name").union(alone.select(twin_of="other", twin_key="name"))
    joined = breaks.left_join(twins, [("number", "twin_of")])
    return joined.mutate(twin_on_the_other_side=joined["twin_of"].notnull()).drop("twin_of")


def _repeats(breaks: ibis.Table, matched: Matched) -> ibis.Table:
    """Whether another row of the same side has the same key and the same money: sent twice, and not merely numbered alike."""
    counted = [
        side.group_by("key", "amount").aggregate(n=side.count()).filter(lambda each: each["n"] > 1)
        for side in (matched.examined.left, matched.examined.right)
    ]
    joined = breaks
    for rows, prefix, name in ((counted[0], "l_", "left_again"), (counted[1], "r_", "right_again")):
        again = rows.select(again_key="key", again_amount="amount", **{name: ibis.literal(True)})
        same = [(prefix + "key", "again_key"), (prefix + "amount", "again_amount")]
        joined = joined.left_join(again, same).drop("again_key", "again_amount")
    several = (joined["l_rows"].fill_null(0) > 1) | (joined["r_rows"].fill_null(0) > 1)
    again = joined["left_again"].fill_null(False) | joined["right_again"].fill_null(False) | several
    return joined.mutate(repeats_a_row=(joined["class"] == "duplicate") & again).drop("left_again", "right_again")


def _earlier_prices(engine: Engine, breaks: ibis.Table, wholes: Wholes, rules: Rules) -> ibis.Table:
    """Whether one side's price is what the other side charged for the item until it changed to the price that it charges now.

    It needs items, prices and dates on both sides, and reads them once more for the items and prices in question.
    """
    if not all({"item", "price", "date"} <= side.columns.named() for side in (rules.left, rules.right)):
        return breaks.mutate(price_used_before=ibis.literal(False))
    wrong = breaks.filter(breaks["class"] == "price")
    wrong = engine.keep(
        "price_breaks", wrong.select("number", "l_item", "r_item", "l_price", "r_price", "l_date", "r_date")
    )
    before = breaks.filter(ibis.literal(False)).select("number")
    if engine.count(wrong):
        stale = [_stale(wrong, "r_", "l_", wholes.left), _stale(wrong, "l_", "r_", wholes.right)]
        before = stale[0].union(stale[1], distinct=True)
    known = engine.keep("earlier_prices", before.select(before="number"))
    return breaks.mutate(price_used_before=breaks["number"].isin(known["before"]))


def _stale(wrong: ibis.Table, old: str, new: str, whole: ibis.Table) -> ibis.Table:
    """The breaks in which the price of side `old` is the one before the price of side `new`, whose rows are `whole`."""
    asked = wrong.select(item=new + "item", price=new + "price").union(
        wrong.select(item=new + "item", price=old + "price"), distinct=True
    )
    rows = whole.select("item", "price", "date").semi_join(asked, ["item", "price"])
    used = rows.group_by("item", "price").aggregate(
        first=rows["date"].min(), last=rows["date"].max(), uses=rows.count()
    )
    met = wrong.inner_join(
        used.rename(old_item="item", old_price="price", old_first="first", old_last="last", old_uses="uses"),
        [(new + "item", "old_item"), (old + "price", "old_price")],
    )
    met = met.inner_join(
        used.rename(new_item="item", new_price="price", new_first="first", new_last="last", new_uses="uses"),
        [(new + "item", "new_item"), (new + "price", "new_price")],
    )
    changed = (met["old_last"] < met["new_first"]) & (met["new_first"] <= met[new + "date"])
    changed &= met["new_uses"] > 1  # by this row alone it is no price of the list
    return met.filter(changed).select("number")


def _last_days(engine: Engine, wholes: Wholes, rules: Rules) -> tuple[ibis.Value, ibis.Value]:
    """The last day of each side: what is younger than the other side's can't have come there yet."""
    days = []
    for whole, side in ((wholes.left, rules.left), (wholes.right, rules.right)):
        last = engine.fetch(whole.aggregate(day=whole["date"].max()))[0]["day"] if side.columns.date else None
        days.append(ibis.literal(last, type="date") if last else ibis.null("date"))
    return days[0], days[1]
