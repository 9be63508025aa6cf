"""When a system may be tried, by what a worker knows of it."""

from __future__ import annotations

import pytest

from tallystick.mailbox.breaker import Gate


@pytest.mark.parametrize(
    ("gate", "wait"),
    [
        (Gate(), 0.0),
        (Gate(paused=True), None),
        (Gate(paused=True, breaker="open", breaker_until=1_030.0), None),
        (Gate(breaker="open", breaker_until=1_030.0), 30.0),
        (Gate(breaker="open", breaker_until=990.0), 0.0),
        (Gate(breaker="half_open", breaker_until=1_010.0), 10.0),
        (Gate(breaker="closed", breaker_until=1_030.0), 0.0),
        (Gate(throttled_until=1_007.0), 7.0),
        (Gate(out_of_tokens_until=1_000.5), 0.5),
        (Gate(breaker="open", breaker_until=1_005.0, throttled_until=1_007.0), 7.0),
        (Gate(failures=4), 0.0),
    ],
)
def test_the_longest_reason_to_wait_counts(gate: Gate, wait: float | None) -> None:
    assert gate.wait_seconds(1_000.0) == wait
