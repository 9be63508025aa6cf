"""Which column is what, proposed from names, from the shape of values, and from what both sides have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import duckdb

from tallystick.books.assessment.evidence import (
    Spread,
    agreement,
    identifying_columns,
    part_of,
    sample_pairs,
    spreads,
    uniqueness_of,
)
from tallystick.books.assessment.mapping import Compared, Mapping, Matching, Proposed, SideMapping
from tallystick.books.assessment.names import Role, name_score
from tallystick.books.sources import Column, Source, SourceError
from tallystick.documents.money import MINOR_DIGITS

UNIQUE = 0.98
_SURE = 0.8
_NEVER_KEYS: tuple[Role, ...] = ("line", "quantity", "price", "amount", "discount")
_PAIRED: tuple[Role, ...] = ("amount", "quantity", "price", "currency", "party", "product", "status", "date", "channel")
_ALONE: tuple[Role, ...] = ("currency", "date", "due", "party", "product", "status", "channel", "discount", "document")
_MOST_PAIRS = 400
_AGREE_LEAST = 0.5
_ALIKE = 0.3
_NUMBERS = ("amount", "quantity", "price")
_SMALL_CHOICE = 40


@dataclass(slots=True)
class Roles:
    """What was proposed or said, whole."""

    mapping: Mapping
    proposed: list[Proposed]
    unique: tuple[float, float]
    """Share of different keys among the rows of each side: from 0.98 on each key is taken for one row."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Key:
    columns: tuple[Column, Column]
    digits_only: bool
    confidence: float
    evidence: str
    rows: int
    score: float = 1.0


def propose_roles(connection: duckdb.DuckDBPyConnection, sales: Source, finance: Source, said: Mapping) -> Roles:
    """Propose what every column is, keeping to what `said` says.

    Raises SourceError when no column of the one side shares values with one of the other, or a column said is not there.
    """
    sides = (sales, finance)
    key = _said_key(sides, said) or _find_key(connection, sides, said)
    sample_pairs(connection, sides, key.columns, key.digits_only, key.rows)
    unique = tuple(uniqueness_of(connection, place, None) for place in (0, 1))
    second = None
    if not (said.sales.key or said.finance.key) and max(unique) < UNIQUE:
        second = _second_part(connection, sides, key)
    elif len(said.sales.key) > 1 and len(said.finance.key) > 1:
        second = (sales.column(said.sales.key[1]), finance.column(said.finance.key[1]))
    if second:
        unique = tuple(uniqueness_of(connection, place, second[place]) for place in (0, 1))
    pairs = [key.columns, second] if second else [key.columns]
    names = (tuple(left.name for left, _ in pairs), tuple(right.name for _, right in pairs))
    evidence = f"{key.evidence}; with {second[0].name} each row has its own" if second else key.evidence
    proposed = [Proposed(role="key", sales=names[0], finance=names[1], confidence=key.confidence, evidence=evidence)]
    taken = ({*names[0]}, {*names[1]})
    proposed += _paired(connection, sides, said, second, taken)
    proposed += _alone(sides, said, taken, {each.role for each in proposed})
    return _whole(sides, said, proposed, key, (unique[0], unique[1]))


def _said_key(sides: tuple[Source, Source], said: Mapping) -> _Key | None:
    if not (said.sales.key and said.finance.key):
        return None
    columns = tuple(_named(side, names.key[0]) for side, names in zip(sides, (said.sales, said.finance), strict=True))
    rows = max(side.files[0].path.stat().st_size // 60 for side in sides)
    return _Key((columns[0], columns[1]), said.matching.keys == "digits", 1.0, "said", rows)


def _named(source: Source, name: str) -> Column:
    try:
        return source.column(name)
    except KeyError:
        there = ", ".join(column.name for column in source.columns[:40])
        raise SourceError(f"{source.location} has no column {name!r}; it has {there}") from None


def _find_key(connection: duckdb.DuckDBPyConnection, sides: tuple[Source, Source], said: Mapping) -> _Key:
    """The pair of columns that share most values, tell most rows apart, and are called like keys."""
    part = part_of(*sides)
    best: _Key | None = None
    for digits_only in {"text": (False,), "digits": (True,), None: (False, True)}[said.matching.keys]:
        if best and best.confidence >= _SURE:
            break
        found = []
        for side, names in zip(sides, (said.sales, said.finance), strict=True):
            columns = [_named(side, names.key[0])] if names.key else identifying_columns(side)
            found.append((columns, spreads(connection, side, columns, digits_only, part)))
        better = _best_key(found[0], found[1], digits_only)
        if better and (best is None or better.score > best.score + 0.05):
            best = better
    if best:
        return best
    raise SourceError(
        f"no column of {sides[0].location} shares values with one of {sides[1].location}; say with --mapping which are the keys"
    )


def _best_key(
    left: tuple[list[Column], dict[str, Spread]], right: tuple[list[Column], dict[str, Spread]], digits_only: bool
) -> _Key | None:
    best: _Key | None = None
    for one in left[0]:
        for other in right[0]:
            key = _key_of(one, other, left[1][one.name], right[1][other.name], digits_only)
            if key and (best is None or key.score > best.score):
                best = key
    return best


def _key_of(one: Column, other: Column, a: Spread, b: Spread, digits_only: bool) -> _Key | None:
    shared = len(a.values & b.values)
    fewer, more = sorted((len(a.values), len(b.values)))
    if not shared or fewer < 2:
        return None
    # A handful of numbers that is found among many says little, so what the larger side has counts as well.
    share = shared / fewer * (0.5 + 0.5 * shared / more)
    unique = (a.uniqueness, b.uniqueness)
    named = (name_score(one.name, "key") + name_score(other.name, "key")) / 2
    score = 0.45 * share + 0.25 * max(unique) + 0.1 * min(unique) + 0.2 * named
    if min(unique) < UNIQUE:
        score -= 0.25 * max(name_score(each.name, role) >= 1 for each in (one, other) for role in _NEVER_KEYS)
    confidence = round(min(1.0, 0.6 * share + 0.2 * max(unique) + 0.2 * named), 2)
    text = f"{shared / fewer:.0%} of the values are on both sides{' by their digits' if digits_only else ''}"
    return _Key((one, other), digits_only, confidence, text, max(a.rows, b.rows), score)


def _second_part(
    connection: duckdb.DuckDBPyConnection, sides: tuple[Source, Source], key: _Key
) -> tuple[Column, Column] | None:
    """A line number or product that, with the key, tells every row of both sides from the others."""
    best, best_score = None, 0.0
    for one in identifying_columns(sides[0]):
        for other in identifying_columns(sides[1]):
            named = max(min(name_score(one.name, role), name_score(other.name, role)) for role in ("line", "product"))
            shared = len(set(one.values) & set(other.values))
            if key.digits_only and not (one.number and other.number):
                continue  # their letters would be lost too
            if named == 0 or not shared or one.name == key.columns[0].name or other.name == key.columns[1].name:
                continue
            unique = [uniqueness_of(connection, place, each) for place, each in enumerate((one, other))]
            score = min(unique) + 0.1 * named
            if min(unique) >= UNIQUE and score > best_score:
                best, best_score = (one, other), score
    return best


def _paired(
    connection: duckdb.DuckDBPyConnection,
    sides: tuple[Source, Source],
    said: Mapping,
    second: tuple[Column, Column] | None,
    taken: tuple[set[str], set[str]],
) -> list[Proposed]:
    """Roles that both sides have: the better two columns agree on paired rows, the surer."""
    pairs = [
        (a, b, role, named)
        for role in _PAIRED
        for a in _could_be(sides[0], said.sales, role)
        for b in _could_be(sides[1], said.finance, role)
        if (named := _named_score(a, b, role, said)) > 0
    ]
    pairs = sorted(pairs, key=lambda each: -each[3])[:_MOST_PAIRS]
    shares = agreement(connection, [(a, b, role in _NUMBERS) for a, b, role, _ in pairs], second)
    ranked = sorted(
        (
            (0.6 * share + 0.4 * named, share, a, b, role)
            for (a, b, role, named), share in zip(pairs, shares, strict=True)
        ),
        key=lambda each: -each[0],
    )
    proposed: dict[Role, Proposed] = {}
    for score, share, a, b, role in ranked:
        # A product or line may be part of the key and be what it is besides.
        used = role != "product" and (a.name in taken[0] or b.name in taken[1])
        # Money that neither agrees nor is called money on both sides is not the same money.
        strange = share < _ALIKE and not all(
            side.column(role) or name_score(each.name, role) for each, side in ((a, said.sales), (b, said.finance))
        )
        if role in proposed or used or score < 0.3 or strange:
            continue
        taken[0].add(a.name)
        taken[1].add(b.name)
        text = f"{share:.0%} of paired rows agree"
        compared = share >= _AGREE_LEAST and role not in ("date", "channel")
        proposed[role] = Proposed(
            role=role, sales=(a.name,), finance=(b.name,), confidence=round(score, 2), evidence=text, compared=compared
        )
    return list(proposed.values())


def _could_be(source: Source, said: SideMapping, role: Role) -> list[Column]:
    """The columns whose values have the shape of a role, or the one that was said."""
    if said.said(role):
        name = said.column(role)
        return [_named(source, name)] if name else []
    return [column for column in source.columns if _has_shape(column, role)]


def _has_shape(column: Column, role: Role) -> bool:
    if not column.values:
        return False
    if role in ("amount", "quantity", "price", "discount"):
        return column.number is not None and not column.number.like_numbers_only
    if role in ("date", "due"):
        return column.date is not None
    if role == "currency":
        codes = sum(1 for value in column.values if value.upper() in MINOR_DIGITS or value in "€$£")
        return codes == len(column.values) or (codes > 0 and name_score(column.name, "currency") > 0)
    if role in ("status", "channel"):
        return column.date is None and len(column.values) <= _SMALL_CHOICE
    return column.date is None and not (column.number and column.number.most_decimals)


def _named_score(a: Column, b: Column, role: Role, said: Mapping) -> float:
    scores = [
        1.0 if side.column(role) == column.name else name_score(column.name, role)
        for column, side in ((a, said.sales), (b, said.finance))
    ]
    if role == "currency":
        return max(0.5, sum(scores) / 2)  # codes of ISO 4217 speak for themselves
    if role == "amount":
        money = sum(0.3 for each in (a, b) if each.number and (each.number.most_decimals == 2 or each.number.sign))
        return min(1.0, sum(scores) / 2 + money / 2)
    return sum(scores) / 2 if min(scores) > 0 else 0.0


def _alone(
    sides: tuple[Source, Source], said: Mapping, taken: tuple[set[str], set[str]], known: set[Role]
) -> list[Proposed]:
    """Roles that one side has, or that can't be compared, by name and shape alone."""
    proposed = []
    for role in (*_ALONE, "amount", "quantity", "price"):
        if role in known:
            continue
        names: list[tuple[str, ...]] = []
        best = 0.0
        for place, (source, side) in enumerate(zip(sides, (said.sales, said.finance), strict=True)):
            columns = [column for column in _could_be(source, side, role) if column.name not in taken[place]]
            only = role == "currency" or (role == "date" and len(columns) == 1)  # what else would it be
            scored = [
                (1.0 if side.column(role) else max(name_score(column.name, role), 0.6 if only else 0.0), column.name)
                for column in columns
            ]
            score, name = max(scored, default=(0.0, ""))
            names.append((name,) if score >= 0.6 else ())
            best = max(best, score if score >= 0.6 else 0.0)
            taken[place].update(names[-1])
        if names[0] or names[1]:
            text = "by name and shape"
            proposed.append(
                Proposed(role=role, sales=names[0], finance=names[1], confidence=round(best * 0.7, 2), evidence=text)
            )
    return proposed


def _whole(
    sides: tuple[Source, Source], said: Mapping, proposed: list[Proposed], key: _Key, unique: tuple[float, float]
) -> Roles:
    """The mapping that results, with what was said in it."""
    names: tuple[dict[str, object], dict[str, object]] = ({}, {})
    for each in proposed:
        for place, columns in enumerate((each.sales, each.finance)):
            if columns:
                names[place][each.role] = columns if each.role == "key" else columns[0]
    mapped = [
        SideMapping.model_validate({**own, **side.model_dump(exclude_none=True, exclude_defaults=True)})
        for own, side in zip(names, (said.sales, said.finance), strict=True)
    ]
    agreeing = {
        each.role for each in proposed if each.compared or (each.role == "amount" and each.sales and each.finance)
    }
    comparable: tuple[Compared, ...] = get_args(Compared)
    compared = said.matching.compare or tuple(role for role in comparable if role in agreeing)
    currency = said.matching.currency
    if currency is None and not all(each.currency for each in mapped):
        currency = _currency_of(sides, mapped)
    notes = []
    if currency is None and not all(each.currency for each in mapped):
        currency = "USD"
        notes.append("beside some money stands no currency: it is taken for USD; say with --mapping what it is")
    if not {"amount", "quantity", "price"} & set(compared):
        notes.append("only keys were compared, for no amounts, quantities or prices of both sides belong together")
    matching = Matching(
        keys="digits" if key.digits_only else "text",
        compare=compared,
        tolerance=said.matching.tolerance,
        currency=currency,
    )
    mapping = Mapping(sales=mapped[0], finance=mapped[1], matching=matching)
    return Roles(mapping, proposed, unique, notes)


def _currency_of(sides: tuple[Source, Source], mapped: Sequence[SideMapping]) -> str | None:
    """The currency whose sign stands beside the amounts, or of which the other side speaks first."""
    for source, side in zip(sides, mapped, strict=True):
        number = source.column(side.amount).number if side.amount else None
        if number and number.currency in MINOR_DIGITS:
            return number.currency
    for source, side in zip(sides, mapped, strict=True):
        for value in source.column(side.currency).values if side.currency else ():
            if value.upper() in MINOR_DIGITS:
                return value.upper()
    return None
