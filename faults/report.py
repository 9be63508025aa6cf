"""What a campaign tells at its end: faults with their recoveries, promises with what breaks them, one JSON object."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from faults.campaign import FENCED, Result
from faults.nemesis import LANES, Struck
from rich.console import Console
from rich.table import Table

from tallystick.documents.money import format_minor
from tallystick.store.crash_points import CRASH_POINTS

_MOST_SHOWN = 12


def print_report(result: Result, console: Console) -> None:
    """The tables."""
    console.print(_faults(result))
    console.print(_promises(result))
    for title, evidence in result.broken.items():
        for each in evidence[:_MOST_SHOWN]:
            console.print(f"BROKEN {title}: {each}", markup=False, highlight=False, soft_wrap=True)
        if len(evidence) > _MOST_SHOWN:
            console.print(f"       and {len(evidence) - _MOST_SHOWN} more")


def _by_kind(result: Result) -> dict[str, list[Struck]]:
    kinds: dict[str, list[Struck]] = {
        fault.name: [] for groups in LANES.values() for group in groups for fault in group
    }
    for each in result.struck:
        kinds[each.kind].append(each)
    return kinds


def _faults(result: Result) -> Table:
    table = Table("Fault", "struck", "recovery, median s", "slowest s", "left out", title_justify="left")
    for column in table.columns[1:4]:
        column.justify = "right"
    for kind, all_struck in _by_kind(result).items():
        struck = [each for each in all_struck if not each.missed]
        seconds = [each.recovered for each in struck if each.recovered is not None]
        missed = [each for each in all_struck if each.missed]
        why = f"{len(missed)}: {missed[0].note}"[:60] if missed else "" if struck else "not drawn in this run"
        table.add_row(
            kind,
            str(len(struck)),
            f"{median(seconds):.1f}" if seconds else "",
            "never" if len(seconds) < len(struck) else f"{max(seconds):.1f}" if seconds else "",
            why,
        )
    return table


def _promises(result: Result) -> Table:
    table = Table("Promise", "", "what was compared", title_justify="left")
    compared = _compared(result)
    for title, evidence in result.broken.items():
        held = "held" if title != FENCED or result.naps else "not tried"
        table.add_row(title, f"BROKEN {len(evidence)}×" if evidence else held, compared.get(title, ""))
    return table


def _compared(result: Result) -> dict[str, str]:
    evidence, history = result.evidence, result.history
    kinds: dict[str, int] = defaultdict(int)
    for kind, _ in evidence.references:
        kinds[kind] += 1
    tied = evidence.tied
    return {
        "every acknowledged order exactly once in the ERP": f"{len(history.acknowledged)} acknowledged, "
        f"{kinds['order']} in the ERP",
        "no invoice, payment or credit twice": f"{kinds['invoice']} invoices, {kinds['payment']} payments, "
        f"{kinds['credit_memo']} credits",
        "nothing unacknowledged half done": f"{len(history.abandoned)} given up on unanswered",
        "order inside each transaction kept": f"{sum(map(len, evidence.facts.values()))} facts, "
        f"{sum(len(row['updates']) for row in evidence.sold)} pieces of news",
        "totals tie out to the cent": f"{format_minor(tied.promised, 'USD')} promised, {format_minor(tied.invoiced, 'USD')} "
        f"invoiced, {format_minor(tied.unexplained, 'USD')} unexplained",
        "every failure healed, or stands before a person": f"{len(evidence.exceptions)} exceptions open, "
        f"{result.replayed} dead letters replayed or given up",
        "lineage complete": f"{len(evidence.transactions)} transactions",
        "a fresh order goes through after every fault": f"{sum(not each.missed for each in result.struck)} faults",
        "a worker that slept past its lease is fenced": f"{result.naps} woken with work in hand",
        "no error of our own": ", ".join(
            f"{status or 'no answer'} {times}×" for status, times in sorted(history.statuses.items())
        ),
    }


def summary(result: Result) -> dict[str, Any]:
    """The last line of stdout."""
    return {
        "held": result.held,
        "erp": result.options.erp,
        "seed": result.options.seed,
        "minutes": result.options.minutes,
        "orders_acknowledged": len(result.history.acknowledged),
        "orders_given_up": len(result.history.abandoned),
        "faults": sum(not each.missed for each in result.struck),
        "crash_points": f"{len(result.points)} of {len(CRASH_POINTS)}",
        "unexplained_difference": format_minor(result.evidence.tied.unexplained, "USD"),
        "broken": {title: evidence for title, evidence in result.broken.items() if evidence},
        "recovery": {
            kind: {
                "struck": len(seconds),
                "median_seconds": round(median(seconds), 1),
                "slowest_seconds": round(max(seconds), 1),
            }
            for kind, struck in _by_kind(result).items()
            if (seconds := [each.recovered for each in struck if each.recovered is not None])
        },
        "endings": {f"{program} {status}": times for (program, status), times in sorted(result.endings.items())},
        "seconds": round(result.seconds, 1),
    }
