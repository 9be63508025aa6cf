"""One row for one: pairs by equal fields, by a key inside a reference text, or by names that are alike; the nearest first."""

from __future__ import annotations

from dataclasses import dataclass

import ibis

from tallystick.books.reconciliation.agreement import LEFT, RIGHT, agreements, all_of, days_apart, side_by_side
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.rules import Match, Rules

MOST_CANDIDATES = 10_000
"""Of one group of equal rows: 100 on either side. What is in larger ones is paired only where it is equal in everything."""
_MOST_ROUNDS = 8

_jaro_winkler = ibis.udf.scalar.builtin(
    lambda left, right: None, name="jaro_winkler_similarity", signature=(("string", "string"), "float64")
)


@dataclass(frozen=True, slots=True)
class Open:
    """What is not matched yet, on either side."""

    left: ibis.Table
    right: ibis.Table

    def without(self, pairs: ibis.Table) -> Open:
        """What stays when the rows of `pairs` (`left_row`, `right_row`) are gone."""
        return Open(
            self.left.anti_join(pairs, [("row", "left_row")]),
            self.right.anti_join(pairs, [("row", "right_row")]),
        )


def pair_rows(engine: Engine, open_rows: Open, match: Match, rules: Rules) -> ibis.Table:
    """The pairs that a rule for single rows finds: `left_row` and `right_row`, each row in one pair at most.

    Found by the key, rows are paired with their nearest. Found by anything else, a pair is taken only if neither row had a rival.
    """
    found = None
    if "key" in match.on and not (match.fuzzy or match.contained):
        found = engine.keep("paired_equal", _equal_pairs(open_rows, match, rules))
        open_rows = open_rows.without(found)
    candidates = candidate_pairs(open_rows, match, rules)
    fitting = candidates.filter(all_of(agreements(candidates, match, rules)))
    if "key" in match.on or match.fuzzy:
        near = nearest_pairs(engine, fitting)
    else:
        near = engine.keep("paired_unrivalled", _unrivalled(fitting))
    return near if found is None else engine.keep("paired", found.union(near))


def candidate_pairs(open_rows: Open, match: Match, rules: Rules) -> ibis.Table:
    """Every two rows that a rule looks at, side by side, whether they agree or not; `distance` says how far apart they are."""
    left, right = side_by_side(open_rows.left, LEFT), side_by_side(open_rows.right, RIGHT)
    if match.contained:
        return _with_distance(_contained(left, right, match))
    if match.fuzzy:
        return _alike(left, right, match)
    return _with_distance(_bounded(left, right, match.on))


def nearest_pairs(engine: Engine, candidates: ibis.Table) -> ibis.Table:
    """Of candidate pairs those that are each other's nearest, then those of the rest, and so on."""
    rest = engine.keep("candidates", candidates.select("l_row", "r_row", "distance"))
    taken: ibis.Table | None = None
    for turn in range(_MOST_ROUNDS):
        best = engine.keep(f"nearest_{turn}", _mutual(rest))
        if not engine.count(best):
            break
        taken = best if taken is None else engine.keep(f"nearest_to_{turn}", taken.union(best))
        rest = rest.anti_join(best, [("l_row", "left_row")])
        rest = engine.keep(f"candidates_{turn}", rest.anti_join(best, [("r_row", "right_row")]))
    return taken if taken is not None else engine.keep("nearest_none", _mutual(rest))


def _mutual(candidates: ibis.Table) -> ibis.Table:
    """Pairs that are the first choice of both."""
    of_left = ibis.window(group_by=candidates["l_row"], order_by=[candidates["distance"], candidates["r_row"]])
    of_right = ibis.window(group_by=candidates["r_row"], order_by=[candidates["distance"], candidates["l_row"]])
    ranked = candidates.mutate(left_rank=ibis.row_number().over(of_left), right_rank=ibis.row_number().over(of_right))
    both_first = ranked.filter((ranked["left_rank"] == 0) & (ranked["right_rank"] == 0))
    return both_first.select(left_row="l_row", right_row="r_row")


def _unrivalled(candidates: ibis.Table) -> ibis.Table:
    """Pairs of which neither row is in another one."""
    counted = candidates.mutate(
        of_left=candidates.count().over(ibis.window(group_by=candidates["l_row"])),
        of_right=candidates.count().over(ibis.window(group_by=candidates["r_row"])),
    )
    alone = counted.filter((counted["of_left"] == 1) & (counted["of_right"] == 1))
    return alone.select(left_row="l_row", right_row="r_row")


def _equal_pairs(open_rows: Open, match: Match, rules: Rules) -> ibis.Table:
    """Rows that are equal in all that is compared: the first with the first, the second with the second, and so on."""
    fields = [*match.on, *(each for each in rules.compared(match) if each != "status" or not rules.statuses)]
    left = _numbered(side_by_side(open_rows.left, LEFT), LEFT, fields)
    right = _numbered(side_by_side(open_rows.right, RIGHT), RIGHT, fields)
    same = [left[LEFT + each] == right[RIGHT + each] for each in match.on]
    same += [left[LEFT + each].identical_to(right[RIGHT + each]) for each in fields if each not in match.on]
    joined = left.inner_join(right, [*same, left["l_number"] == right["r_number"]])
    agreed = joined.filter(all_of(agreements(joined, match, rules)))
    return agreed.select(left_row="l_row", right_row="r_row")


def _numbered(rows: ibis.Table, prefix: str, fields: list[str]) -> ibis.Table:
    order = ibis.window(group_by=[prefix + each for each in fields], order_by=[prefix + "date", prefix + "row"])
    return rows.mutate(**{prefix + "number": ibis.row_number().over(order)})


def _bounded(left: ibis.Table, right: ibis.Table, on: tuple[str, ...]) -> ibis.Table:
    """Rows with equal fields, side by side; not those of groups in which everything would meet everything."""
    counted = [
        side.group_by(**{each: side[prefix + each] for each in on}).aggregate(**{prefix + "n": side.count()})
        for side, prefix in ((left, LEFT), (right, RIGHT))
    ]
    groups = counted[0].inner_join(counted[1], list(on))
    small = groups.filter(groups["l_n"] * groups["r_n"] <= MOST_CANDIDATES)
    kept = left.semi_join(small, [(LEFT + each, each) for each in on])
    return kept.inner_join(right, [(LEFT + each, RIGHT + each) for each in on])


def _with_distance(pairs: ibis.Table) -> ibis.Table:
    """How far apart two rows are: by amount, and among equals by days."""
    money = (pairs["l_amount"] - pairs["r_amount"]).abs().fill_null(0).cast("float64")
    days = days_apart(pairs).abs().fill_null(0).cast("float64")
    return pairs.mutate(distance=money + days / 100_000)


def _contained(left: ibis.Table, right: ibis.Table, match: Match) -> ibis.Table:
    """Rows whose key is a word, or two neighbouring words, of the other side's reference; signs and case do not count."""
    if match.contained == "left_key_in_right_reference":
        keyed, texts, key, text, row = left, right, "l_key", "r_reference", "r_row"
    else:
        keyed, texts, key, text, row = right, left, "r_key", "l_reference", "l_row"
    compact = keyed.mutate(word=keyed[key].upper().re_replace(r"[^\p{L}\p{N}]+", ""))
    met = compact.inner_join(_words(texts, text, row), "word").drop("word")
    whole = met.inner_join(texts, [("text_row", row)]).drop("text_row")
    equal = [whole[LEFT + each] == whole[RIGHT + each] for each in match.on if each != "key"]
    return whole.filter(*equal) if equal else whole


def _words(texts: ibis.Table, text: str, row: str) -> ibis.Table:
    """Each word of a text, and each two that stand together, in capitals without signs."""
    named = texts.filter(texts[text].notnull())
    parted = named.select(text_row=named[row], word=named[text].upper().re_split(r"[\s,;:/()]+"))
    split = parted.unnest("word", offset="place")
    split = split.mutate(word=split["word"].re_replace(r"[^\p{L}\p{N}]+", ""))
    both = split.mutate(next=split["word"].lead().over(ibis.window(group_by="text_row", order_by="place")))
    pairs = both.filter(both["next"].notnull()).select(text_row="text_row", word=both["word"] + both["next"])
    words = split.select("text_row", "word").union(pairs)
    return words.filter(words["word"].length() >= 3).distinct()


def _alike(left: ibis.Table, right: ibis.Table, match: Match) -> ibis.Table:
    """Rows that agree in `on` and whose names begin alike and are alike; the distance is what they lack to be the same."""
    fuzzy = match.fuzzy
    if fuzzy is None:
        raise ValueError("this rule compares no names")
    name = fuzzy.field
    sides = []
    for side, prefix in ((left, LEFT), (right, RIGHT)):
        plain = side[prefix + name].upper().re_replace(r"[^\p{L}\p{N} ]+", "").strip()
        named = side.mutate(**{prefix + "name": plain})
        sides.append(named.mutate(**{prefix + "block": named[prefix + "name"].substr(0, fuzzy.first_letters)}))
    on = [each for each in match.on if each != name]
    same = [(LEFT + each, RIGHT + each) for each in [*on, "block"]]
    met = sides[0].inner_join(sides[1], same)
    scored = met.mutate(likeness=_jaro_winkler(met["l_name"], met["r_name"]))
    near = scored.filter(scored["likeness"] >= fuzzy.at_least)
    return near.mutate(distance=1.0 - near["likeness"]).drop("l_name", "r_name", "l_block", "r_block", "likeness")
