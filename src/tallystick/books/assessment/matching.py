"""The two sides read by their roles and put through the reconciliation engine: what agrees, what breaks, and why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tallystick.books.assessment.mapping import Mapping, SideMapping
from tallystick.books.assessment.names import Role
from tallystick.books.assessment.roles import UNIQUE, Roles
from tallystick.books.reconciliation.engine import Engine
from tallystick.books.reconciliation.opening import NUMBER, OpenSide
from tallystick.books.reconciliation.outcome import Outcome, SideCount
from tallystick.books.reconciliation.results import Results
from tallystick.books.reconciliation.rules import (
    Amount,
    Columns,
    Day,
    Keys,
    Kind,
    Match,
    Number,
    Replace,
    Rules,
    Side,
    Text,
    Tolerance,
)
from tallystick.books.reconciliation.run import Options, Run
from tallystick.books.reconciliation.sides import Prepared, prepare
from tallystick.books.sources import FILE_COLUMN, ID_COLUMN, ROW_COLUMN, Column, QuarantinedValue, Source, Wanted, load
from tallystick.books.sources.engine import identifier

BREAKS = "assessed_breaks"
SALES, FINANCE = "assessed_sales", "assessed_finance"
_FINE_SHARE = 0.05
_LISTED = 1000
_TAX_RATES = ("5", "5.5", "7", "7.7", "8", "8.1", "9", "10", "13.5", "19", "20", "21", "22", "23", "24", "25")
"""Percentages that amounts with and without tax are often apart, in Europe and beyond."""
_FIELDS = {"product": "item"}  # what the engine calls a role, where it calls it otherwise
_TEXTS: tuple[Role, ...] = ("party", "product", "status", "channel", "document")
_DATES: tuple[Role, ...] = ("date", "due")
_NUMBERS: tuple[Role, ...] = ("quantity", "price", "discount")
_MONEY: tuple[Role, ...] = ("currency", "amount")


@dataclass(frozen=True, slots=True)
class Matched:
    """What both sides came to. The breaks are in the engine's table BREAKS, the rows in SALES and FINANCE."""

    sides: tuple[SideCount, SideCount]
    matched_amounts: dict[str, tuple[int, int]]
    """By currency, what the matched rows of both sides come to in minor units."""
    quarantined: dict[str, list[QuarantinedValue]]
    """By side, the first values because of which rows were set aside."""
    notes: tuple[str, ...]


class _AssessedRun(Run):
    """A reconciliation whose sides were read by their roles already."""

    def __init__(
        self, engine: Engine, rules: Rules, step: Callable[[str], None], sides: tuple[OpenSide, OpenSide]
    ) -> None:
        super().__init__(engine, rules, Options(keep=self._kept), step)
        self._sides = sides
        self.quarantined: dict[str, list[QuarantinedValue]] = {"sales": [], "finance": []}

    def opened(self, stack: ExitStack) -> tuple[tuple[OpenSide, OpenSide], tuple[Prepared, Prepared]]:
        """Both sides, and as they are matched."""
        left, right = (
            prepare(opened.table, side, self.rules, NUMBER)
            for opened, side in zip(self._sides, (self.rules.left, self.rules.right), strict=True)
        )
        return self._sides, (left, right)

    def _kept(self, outcome: Outcome, results: Results, prepared: tuple[Prepared, Prepared]) -> None:
        self.engine.keep(BREAKS, results.breaks)
        listed = results.quarantine()
        for name, side in (("sales", "left"), ("finance", "right")):
            rows = listed.filter(listed["side"] == side).order_by("file", "row", "column").limit(_LISTED)
            self.quarantined[name] = [
                QuarantinedValue(row["file"], row["row"], row["column"], row["value"], row["reason"])
                for row in self.engine.fetch(rows)
            ]


def match(engine: Engine, sources: tuple[Source, Source], roles: Roles, step: Callable[[str], None]) -> Matched:
    """Read both sides and reconcile them. `step` is told what is being done. Raises SourceError."""
    mapping = roles.mapping
    notes = list(roles.notes)
    opened = []
    for name, source, side, wording in zip(
        (SALES, FINANCE), sources, (mapping.sales, mapping.finance), ("sales", "finance"), strict=True
    ):
        step(f"reading {wording}")
        wanted, remarks = wanted_of(source, side, mapping)
        loaded = load(engine.connection, source, f"{name}_read", wanted)
        engine.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {_canonical_sql(f'{name}_read', side, wanted)}")
        notes += [f"{wording}: {each}" for each in (*remarks, *loaded.notes)]
        opened.append(
            OpenSide(
                engine.backend.table(name),
                loaded.rows_in,
                loaded.kept,
                0,
                loaded.quarantined,
                source.location,
                tuple(each.path for each in source.files),
                loaded.quarantine,
            )
        )
    run = _AssessedRun(engine, rules_of(roles), step, (opened[0], opened[1]))
    with ExitStack() as stack:
        outcome = run.whole(stack)
    amounts: dict[str, tuple[int, int]] = {}
    for each in outcome.agreed:
        left, right = amounts.get(each.currency, (0, 0))
        amounts[each.currency] = (left + each.left_amount, right + each.right_amount)
    return Matched((outcome.left, outcome.right), amounts, run.quarantined, tuple(notes))


def wanted_of(source: Source, side: SideMapping, mapping: Mapping) -> tuple[dict[str, Wanted], list[str]]:
    """What each column with a role must become, and what a person should know of it."""
    notes = []
    wanted: dict[str, Wanted] = {}
    for role in _TEXTS:
        if name := side.column(role):
            wanted[name] = Wanted("text")
    for role in _DATES:
        if name := side.column(role):
            wanted[name] = Wanted("date")
    for role in _NUMBERS:
        if name := side.column(role):
            wanted[name] = Wanted("number")
    if side.currency:
        wanted[side.currency] = Wanted("currency", currency=mapping.matching.currency)
    if side.amount:
        fine = _share_of_fine(source.column(side.amount))
        if fine > _FINE_SHARE:
            notes.append(
                f"{fine:.0%} of the values of {side.amount} have more than two decimals: they are rounded half up"
            )
        wanted[side.amount] = Wanted(
            "money",
            required=True,
            currency=mapping.matching.currency,
            currency_column=side.currency,
            round_finer=fine > _FINE_SHARE,
        )
    return {**wanted, **{name: Wanted("text", required=True) for name in side.key}}, notes


def _share_of_fine(column: Column) -> float:
    if not column.values or column.number is None:
        return 0.0
    mark = column.number.decimal
    fine = [value for value in column.values if mark in value and len(value.rpartition(mark)[2].rstrip("0")) > 2]
    return len(fine) / len(column.values)


def _canonical_sql(table: str, side: SideMapping, wanted: dict[str, Wanted]) -> str:
    """The side with its columns called by their roles."""
    named = [f"{identifier(name)} AS key_{place}" for place, name in enumerate(side.key)]
    for role in (*_TEXTS, *_DATES, *_NUMBERS, *_MONEY):
        name = side.column(role)
        if name:
            named.append(f"{identifier(name)} AS {role}")
    return f"SELECT {', '.join(named)}, {FILE_COLUMN}, {ROW_COLUMN}, {ID_COLUMN} AS {NUMBER} FROM {table}"


def rules_of(roles: Roles) -> Rules:
    """The rules by which rows of the two sides find each other."""
    mapping, matching = roles.mapping, roles.mapping.matching
    digits = matching.keys == "digits"
    left, right = (each >= UNIQUE for each in roles.unique)
    kind = {
        (True, True): Kind.ONE_TO_ONE,
        (True, False): Kind.ONE_TO_MANY,
        (False, True): Kind.MANY_TO_ONE,
        (False, False): Kind.MANY_TO_MANY,
    }[left, right]
    compared = [_FIELDS.get(each, each) for each in matching.compare or ()]
    if kind is not Kind.ONE_TO_ONE:
        compared = [each for each in compared if each == "amount"]
    return Rules.model_validate(
        {
            "name": "assessment",
            "tax_rates": _TAX_RATES,
            "currency": matching.currency or "USD",
            "left": _side(mapping.sales, "sales", matching.currency),
            "right": _side(mapping.finance, "finance", matching.currency),
            "keys": Keys(
                regexp=Replace(find="[^0-9]+") if digits else None, normalise=("trim", "upper", "leading_zeros")
            ),
            "match": [
                Match(
                    name="same key",
                    kind=kind,
                    compare=tuple(compared),
                    tolerance=Tolerance(absolute=matching.tolerance),
                )
            ],
        }
    )


def _side(side: SideMapping, name: str, currency: str | None) -> Side:
    amount = None
    if side.amount:
        amount = Amount(column="amount", minor=True)
    elif side.price and side.quantity:
        amount = Amount(price="price", quantity="quantity", discount="discount" if side.discount else None)
    return Side(
        name=name,
        columns=Columns(
            key=tuple(f"key_{place}" for place in range(len(side.key))),
            party=_text(side.party, "party"),
            item=_text(side.product, "product"),
            status=_text(side.status, "status"),
            date=Day(column="date") if side.date else None,
            amount=amount,
            quantity=Number(column="quantity") if side.quantity else None,
            price=Number(column="price") if side.price else None,
            currency=Text(column="currency") if side.currency else Text(constant=currency or "USD"),
        ),
    )


def _text(column: str | None, role: str) -> Text | None:
    return Text(column=role) if column else None
