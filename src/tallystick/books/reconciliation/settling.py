"""The first pass over everything: one scan of each side and one hash join take out what agrees, and only the rest is looked at.

Keys are joined by their 64-bit hash, and what must be equal besides (but the amount, which is compared as it is) goes through
the join as one hash too. Whatever disagrees is compared in full afterwards; for two different keys to pass as one here they would
have to share both hashes and the amount.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis

from tallystick.books.reconciliation.agreement import LEFT, RIGHT, agreements, all_of
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.rules import Kind, Match, Rules
from tallystick.books.reconciliation.sides import RAW, Prepared

_SAMPLED, _HEAVY = 64, 8
"""One row of so many is looked at, and a key that is found so often among them is heavy."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What one rule matched in one currency: rows, and minor units."""

    rule: int
    currency: str
    left_rows: int
    right_rows: int
    left_amount: int
    right_amount: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What the first pass took out, and the numbers of the rows that it left."""

    agreed: tuple[Agreed, ...]
    left: ibis.Table
    right: ibis.Table


def can_settle(match: Match) -> bool:
    """Whether a rule is plain enough for the first pass: one row for one, found by its key."""
    return match.kind is Kind.ONE_TO_ONE and match.on == ("key",) and not (match.fuzzy or match.contained)


def settle(
    engine: Engine, left: Prepared, right: Prepared, match: Match, rules: Rules, counts: tuple[int, int]
) -> Settled:
    """Take out the pairs that agree by `match`, the first of the rules. `counts` are the rows of both sides.

    Rows whose key comes more than once are never taken out here, for which of them belongs to which is a question of its own.
    """
    sides = [_hashed(each, match, rules, prefix) for each, prefix in ((left, LEFT), (right, RIGHT))]
    if heavy := _heavy(engine, sides[0], LEFT) & _heavy(engine, sides[1], RIGHT):
        sides = [_without(side, prefix, heavy) for side, prefix in zip(sides, (LEFT, RIGHT), strict=True)]
    tally = engine.keep("settled", _tally(sides[0], sides[1], match, rules))
    agreed = _agreed(engine, tally, rules)
    repeated = _repeated(engine, tally, sides, counts)
    numbers = [_open(tally, side, None if repeated is None else repeated[side]) for side in (0, 1)]
    if repeated is not None:
        doubtful = engine.keep("settled_repeated", _tally(repeated[0], repeated[1], match, rules))
        agreed = _less(agreed, _agreed(engine, doubtful, rules))
    return Settled(agreed, *numbers)


def _hashed(side: Prepared, match: Match, rules: Rules, prefix: str) -> ibis.Table:
    """The few columns that the join carries. A row that can't take part has no hash and so finds nobody."""
    rows = side.rows
    code = ibis.ifelse(rows["sound"], _hash([rows[each] for each in side.parts]), ibis.null("uint64"))
    weighed, equal = _weighed(match, rules), _equal(match, rules)
    carried = dict.fromkeys(["row", "amount", *weighed, *(["date"] if match.days else [])])
    if rules.many_currencies:
        carried["currency"] = None
    columns = {prefix + each: rows[each] for each in carried}
    if equal:
        # Texts that are written alike need no trimming to be found equal; the others are looked at again.
        columns[prefix + "check"] = _hash([rows[RAW + each if RAW + each in rows.columns else each] for each in equal])
    return rows.select(**{prefix + "hash": code}, **columns)


def _heavy(engine: Engine, side: ibis.Table, prefix: str) -> set[int]:
    """The hashes of keys that come hundreds of times, by a sample of the rows: on both sides, all of them would meet all."""
    sample = side.filter((side[prefix + "row"] % _SAMPLED == 0) & side[prefix + "hash"].notnull())
    counted = sample.group_by(code=sample[prefix + "hash"]).aggregate(n=sample.count())
    return {row["code"] for row in engine.fetch(counted.filter(counted["n"] >= _HEAVY))}


def _without(side: ibis.Table, prefix: str, codes: set[int]) -> ibis.Table:
    """The side with those keys finding nobody, so that their rows are left to the full comparison."""
    code = side[prefix + "hash"]
    chosen = code.isin([ibis.literal(each, type="uint64") for each in sorted(codes)])
    return side.mutate(**{prefix + "hash": ibis.ifelse(chosen, ibis.null("uint64"), code)})


def _weighed(match: Match, rules: Rules) -> tuple[str, ...]:
    """The fields that are compared as they are, for they need not be equal, or because their equality is all that counts."""
    return tuple(each for each in rules.compared(match) if each == "amount" or (each == "status" and rules.statuses))


def _equal(match: Match, rules: Rules) -> tuple[str, ...]:
    """The fields that must be equal."""
    weighed = _weighed(match, rules)
    return tuple(each for each in rules.compared(match) if each not in weighed)


def _hash(values: list[ibis.Value]) -> ibis.Value:
    """The engine's own hash, which takes any number of columns of any type, so that no text is put together for it."""
    names = ", ".join(f"part_{each}" for each in range(len(values)))
    argued = eval(f"lambda {names}: None")  # noqa: S307 - made of numbers alone, for Ibis to count its arguments
    hashed = ibis.udf.scalar.builtin(argued, name="hash", signature=(tuple(each.type() for each in values), "uint64"))
    return hashed(*values)


def _tally(left: ibis.Table, right: ibis.Table, match: Match, rules: Rules) -> ibis.Table:
    """Every pair or single row that disagrees by itself, and all that agree as one row for each currency."""
    joined = left.outer_join(right, left[LEFT + "hash"] == right[RIGHT + "hash"])
    agrees = all_of(agreements(joined, match, rules, fields=_weighed(match, rules)))
    if _equal(match, rules):
        agrees &= joined[LEFT + "check"] == joined[RIGHT + "check"]
    found_each_other = joined[LEFT + "hash"].notnull() & joined[RIGHT + "hash"].notnull()
    whole = joined.mutate(agrees=(agrees & found_each_other).fill_null(False))
    grouped = {
        "agrees": whole["agrees"],
        "l_row": ibis.ifelse(whole["agrees"], ibis.null("int64"), whole["l_row"]),
        "r_row": ibis.ifelse(whole["agrees"], ibis.null("int64"), whole["r_row"]),
    }
    if rules.many_currencies:
        grouped["currency"] = ibis.ifelse(whole["agrees"], whole["l_currency"], ibis.null("string"))
    return whole.group_by(**grouped).aggregate(
        pairs=whole.count(),
        left_amount=whole["l_amount"].sum().cast("int64"),
        right_amount=whole["r_amount"].sum().cast("int64"),
    )


def _agreed(engine: Engine, tally: ibis.Table, rules: Rules) -> tuple[Agreed, ...]:
    rows = engine.fetch(tally.filter(tally["agrees"]))
    found = (
        Agreed(
            0,
            row.get("currency", rules.currencies.to if rules.currencies else rules.currency),
            row["pairs"],
            row["pairs"],
            row["left_amount"] or 0,
            row["right_amount"] or 0,
        )
        for row in rows
    )
    return tuple(sorted(found, key=lambda each: each.currency))


def _less(agreed: tuple[Agreed, ...], doubtful: tuple[Agreed, ...]) -> tuple[Agreed, ...]:
    """What is left of `agreed` without what is looked at again."""
    taken = {each.currency: each for each in doubtful}
    nothing = Agreed(0, "", 0, 0, 0, 0)
    return tuple(
        Agreed(
            0,
            each.currency,
            each.left_rows - taken.get(each.currency, nothing).left_rows,
            each.right_rows - taken.get(each.currency, nothing).right_rows,
            each.left_amount - taken.get(each.currency, nothing).left_amount,
            each.right_amount - taken.get(each.currency, nothing).right_amount,
        )
        for each in agreed
    )


def _repeated(
    engine: Engine, tally: ibis.Table, sides: list[ibis.Table], counts: tuple[int, int]
) -> tuple[ibis.Table, ibis.Table] | None:
    """The rows of both sides whose key comes more than once, if there are any among those that found somebody.

    A row that found two is counted twice: so the counts tell whether there are any, and only then are they looked for.
    """
    whole = tally.aggregate(
        both=tally["pairs"].sum(where=tally["agrees"] | (tally["l_row"].notnull() & tally["r_row"].notnull())),
        left=tally["pairs"].sum(where=tally["l_row"].notnull() & tally["r_row"].isnull()),
        right=tally["pairs"].sum(where=tally["l_row"].isnull() & tally["r_row"].notnull()),
    )
    seen = {name: int(value or 0) for name, value in engine.fetch(whole)[0].items()}
    # Too many pairs for the rows of one side: the other side has repeated keys.
    suspects = [
        (sides[1], RIGHT, seen["both"] + seen["left"] > counts[0]),
        (sides[0], LEFT, seen["both"] + seen["right"] > counts[1]),
    ]
    found = [_twice(side, prefix) for side, prefix, suspect in suspects if suspect]
    if not found:
        return None
    codes = engine.keep("repeated_keys", found[0] if len(found) == 1 else found[0].union(found[1], distinct=True))
    left = sides[0].semi_join(codes, sides[0]["l_hash"] == codes["hash"])
    right = sides[1].semi_join(codes, sides[1]["r_hash"] == codes["hash"])
    return engine.keep("repeated_left", left), engine.keep("repeated_right", right)


def _twice(side: ibis.Table, prefix: str) -> ibis.Table:
    codes = side.select(hash=side[prefix + "hash"])
    codes = codes.filter(codes["hash"].notnull())
    counted = codes.group_by("hash").aggregate(n=codes.count())
    return counted.filter(counted["n"] > 1).select("hash")


def _open(tally: ibis.Table, side: int, repeated: ibis.Table | None) -> ibis.Table:
    """The numbers of one side's rows that were not taken out."""
    name = ("l_row", "r_row")[side]
    numbers = tally.filter(~tally["agrees"] & tally[name].notnull()).select(row=tally[name])
    if repeated is not None:
        numbers = numbers.union(repeated.select(row=repeated[name]))
    return numbers.distinct()
