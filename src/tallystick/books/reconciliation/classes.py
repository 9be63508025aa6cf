"""What the rules left over, put beside its counterpart where there is one, and called by the kind of its disagreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis

from tallystick.books.reconciliation.agreement import FIELDS, LEFT, RIGHT, agreements, days_apart, side_by_side
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.grouping import group_agreements, groups_of, rows_of_groups
from tallystick.books.reconciliation.matching import Matched
from tallystick.books.reconciliation.pairing import candidate_pairs, nearest_pairs
from tallystick.books.reconciliation.rules import Kind, Match, Rules

PRECEDENCE = ("currency", "quantity", "price", "amount", "date", "status", "party", "item", "reference", "group", "key")
"""A pair that disagrees in several fields is called by the first: a wrong price makes a wrong amount, not the other way round."""
MISSING_LEFT, MISSING_RIGHT, DUPLICATE = "missing_left", "missing_right", "duplicate"
COLUMNS = (
    *(LEFT + each for each in ("row", "rows", *FIELDS)),
    *(RIGHT + each for each in ("row", "rows", *FIELDS)),
)


@dataclass(frozen=True, slots=True)
class Broken:
    """The breaks, and the rows that are in them."""

    breaks: ibis.Table
    left: ibis.Table
    """`row` and the break's `l_row` or `r_row` as `group_row`."""
    right: ibis.Table


def classify(engine: Engine, matched: Matched, rules: Rules) -> Broken:
    """The breaks of a matching, each with its class, the side it is on, the fields that differ, and the money at risk."""
    match = deciding(rules)
    if match.kind is Kind.ONE_TO_ONE:
        rows = _single_breaks(engine, matched, match, rules)
        breaks = engine.keep("broken", _judged(rows))
        return Broken(
            breaks,
            breaks.filter(breaks["l_row"].notnull()).select(row="l_row", group_row="l_row"),
            breaks.filter(breaks["r_row"].notnull()).select(row="r_row", group_row="r_row"),
        )
    return _group_breaks(engine, matched, match, rules)


def deciding(rules: Rules) -> Match:
    """The rule that says what a break is: one for groups, if there is any, else the first that finds rows by their key."""
    plain = [each for each in rules.matches if not (each.fuzzy or each.contained)]
    groups = [each for each in plain if each.kind is not Kind.ONE_TO_ONE]
    by_key = [each for each in plain if "key" in each.on]
    return (groups or by_key or plain or list(rules.matches))[0]


def _single_breaks(engine: Engine, matched: Matched, match: Match, rules: Rules) -> ibis.Table:
    """Rows of both sides that have the same key and found nobody nearer, and rows that stayed alone."""
    by_key = Match(name=match.name, on=("key",), compare=())
    candidates = candidate_pairs(matched.open, by_key, rules)
    pairs = engine.keep("broken_pairs", nearest_pairs(engine, candidates))
    left, right = side_by_side(matched.open.left, LEFT), side_by_side(matched.open.right, RIGHT)
    both = left.inner_join(pairs, [("l_row", "left_row")]).drop("left_row")
    both = both.inner_join(right, [("right_row", "r_row")]).drop("right_row")
    differing = _differing(both, agreements(both, match, rules))
    alone = matched.open.without(pairs)
    singles = [
        _alone(side_by_side(alone.left, LEFT), matched.examined.left, LEFT, MISSING_RIGHT),
        _alone(side_by_side(alone.right, RIGHT), matched.examined.right, RIGHT, MISSING_LEFT),
    ]
    counted = differing.mutate(l_rows=ibis.literal(1, "int64"), r_rows=ibis.literal(1, "int64"))
    return _aligned(counted).union(_aligned(singles[0]), _aligned(singles[1]))


def _differing(pairs: ibis.Table, holds: dict[str, ibis.Value]) -> ibis.Table:
    """Pairs with the class they are of, and every field in which they differ."""
    known = [each for each in PRECEDENCE if each in holds]
    others = [each for each in holds if each not in PRECEDENCE]
    name = ibis.cases(
        *((~holds[each], each) for each in known), *((~holds[each], DUPLICATE) for each in others), else_="key"
    )
    words = [ibis.ifelse(holds[each], "", each + " ") for each in [*known, *others]]
    text: ibis.Value = ibis.literal("")
    for each in words:
        text = text + each
    return pairs.mutate(**{"class": name, "differs": text.strip(), "side": ibis.literal("both")})


def _alone(rows: ibis.Table, side: ibis.Table, prefix: str, missing: str) -> ibis.Table:
    """Rows without a counterpart: missing on the other side, or there twice on this one."""
    same_key = side.group_by("key").aggregate(of_key=side.count())
    counted = rows.left_join(same_key, [(prefix + "key", "key")]).drop("key")
    place = ibis.window(group_by=prefix + "key", order_by=prefix + "row")
    numbered = counted.mutate(
        place=ibis.row_number().over(place), singles=counted.count().over(ibis.window(group_by=prefix + "key"))
    )
    # Where all rows of a key are alone the first of them is the one that is missing elsewhere, and the others repeat it.
    repeats = (numbered["of_key"] > numbered["singles"]) | (numbered["place"] > 0)
    side_name = ibis.literal("left" if prefix == LEFT else "right")
    named = numbered.mutate(
        **{"class": ibis.ifelse(repeats, DUPLICATE, missing), "differs": ibis.literal(""), "side": side_name}
    )
    return named.mutate(**{prefix + "rows": ibis.literal(1, "int64")})


def _aligned(rows: ibis.Table) -> ibis.Table:
    """The same columns for every kind of break; what a side has not is null."""
    kinds = {
        "row": "int64",
        "rows": "int64",
        "amount": "int64",
        "quantity": "decimal(18, 6)",
        "price": "decimal(18, 6)",
    }
    kinds["date"] = "date"
    columns = {
        name: (rows[name] if name in rows.columns else ibis.null("string")).cast(kinds.get(name[2:], "string"))
        for name in COLUMNS
    }
    return rows.select("class", "differs", "side", **columns)


def _judged(rows: ibis.Table) -> ibis.Table:
    """Breaks with a number, the difference, and the money at risk in minor units of `currency`."""
    left, right = rows["l_amount"], rows["r_amount"]
    whole = ibis.greatest(left.abs().fill_null(0), right.abs().fill_null(0))
    pair = rows["side"] == "both"
    apart = (left.fill_null(0) - right.fill_null(0)).abs()
    other_month = (rows["l_date"].truncate("M") != rows["r_date"].truncate("M")).fill_null(True)
    risk = ibis.cases(
        (~pair, whole),
        (rows["class"].isin(["currency", "status", "party"]), whole),
        (rows["class"] == "date", ibis.ifelse(other_month, whole, 0)),
        else_=apart,
    )
    # The breaks are numbered in an order that is the same every time.
    order = ibis.window(order_by=[rows["l_row"].fill_null(2**62), rows["r_row"].fill_null(2**62), rows["side"]])
    return rows.mutate(
        number=ibis.row_number().over(order).cast("int64") + 1,
        amount_difference=ibis.ifelse(pair | (left.notnull() & right.notnull()), left - right, ibis.null("int64")),
        days_apart=days_apart(rows).cast("int64"),
        money_at_risk=risk.cast("int64"),
        currency=ibis.coalesce(rows["l_currency"], rows["r_currency"]),
    )


def _group_breaks(engine: Engine, matched: Matched, match: Match, rules: Rules) -> Broken:
    """Groups whose sums disagree, groups that are on one side only, and rows that are in no group."""
    left, right = (
        engine.keep(f"open_groups_{name}", groups_of(rows, match.on, prefix))
        for name, rows, prefix in (("left", matched.open.left, LEFT), ("right", matched.open.right, RIGHT))
    )
    same = [(LEFT + each, RIGHT + each) for each in match.on]
    both = left.inner_join(right, same)
    differing = _differing(both, _group_conditions(both, match, rules))
    twice = _repetitions(differing, matched, match)
    repeated = differing["l_row"].isin(twice["l_row"]) & (differing["class"] == "amount")
    differing = differing.mutate(**{"class": ibis.ifelse(repeated, DUPLICATE, differing["class"])})
    alone_left = _named(left.anti_join(right, same), MISSING_RIGHT, "left")
    alone_right = _named(right.anti_join(left, [(other, own) for own, other in same]), MISSING_LEFT, "right")
    parts = [differing, alone_left, alone_right]
    for rows, prefix, missing, side in (
        (matched.open.left, LEFT, MISSING_RIGHT, "left"),
        (matched.open.right, RIGHT, MISSING_LEFT, "right"),
    ):
        loose = side_by_side(_ungrouped(rows, match), prefix).mutate(**{prefix + "rows": ibis.literal(1, "int64")})
        parts.append(_named(loose, missing, side))
    aligned = [_aligned(each) for each in parts]
    breaks = engine.keep("broken", _judged(aligned[0].union(*aligned[1:])))
    return Broken(
        breaks,
        engine.keep("broken_left", _rows_in(matched.open.left, left, match, LEFT)),
        engine.keep("broken_right", _rows_in(matched.open.right, right, match, RIGHT)),
    )


def _group_conditions(pairs: ibis.Table, match: Match, rules: Rules) -> dict[str, ibis.Value]:
    """What has to hold of two groups; of groups of one row each also what a rule for single rows compares."""
    holds = group_agreements(pairs, match, rules)
    many = (pairs["l_rows"] > 1) | (pairs["r_rows"] > 1)
    for single in rules.matches:
        if single.kind is Kind.ONE_TO_ONE and single.on == match.on and not (single.fuzzy or single.contained):
            for field, condition in agreements(pairs, single, rules).items():
                holds[field] = holds.get(field, ibis.literal(True)) & (condition | many)
    return holds


def _named(rows: ibis.Table, name: str, side: str) -> ibis.Table:
    return rows.mutate(**{"class": ibis.literal(name), "differs": ibis.literal(""), "side": ibis.literal(side)})


def _ungrouped(rows: ibis.Table, match: Match) -> ibis.Table:
    empty: Any = ibis.literal(False)
    for each in match.on:
        empty |= rows[each].isnull()
    return rows.filter(empty)


def _rows_in(rows: ibis.Table, groups: ibis.Table, match: Match, prefix: str) -> ibis.Table:
    """Each row with the first row of its group, which names the break."""
    named = groups.select(l_row=groups[prefix + "row"], **{each: groups[prefix + each] for each in match.on})
    loose = _ungrouped(rows, match)
    return rows_of_groups(rows, named, match.on).union(loose.select(row="row", group_row="row"))


def _repetitions(pairs: ibis.Table, matched: Matched, match: Match) -> ibis.Table:
    """The groups (`l_row`) that would agree if each row that is there twice was there once."""
    known = pairs.select("l_row", "l_amount", "r_amount", **{"on_" + each: pairs[LEFT + each] for each in match.on})
    for rows, prefix in ((matched.open.left, LEFT), (matched.open.right, RIGHT)):
        extra = _said_again(rows, match, prefix)
        same = [("on_" + each, prefix + each) for each in match.on]
        known = known.left_join(extra, same).drop(*(prefix + each for each in match.on))
    left, right = known["l_extra"].fill_null(0), known["r_extra"].fill_null(0)
    agrees_without = (known["l_amount"] - left) == (known["r_amount"] - right)
    return known.filter(agrees_without & ((left != 0) | (right != 0))).select("l_row")


def _said_again(rows: ibis.Table, match: Match, prefix: str) -> ibis.Table:
    """For each group what the rows come to that are there once more."""
    same = list(dict.fromkeys([*match.on, "item", "amount", "quantity", "date", "reference"]))
    alike = rows.group_by(same).aggregate(n=rows.count())
    again = alike.mutate(more=(alike["n"] - 1) * alike["amount"])
    extra = again.group_by(list(match.on)).aggregate(**{prefix + "extra": again["more"].sum().cast("int64")})
    return extra.rename({prefix + each: each for each in match.on})
