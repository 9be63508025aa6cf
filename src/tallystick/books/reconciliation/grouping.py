"""Many rows for one, or many for many: rows that belong together are added up, and the sums are compared."""

from __future__ import annotations

import ibis

from tallystick.books.reconciliation.agreement import FIELDS, LEFT, RIGHT, agreements, all_of
from tallystick.books.reconciliation.pairing import Open
from tallystick.books.reconciliation.rules import Kind, Match, Rules

_SUMS = ("amount", "quantity")


def groups_of(rows: ibis.Table, on: tuple[str, ...], prefix: str) -> ibis.Table:
    """One row for all rows with the same fields `on`: sums, the first and last of everything else, and how many there are."""
    whole = rows.filter(*(rows[each].notnull() for each in on))
    others = [each for each in FIELDS if each not in on and each not in _SUMS]
    sums = {
        prefix + "amount": whole["amount"].sum().cast("int64"),
        prefix + "quantity": whole["quantity"].sum().cast("decimal(18, 6)"),
    }
    firsts = {prefix + each: whole[each].min() for each in others}
    lasts = {f"{prefix}last_{each}": whole[each].max() for each in others}
    counted = {prefix + "rows": whole.count(), prefix + "row": whole["row"].min()}
    grouped = whole.group_by(list(on)).aggregate(**sums, **firsts, **lasts, **counted)
    return grouped.rename({prefix + each: each for each in on})


def group_pairs(open_rows: Open, match: Match) -> ibis.Table:
    """Groups of both sides that belong together, side by side, as they are for the rule, whether they agree or not."""
    left, right = groups_of(open_rows.left, match.on, LEFT), groups_of(open_rows.right, match.on, RIGHT)
    return left.inner_join(right, [(LEFT + each, RIGHT + each) for each in match.on])


def fitting_groups(open_rows: Open, match: Match, rules: Rules) -> ibis.Table:
    """The groups that a rule matches: `l_row` (the first of the left rows, which names the group) and the fields `on`."""
    pairs = group_pairs(open_rows, match)
    fitting = pairs.filter(all_of(group_agreements(pairs, match, rules)))
    return fitting.select("l_row", **{each: fitting[LEFT + each] for each in match.on})


def group_agreements(pairs: ibis.Table, match: Match, rules: Rules) -> dict[str, ibis.Value]:
    """What has to hold of two groups: the number of rows that the kind of rule asks for, and what it compares."""
    lines = ibis.greatest(pairs["l_rows"], pairs["r_rows"])
    found = agreements(pairs, match, rules, lines)
    for field in rules.compared(match):
        if field not in _SUMS:  # all rows of both groups have the same
            found[field] &= pairs[f"l_last_{field}"].identical_to(pairs[LEFT + field])
            found[field] &= pairs[f"r_last_{field}"].identical_to(pairs[RIGHT + field])
    if match.kind is Kind.ONE_TO_MANY:
        found["one left row"] = pairs["l_rows"] == 1
    if match.kind is Kind.MANY_TO_ONE:
        found["one right row"] = pairs["r_rows"] == 1
    return found


def rows_of_groups(rows: ibis.Table, groups: ibis.Table, on: tuple[str, ...]) -> ibis.Table:
    """The rows that are in one of the groups, with the group's name: `row` and `group_row`."""
    joined = rows.inner_join(groups, list(on))
    return joined.select(row="row", group_row="l_row")
