"""The rules in their order, each on what the ones before left over; what they matched is kept and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis

from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.grouping import fitting_groups, rows_of_groups
from tallystick.books.reconciliation.pairing import Open, pair_rows
from tallystick.books.reconciliation.rules import Kind, Match, Rules
from tallystick.books.reconciliation.settling import Agreed, can_settle, settle
from tallystick.books.reconciliation.sides import Prepared


@dataclass(frozen=True, slots=True)
class Matched:
    """What the rules came to."""

    agreed: tuple[Agreed, ...]
    """By rule and currency, the rows that were settled at once included."""
    left: ibis.Table
    """`rule`, `group_row` (the first left row of the match) and `row` of each left row that was matched after the first pass."""
    right: ibis.Table
    examined: Open
    """Every row that was not settled at once."""
    before: tuple[Open, ...]
    """What was open before each rule."""
    open: Open
    quarantined: Open


def match_sides(
    engine: Engine,
    left: Prepared,
    right: Prepared,
    rules: Rules,
    counts: tuple[int, int],
    step: Callable[[str], None],
    *,
    settling: bool = True,
) -> Matched:
    """Match two sides. `counts` are their rows; `step` is told what is being done. Without `settling` every row is examined."""
    first, agreed = rules.matches[0], list[Agreed]()
    rows = (left.whole(), right.whole())
    if settling and can_settle(first):
        step("joining both sides")
        settled = settle(engine, left, right, first, rules, counts)
        agreed += settled.agreed
        rows = (left.of_rows(settled.left), right.of_rows(settled.right))
    step("reading what is left")
    examined, quarantined = _sound(engine, rows)
    matched = [_nothing(engine, "matched_left", examined.left), _nothing(engine, "matched_right", examined.right)]
    before, still_open = [], examined
    for index, match in enumerate(rules.matches):
        before.append(still_open)
        step(f"rule {index + 1}: {match.name}")
        found = _apply(engine, still_open, match, rules, index)
        matched = [engine.keep(f"matched_{side}_{index}", matched[side].union(found[side])) for side in (0, 1)]
        still_open = Open(
            engine.keep(f"open_left_{index}", still_open.left.anti_join(found[0], "row")),
            engine.keep(f"open_right_{index}", still_open.right.anti_join(found[1], "row")),
        )
    agreed += _counted(engine, examined, matched)
    return Matched(_summed(agreed), matched[0], matched[1], examined, tuple(before), still_open, quarantined)


def _sound(engine: Engine, rows: tuple[ibis.Table, ibis.Table]) -> tuple[Open, Open]:
    """The rows that can take part, and those that can't."""
    kept = [engine.keep(f"examined_{side}", each) for side, each in zip(("left", "right"), rows, strict=True)]
    sound, faulty = (
        [each.filter(each["sound"]) for each in kept],
        [each.filter(~each["sound"]) for each in kept],
    )
    return Open(*sound), Open(*faulty)


def _nothing(engine: Engine, name: str, rows: ibis.Table) -> ibis.Table:
    columns = {"rule": ibis.literal(0, "int32"), "group_row": rows["row"], "row": rows["row"]}
    return engine.keep(name, rows.filter(ibis.literal(False)).select(**columns))


def _apply(engine: Engine, still_open: Open, match: Match, rules: Rules, index: int) -> tuple[ibis.Table, ibis.Table]:
    """What one rule matches: its left and its right rows, each with the match it is in."""
    rule = ibis.literal(index, type="int32")
    if match.kind is Kind.ONE_TO_ONE:
        pairs = pair_rows(engine, still_open, match, rules)
        kept = engine.keep(f"pairs_{index}", pairs)
        return (
            kept.select(rule=rule, group_row="left_row", row="left_row"),
            kept.select(rule=rule, group_row="left_row", row="right_row"),
        )
    groups = engine.keep(f"groups_{index}", fitting_groups(still_open, match, rules))
    left = rows_of_groups(still_open.left, groups, match.on)
    right = rows_of_groups(still_open.right, groups, match.on)
    return left.select(rule=rule, group_row="group_row", row="row"), right.select(
        rule=rule, group_row="group_row", row="row"
    )


def _counted(engine: Engine, examined: Open, matched: list[ibis.Table]) -> list[Agreed]:
    """What was matched after the first pass, by rule and currency."""
    found: dict[tuple[int, str], dict[str, int]] = {}
    for name, rows, marks in (("left", examined.left, matched[0]), ("right", examined.right, matched[1])):
        joined = rows.inner_join(marks, "row")
        totals = joined.group_by("rule", "currency").aggregate(n=joined.count(), amount=joined["amount"].sum())
        for row in engine.fetch(totals):
            entry = found.setdefault((row["rule"], row["currency"] or ""), {})
            entry |= {f"{name}_rows": row["n"], f"{name}_amount": int(row["amount"] or 0)}
    empty = {"left_rows": 0, "right_rows": 0, "left_amount": 0, "right_amount": 0}
    return [Agreed(rule, currency, **{**empty, **each}) for (rule, currency), each in found.items()]


def _summed(agreed: list[Agreed]) -> tuple[Agreed, ...]:
    whole: dict[tuple[int, str], Agreed] = {}
    for each in agreed:
        have = whole.get((each.rule, each.currency), Agreed(each.rule, each.currency, 0, 0, 0, 0))
        whole[each.rule, each.currency] = Agreed(
            each.rule,
            each.currency,
            have.left_rows + each.left_rows,
            have.right_rows + each.right_rows,
            have.left_amount + each.left_amount,
            have.right_amount + each.right_amount,
        )
    return tuple(whole[each] for each in sorted(whole))
