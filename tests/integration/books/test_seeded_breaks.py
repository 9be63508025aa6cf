"""Breaks of every class and cause are seeded; the truth is in a file that the reconciliation never sees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from bench.seeded import FATES, RULES, seed_breaks
from tests.integration.books.reconciling import read

from tallystick.books.reconciliation.outcome import Outcome
from tallystick.books.reconciliation.rules_file import parse_rules
from tallystick.books.reconciliation.run import Options, reconcile

LINES = 20_000
SOURCES = {"[left]\n": '[left]\nsource = "left.parquet"\n', "[right]\n": '[right]\nsource = "right.parquet"\n'}
Broken = tuple[str, str]


@dataclass(frozen=True)
class Seen:
    outcome: Outcome
    truth: dict[Broken, dict[str, Any]]
    """By key and side."""
    breaks: dict[Broken, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One run over one set of seeded breaks, for all tests here."""
    folder = tmp_path_factory.mktemp("seeded")
    files = seed_breaks(folder, LINES, broken=0.2, seed=7)
    rules = RULES
    for old, new in SOURCES.items():
        rules = rules.replace(old, new)
    outcome = reconcile(parse_rules(rules, "seeded.toml"), Options(folder, folder / "out", threads=1))
    truth = {(row["key"], row["side"]): row for row in read(files.truth)}
    breaks = {
        (row["left_key"] or row["right_key"], row["side"]): row for row in read(folder / "out" / "breaks.parquet")
    }
    return Seen(outcome, truth, breaks)


def test_every_seeded_break_is_found_and_nothing_else(seen: Seen) -> None:
    assert set(seen.breaks) == set(seen.truth)
    assert len(seen.breaks) == seen.outcome.breaks > LINES / 10


def test_every_class_is_seeded_and_called_by_its_name(seen: Seen) -> None:
    wrong = [key for key, row in seen.truth.items() if seen.breaks[key]["class"] != row["class"]]
    assert wrong == []
    assert {row["class"] for row in seen.truth.values()} == {name for name, _ in FATES}


def test_money_at_risk_is_right_to_the_cent_in_every_class(seen: Seen) -> None:
    expected: Counter[str] = Counter()
    for row in seen.truth.values():
        expected[row["class"]] += row["money"]
    found: Counter[str] = Counter()
    for row in seen.breaks.values():
        found[row["class"]] += row["money_at_risk"]
    assert found == expected
    assert [key for key, row in seen.truth.items() if seen.breaks[key]["money_at_risk"] != row["money"]] == []


def test_root_causes_are_right_in_95_of_100_breaks(seen: Seen) -> None:
    confusion = Counter((str(row["cause"]), str(seen.breaks[key]["cause"])) for key, row in seen.truth.items())
    print(f"\n{'seeded':36} {'named':36} breaks")  # noqa: T201 - the confusion table, for whoever runs it with -s
    for (seeded, named), number in sorted(confusion.items()):
        print(f"{seeded:36} {named:36} {number:6}{'' if seeded == named else '  <- wrong'}")  # noqa: T201
    for cause in {seeded for seeded, _ in confusion}:
        whole = sum(number for (seeded, _), number in confusion.items() if seeded == cause)
        claimed = sum(number for (_, each), number in confusion.items() if each == cause)
        right = confusion[cause, cause]
        assert right >= 0.95 * whole, f"recall of {cause}"
        assert right >= 0.95 * claimed, f"precision of {cause}"


def test_evidence_names_the_values_and_the_confidence_is_stated(seen: Seen) -> None:
    stale = next(row for row in seen.breaks.values() if row["cause"] == "stale price list")
    assert (
        str(stale["left_price"].normalize()) in stale["evidence"] or f"{stale['left_price']:.2f}" in stale["evidence"]
    )
    assert all(0 < row["confidence"] <= 1 for row in seen.breaks.values() if row["cause"])
    assert {row["cause_kind"] for row in seen.breaks.values() if row["cause"]} == {
        "data_quality",
        "process_design",
        "missing_api",
        "weak_orchestration",
    }
    assert not any("{" in row["evidence"] for row in seen.breaks.values() if row["evidence"])


def test_rows_are_conserved_and_money_that_matched_is_the_same_on_both_sides(seen: Seen) -> None:
    for side in (seen.outcome.left, seen.outcome.right):
        assert side.rows_in == side.matched + side.broken + side.quarantined
    (agreed,) = seen.outcome.agreed
    assert agreed.left_amount == agreed.right_amount > 0
