"""How many payments a second one core applies to open items, how many of them by itself, and how many of those rightly."""

from __future__ import annotations

import statistics
import time
from collections import Counter

from bench.cash_cases import judged, open_items, payments
from bench.row import Place, Promise, Row

from tallystick.books.cash.proposals import Status

LEAST_A_SECOND = 5_000.0
MOST_WRONG = 10.0
"""Of ten thousand that were applied by themselves: a precision of 0.999."""


async def row(place: Place) -> Row:
    """The row of the table. The clock is the process's own: what else runs on the machine is no part of it."""
    items, count, rounds = (2_000, 500, 1) if place.smoke else (40_000, 10_000, 5)
    owed = open_items(items, seed=4)
    cases = payments(owed, count, seed=5)
    rates, walls = [], []
    for _ in range(rounds):
        wall, started = time.perf_counter(), time.process_time()
        answers, wrong = judged(owed, cases)
        rates.append(count / (time.process_time() - started))
        walls.append(count / (time.perf_counter() - wall))
    applied = Counter(case.story for case, each in zip(cases, answers, strict=True) if each.status is Status.APPLIED)
    told = Counter(case.story for case in cases)
    automatic = sum(applied.values())
    precision = 1 - len(wrong) / automatic
    seen = statistics.median(rates)
    return Row(
        name="cash",
        what=f"{count:,} payments applied to {items:,} open items, on one core",
        unit="payments/s",
        ours=seen,
        promises=(
            Promise("payments a second of one core", seen, least=LEAST_A_SECOND),
            Promise("wrong of 10,000 applied by themselves", (1 - precision) * 10_000, most=MOST_WRONG),
        ),
        notes=(
            f"{automatic / count:.1%} applied by themselves, {len(wrong)} of them wrongly: precision {precision:.5f}",
            "by themselves, by what the payer did: "
            + ", ".join(f"{story} {applied[story] / of:.0%}" for story, of in told.most_common()),
            f"by the clock on the wall {statistics.median(walls):,.0f}/s",
        ),
        detail={
            "rates": rates,
            "wall_rates": walls,
            "automatic": automatic,
            "wrong": [each.story for each in wrong],
            "applied_by_story": dict(applied),
            "payments_by_story": dict(told),
        },
    )
