"""One reconciliation from beginning to end: open both sides, match, classify, find causes, write, and check that all adds up."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ibis

from tallystick.books.reconciliation.causes import name_causes, with_evidence
from tallystick.books.reconciliation.classes import Broken, classify
from tallystick.books.reconciliation.engine import DEFAULT_MEMORY, Engine, open_engine
from tallystick.books.reconciliation.explaining import explain
from tallystick.books.reconciliation.findings import Wholes, find_out
from tallystick.books.reconciliation.matching import Matched, match_sides
from tallystick.books.reconciliation.opening import NUMBER, OpenSide, open_side
from tallystick.books.reconciliation.outcome import Outcome, SideCount, plain, tallies
from tallystick.books.reconciliation.results import Results
from tallystick.books.reconciliation.rules import Rules, Side
from tallystick.books.reconciliation.sides import Prepared, prepare

_LARGEST = 10
_MOST_CURRENCIES = 200


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to be made."""

    folder: Path = Path()
    """Where the sources of the rules are sought."""
    out: Path | None = None
    """Where the results are written."""
    memory: str = DEFAULT_MEMORY
    threads: int | None = None
    hub_url: str | None = None
    explain: str | None = None
    """A key whose story is wanted."""
    keep: Callable[[Outcome, Results, tuple[Prepared, Prepared]], None] | None = None
    """Has the run kept while its engine is open."""


def reconcile(rules: Rules, options: Options, step: Callable[[str], None] = lambda what: None) -> Outcome:
    """Reconcile by rules. `step` is told what is being done.

    Raises RulesError and SourceError for what a person can put right, NotConserved for what only we can.
    """
    with open_engine(options.memory, options.threads) as engine, ExitStack() as stack:
        return Run(engine, rules, options, step).whole(stack)


class Run:
    """The steps of a run over one engine."""

    def __init__(self, engine: Engine, rules: Rules, options: Options, step: Callable[[str], None]) -> None:
        self.engine, self.rules, self.options = engine, rules, options
        self._tell, self._started = step, time.monotonic()
        self.seconds: dict[str, float] = {}
        self._doing = ""

    def step(self, what: str) -> None:
        """Note what is being done, and how long the step before took."""
        now = time.monotonic()
        if self._doing:
            self.seconds[self._doing] = self.seconds.get(self._doing, 0.0) + now - self._started
        self._doing, self._started = what, now
        if what:
            self._tell(what)

    def whole(self, stack: ExitStack) -> Outcome:
        """Everything."""
        began = time.monotonic()
        sides, prepared = self.opened(stack)
        matched = match_sides(
            self.engine,
            *prepared,
            self.rules,
            (sides[0].rows, sides[1].rows),
            self.step,
            settling=not self.rules.output.matches,
        )
        self.step("classifying what is left")
        broken = classify(self.engine, matched, self.rules)
        self.step("finding root causes")
        wholes = Wholes(*(each.rows for each in prepared))
        found = find_out(self.engine, broken.breaks, matched, wholes, self.rules)
        named = name_causes(self.engine, found, self.rules)
        counts = self._counts(sides, matched, broken)
        for each in counts:
            each.check()
        self.step("writing the results")
        results = Results(self.engine, self.rules, sides, matched, broken, with_evidence(named, self.rules))
        outcome = self._outcome(results, counts, named)
        if self.options.out:
            outcome = results.write(outcome, self.options.out)
        if self.options.explain is not None:
            self.step(f"explaining {self.options.explain}")
            outcome = replace(outcome, explanation=explain(self.options.explain, prepared, results))
        if self.options.keep:
            self.step("keeping the run")
            self.options.keep(outcome, results, prepared)
        self.step("")
        self.seconds["all"] = time.monotonic() - began
        return outcome

    def opened(self, stack: ExitStack) -> tuple[tuple[OpenSide, OpenSide], tuple[Prepared, Prepared]]:
        """Both sides, and as they are matched."""
        both, ready = [], []
        for name, side in (("left", self.rules.left), ("right", self.rules.right)):
            self.step(f"opening {side.name or name}")
            opened = open_side(self.engine, side, name, self.options.folder, stack, self.options.hub_url)
            both.append(opened)
            ready.append(prepare(opened.table, side, self.rules, NUMBER, self._currencies(opened, side)))
        return (both[0], both[1]), (ready[0], ready[1])

    def _currencies(self, opened: OpenSide, side: Side) -> list[str | None] | None:
        """What the column of currency has, if there is one and it has not hundreds."""
        rule = side.columns.currency
        if rule is None or rule.column is None:
            return None
        values = opened.table.select(code=opened.table[rule.column].cast("string")).distinct().limit(_MOST_CURRENCIES)
        found = [row["code"] for row in self.engine.fetch(values)]
        return found if len(found) < _MOST_CURRENCIES else None

    def _counts(
        self, sides: tuple[OpenSide, OpenSide], matched: Matched, broken: Broken
    ) -> tuple[SideCount, SideCount]:
        """Where the rows went. Each number is counted where the rows are, and none is the difference of others."""
        found = []
        for index, name in enumerate(("left", "right")):
            side, rule = sides[index], (self.rules.left, self.rules.right)[index]
            rows = (broken.left, broken.right)[index]
            faulty = (matched.quarantined.left, matched.quarantined.right)[index]
            found.append(
                SideCount(
                    rule.name or name,
                    side.location,
                    rows_in=side.rows_in,
                    left_out=side.left_out,
                    quarantined=side.unreadable + self.engine.count(faulty),
                    matched=sum(getattr(each, f"{name}_rows") for each in matched.agreed),
                    broken=int(self.engine.fetch(rows.aggregate(n=rows["row"].nunique()))[0]["n"]),
                )
            )
        return found[0], found[1]

    def _outcome(self, results: Results, counts: tuple[SideCount, SideCount], breaks: ibis.Table) -> Outcome:

        def counted(*by: str) -> list[dict[str, Any]]:
            return self.engine.fetch(
                breaks.group_by(*by, "currency").aggregate(
                    breaks=breaks.count(),
                    money_at_risk=breaks["money_at_risk"].sum().cast("int64"),
                    amount_difference=breaks["amount_difference"].sum().cast("int64"),
                )
            )

        largest = results.shown().order_by(ibis.desc("money_at_risk"), "number").limit(_LARGEST)
        return Outcome(
            self.rules,
            *counts,
            agreed=results.matched.agreed,
            classes=tallies(counted("class"), "class"),
            causes=tallies(counted("cause", "cause_kind"), "cause", "cause_kind"),
            quarantine_reasons=results.quarantine_reasons(),
            largest=tuple({name: plain(value) for name, value in row.items()} for row in self.engine.fetch(largest)),
            seconds=self.seconds,
            notes=tuple(note for side in results.sides for note in side.notes),
        )
