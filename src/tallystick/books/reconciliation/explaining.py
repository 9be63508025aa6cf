"""How one record was matched or not, rule by rule: whom each rule put beside it, and which condition held."""

from __future__ import annotations

from typing import Any

import ibis

from tallystick.books.reconciliation.agreement import LEFT, RIGHT, agreements
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.grouping import group_agreements, group_pairs
from tallystick.books.reconciliation.matching import Matched
from tallystick.books.reconciliation.outcome import Explanation, Looked, plain
from tallystick.books.reconciliation.pairing import Open, candidate_pairs
from tallystick.books.reconciliation.results import Results
from tallystick.books.reconciliation.rules import Kind, Match, Rules
from tallystick.books.reconciliation.sides import FIELD_TYPES, Prepared

_MOST_CANDIDATES = 10


def explain(key: str, prepared: tuple[Prepared, Prepared], results: Results) -> Explanation:
    """The story of all rows whose key is `key`, written as it stands in the source or as the rules normalise it."""
    engine, matched, rules = results.engine, results.matched, results.rules
    own = [engine.keep(f"asked_{index}", each.rows.filter(_is(each, key))) for index, each in enumerate(prepared)]
    shown: list[dict[str, Any]] = []
    numbers: list[list[int]] = []
    for name, rows in zip(("left", "right"), own, strict=True):
        found = engine.fetch(
            rows.select("row", *FIELD_TYPES, "reason", "column", "value").order_by("row").limit(_MOST_CANDIDATES)
        )
        numbers.append([row["row"] for row in found])
        shown += [
            {"side": name, **{each: plain(value) for each, value in row.items() if value is not None}} for row in found
        ]
    told = [_looked(engine, matched, rules, index, numbers) for index in range(len(rules.matches))]
    return Explanation(key, tuple(shown), tuple(told), tuple(_ends(results, numbers, shown)))


def _is(side: Prepared, key: str) -> ibis.Value:
    """The key itself, or any part of it: of an order line the order's number will do."""
    whole = side.rows["key"] == key
    for each in side.parts:
        whole |= side.rows[each].cast("string") == key
    return whole


def _looked(engine: Engine, matched: Matched, rules: Rules, index: int, numbers: list[list[int]]) -> Looked:
    match, before = rules.matches[index], matched.before[index]
    left, right = (
        before.left.filter(before.left["row"].isin(numbers[0])),
        before.right.filter(before.right["row"].isin(numbers[1])),
    )
    if not (engine.count(left) + engine.count(right)):
        return Looked(match.name, (), "nothing of it was open any more")
    if match.kind is not Kind.ONE_TO_ONE:
        return _looked_at_groups(engine, rules, match, before, numbers)
    pairs = candidate_pairs(Open(left, before.right), match, rules).union(
        candidate_pairs(Open(before.left, right), match, rules), distinct=True
    )
    holds = agreements(pairs, match, rules)
    found = engine.fetch(_conditions(pairs, holds).limit(_MOST_CANDIDATES))
    return Looked(match.name, tuple(found), _verdict(found, holds, f"nobody has the same {', '.join(match.on)}"))


def _looked_at_groups(engine: Engine, rules: Rules, match: Match, before: Open, numbers: list[list[int]]) -> Looked:
    """The groups that the rows are in."""
    own = []
    for rows, chosen in ((before.left, numbers[0]), (before.right, numbers[1])):
        own.append(rows.filter(rows["row"].isin(chosen)).select(*match.on))
    names = own[0].union(own[1]).distinct()
    groups = Open(before.left.semi_join(names, list(match.on)), before.right.semi_join(names, list(match.on)))
    pairs = group_pairs(groups, match)
    holds = group_agreements(pairs, match, rules)
    found = engine.fetch(_conditions(pairs, holds).limit(_MOST_CANDIDATES))
    return Looked(
        match.name,
        tuple(found),
        _verdict(found, holds, f"no group on the other side has the same {', '.join(match.on)}"),
    )


def _conditions(pairs: ibis.Table, holds: dict[str, ibis.Value]) -> ibis.Table:
    shown = {
        "left_key": pairs[LEFT + "key"],
        "right_key": pairs[RIGHT + "key"],
        "left_amount": pairs[LEFT + "amount"],
        "right_amount": pairs[RIGHT + "amount"],
    }
    return pairs.select(**shown, **{f"{name} agrees": condition for name, condition in holds.items()})


def _verdict(found: list[dict[str, Any]], holds: dict[str, ibis.Value], nobody: str) -> str:
    if not found:
        return nobody
    fitting = [row for row in found if all(row[f"{name} agrees"] for name in holds)]
    if len(fitting) == 1:
        return "matched"
    if fitting:
        return f"{len(fitting)} candidates fit"
    failing = sorted({name for row in found for name in holds if not row[f"{name} agrees"]})
    return f"not matched: {', '.join(failing)} did not agree"


def _ends(results: Results, numbers: list[list[int]], shown: list[dict[str, Any]]) -> list[str]:
    """What became of each row: quarantined, matched by which rule, or broken and why."""
    if not shown:
        return ["no row of either side has this key"]
    engine, matched, found = results.engine, results.matched, list[str]()
    for row in shown:
        if row.get("reason"):
            found.append(f"{row['side']} row quarantined: {row.get('column')}: {row['reason']}")
    for index, (name, marks) in enumerate((("left", matched.left), ("right", matched.right))):
        for mark in engine.fetch(marks.filter(marks["row"].isin(numbers[index])).order_by("row")):
            found.append(f"{name} row matched by rule {mark['rule'] + 1}: {results.rules.matches[mark['rule']].name}")
    for name, rows, index in (("left", results.broken.left, 0), ("right", results.broken.right, 1)):
        names = [
            each["group_row"]
            for each in engine.fetch(rows.filter(rows["row"].isin(numbers[index])).select("group_row").distinct())
        ]
        column = results.breaks[f"{name[0]}_row"]
        for row in engine.fetch(results.breaks.filter(column.isin(names)).order_by("number")):
            cause = f"{row['cause']} ({row['cause_kind']}): {row['evidence']}" if row["cause"] else "unexplained"
            line = f"break {row['number']}: {row['class']}; {cause}"
            if line not in found:
                found.append(line)
    for name, looked, chosen in zip(("left", "right"), _looked_at(matched), numbers, strict=True):
        settled = len(chosen) - engine.count(looked.filter(looked["row"].isin(chosen)))
        if settled:
            found.append(f"{settled} {name} row{'s' if settled > 1 else ''} matched by rule 1 in the first pass")
    return found


def _looked_at(matched: Matched) -> tuple[ibis.Table, ibis.Table]:
    """The numbers of the rows that the first pass left, quarantined ones included."""
    examined, faulty = matched.examined, matched.quarantined
    return (
        examined.left.select("row").union(faulty.left.select("row")),
        examined.right.select("row").union(faulty.right.select("row")),
    )
