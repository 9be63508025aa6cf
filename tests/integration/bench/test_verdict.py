"""What is promised is judged: by its bound, on a machine for which it was promised, and never at tiny sizes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bench.report import report, table
from bench.row import Beside, Promise, Row, unmeasured

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def surroundings(cores: int) -> dict[str, Any]:
    settings = {"fsync": "on"}
    return {"cores": cores, "load_average": [0.0], "python": "3", "postgresql": "18", "postgresql_settings": settings}


def row(*promises: Promise) -> Row:
    return Row("mailbox", "messages", "messages/s", 1_000.0, promises, (Beside("bare loop", 2_000.0),))


@pytest.mark.parametrize(
    ("promise", "met"),
    [
        (Promise("rate", 5_000, least=5_000), True),
        (Promise("rate", 4_999, least=5_000), False),
        (Promise("p99", 25.0, most=25), True),
        (Promise("p99", 25.1, most=25), False),
        (Promise("rate", 4_999, least=5_000, cores=2), False),
        (Promise("rate", 4_999, least=5_000, cores=4), None),
        (Promise("rate", 5_000, least=5_000, cores=4), True),
    ],
)
def test_promise_is_judged_by_its_bound_on_a_machine_that_is_large_enough(promise: Promise, met: bool | None) -> None:
    assert promise.met(2, smoke=False) is met
    assert promise.met(2, smoke=True) is None


def test_one_broken_promise_breaks_the_run_and_stays_in_the_table_with_its_number() -> None:
    kept, broken = (
        Promise("part of the bare loop's rate", 0.5, least=0.5),
        Promise("messages a second", 1_000, least=5_000),
    )
    told = report([row(kept), row(kept, broken)], surroundings(2), NOW, smoke=False)
    assert [[each["met"] for each in each_row["promises"]] for each_row in told["rows"]] == [[True], [True, False]]
    assert told["met"] is False
    line = next(each for each in table([row(broken)], surroundings(2), smoke=False).splitlines() if "a second" in each)
    assert line.split() == ["mailbox", "messages", "a", "second", "1,000", "≥", "5,000", "NO"]


def test_what_cannot_be_judged_breaks_nothing_and_is_marked() -> None:
    wanting = row(Promise("rate", 1_000, least=5_000, cores=4))
    assert report([wanting], surroundings(2), NOW, smoke=False)["met"] is True
    assert "more cores than these 2" in table([wanting], surroundings(2), smoke=False)
    assert report([wanting], surroundings(4), NOW, smoke=False)["met"] is False


@pytest.mark.parametrize("smoke", [True, False])
def test_row_that_could_not_be_measured_fails_the_run_at_any_size_and_says_why(smoke: bool) -> None:
    rows = [row(Promise("rate", 1.0, least=1.0)), unmeasured("news", "RuntimeError: nobody answers")]
    assert report(rows, surroundings(2), NOW, smoke)["met"] is False
    assert "news          NOT MEASURED: RuntimeError: nobody answers" in table(rows, surroundings(2), smoke)
