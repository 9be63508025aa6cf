"""What can be found out about each break besides its class: the facts by which root causes are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import ibis

from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.matching import Matched
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
    larger = ibis.greatest(rows["l_quantity"].abs(), rows["r_quantity"].abs())
    smaller = ibis.least(rows["l_quantity"].abs(), rows["r_quantity"].abs())
    dear = ibis.greatest(rows["l_price"].abs(), rows["r_price"].abs())
    cheap = ibis.least(rows["l_price"].abs(), rows["r_price"].abs())
    apart = rows["amount_difference"].abs()
    lines = ibis.greatest(rows["l_rows"].fill_null(0), rows["r_rows"].fill_null(0), 1)
    pair = rows["side"] == "both"
    end = ibis.cases((rows["side"] == "left", ends[1]), (rows["side"] == "right", ends[0]), else_=ibis.null("date"))
    day = ibis.coalesce(rows["l_date"], rows["r_date"])
    return engine.keep(
        "found",
        rows.mutate(
            quantity_difference=rows["l_quantity"] - rows["r_quantity"],
            price_difference=rows["l_price"] - rows["r_price"],
            # A quotient only for people and for bounds; whether it is a pack size is asked by multiplication.
            quantity_factor=(larger.cast("float64") / smaller.cast("float64").nullif(0.0)),
            price_factor=(dear.cast("float64") / cheap.cast("float64").nullif(0.0)),
            a_pack_size_apart=pair & (_packs(larger, smaller, rules) | _packs_of_price(dear, cheap, rules)),
            a_tax_rate_apart=pair & (apart > 0) & _taxes(rows, apart, rules),
            a_rounding_apart=pair
            & (apart > 0)
            & (apart <= lines)
            & rows["l_quantity"].identical_to(rows["r_quantity"])
            & rows["l_price"].identical_to(rows["r_price"]),
            months_differ=pair & (rows["l_date"].truncate("M") != rows["r_date"].truncate("M")).fill_null(False),
            party_missing=pair & (rows["l_party"].isnull() != rows["r_party"].isnull()),
            days_to_the_end=end.delta(day, unit="day").cast("int64"),
        ),
    )


def _packs(larger: ibis.Value, smaller: ibis.Value, rules: Rules) -> ibis.Value:
    fits = ibis.literal(False)
    for size in rules.pack_sizes:
        fits |= larger == smaller * size
    return (fits & (smaller > 0)).fill_null(False)


def _packs_of_price(dear: ibis.Value, cheap: ibis.Value, rules: Rules) -> ibis.Value:
    """A price for a pack has been divided and rounded somewhere, so it is a pack size within half a percent of a cent a piece."""
    fits = ibis.literal(False)
    half_a_cent = ibis.literal(Decimal("0.005"), type="decimal(4, 3)")
    for size in rules.pack_sizes:
        fits |= (dear - cheap * size).abs() <= half_a_cent * size
    # Cheap things are near every multiple; only what is worth a dollar a piece can be judged so.
    return (fits & (cheap >= 1)).fill_null(False)


def _taxes(rows: ibis.Table, apart: ibis.Value, rules: Rules) -> ibis.Value:
    """Whether the difference is one of the tax rates of either amount, or of the two rates' difference, to the minor unit."""
    fits = ibis.literal(False)
    for rate in rules.tax_rates:
        share = ibis.literal((rate / 100).quantize(Decimal("1e-8")), type="decimal(10, 8)")
        for side in ("l_amount", "r_amount"):
            tax = rows[side].abs().cast("decimal(18, 0)") * share
            fits |= (apart.cast("decimal(18, 0)") - tax).abs() <= 1
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
    """Whether one side's price is what the item cost on the other side before: then the one has an old price list.

    It needs items, prices and dates on both sides, and reads them once more for the items in question.
    """
    if not all({"item", "price", "date"} <= side.columns.named() for side in (rules.left, rules.right)):
        return breaks.mutate(price_used_before=ibis.literal(False))
    wrong = engine.keep("price_breaks", breaks.filter(breaks["class"] == "price"))
    found = []
    for own, other, whole in (("l_", "r_", wholes.right), ("r_", "l_", wholes.left)):
        asked = wrong.select(
            number="number", item=wrong[own + "item"], price=wrong[own + "price"], day=wrong[other + "date"]
        )
        prices = whole.select(known_item="item", known_price="price", known_day="date")
        met = asked.inner_join(prices, [("item", "known_item"), ("price", "known_price")])
        found.append(met.filter(met["known_day"] < met["day"]).select(before=met["number"]))
    before = engine.keep("earlier_prices", found[0].union(found[1]).distinct())
    return breaks.mutate(price_used_before=breaks["number"].isin(before["before"]))


def _last_days(engine: Engine, wholes: Wholes, rules: Rules) -> tuple[ibis.Value, ibis.Value]:
    """The last day of each side: what is younger than the other side's can't have come there yet."""
    days = []
    for whole, side in ((wholes.left, rules.left), (wholes.right, rules.right)):
        last = engine.fetch(whole.aggregate(day=whole["date"].max()))[0]["day"] if side.columns.date else None
        days.append(ibis.literal(last, type="date") if last else ibis.null("date"))
    return days[0], days[1]
