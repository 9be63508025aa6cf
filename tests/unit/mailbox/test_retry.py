"""What becomes of a failed delivery, by the kind of its failure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.mailbox.deliveries import delivery

from tallystick.mailbox.retry import plan_retry
from tallystick.settings import Worker
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown

SETTINGS = Worker(maximum_attempts=4, backoff_seconds=2, backoff_limit_seconds=20)
PATIENT = (Throttled, Unavailable)


def test_a_business_no_is_dead_at_once() -> None:
    planned = plan_retry(delivery(), Rejected("no credit", system="erp"), SETTINGS)
    assert planned.dead
    assert planned.burn_attempt


@pytest.mark.parametrize("kind", PATIENT)
@given(attempts=st.integers(0, 100))
def test_a_system_that_is_away_burns_no_attempt_however_often_it_is(kind: type[Failure], attempts: int) -> None:
    planned = plan_retry(delivery(attempts=attempts), kind("not now", system="erp"), SETTINGS)
    assert not planned.burn_attempt
    assert not planned.dead


@pytest.mark.parametrize("kind", PATIENT)
def test_what_the_system_asks_for_is_waited_for(kind: type[Failure]) -> None:
    for _ in range(50):
        planned = plan_retry(delivery(), kind("not now", system="erp", retry_after=7.5), SETTINGS)
        assert timedelta(seconds=7.5) <= planned.delay <= timedelta(seconds=7.5 * 1.25)


@pytest.mark.parametrize("kind", PATIENT)
@pytest.mark.parametrize(("asked", "longest"), [(1e9, 25.0), (-5.0, 0.0)])
def test_an_absurd_wish_is_bounded(kind: type[Failure], asked: float, longest: float) -> None:
    planned = plan_retry(delivery(), kind("not now", system="erp", retry_after=asked), SETTINGS)
    assert timedelta(0) <= planned.delay <= timedelta(seconds=longest)


@pytest.mark.parametrize("kind", [Transient, Unknown])
def test_the_rest_backs_off_doubling_until_the_last_attempt(kind: type[Failure]) -> None:
    for attempts, ceiling in enumerate((2.0, 4.0, 8.0, 16.0)):
        delays = set()
        for _ in range(50):
            planned = plan_retry(delivery(attempts=attempts), kind("try again", system="erp"), SETTINGS)
            assert planned.burn_attempt
            assert planned.dead == (attempts == 3)
            assert timedelta(seconds=ceiling / 2) <= planned.delay <= timedelta(seconds=ceiling)
            delays.add(planned.delay)
        assert len(delays) > 1, "failures of one moment must not come back as one"


@pytest.mark.parametrize("kind", [Transient, Unknown])
@given(attempts=st.integers(0, 2))
def test_while_the_system_answers_nobody_no_attempt_is_burnt(kind: type[Failure], attempts: int) -> None:
    failure = kind("no answer", system="erp")
    planned = plan_retry(delivery(attempts=attempts), failure, SETTINGS, system_answers=False)
    assert (planned.burn_attempt, planned.dead) == (False, False)
    assert planned.delay > timedelta(0)


def test_a_bug_of_ours_burns_attempts_whether_the_system_answers_or_not() -> None:
    failure = Transient("our own stage failed", system="erp", asked=False)
    assert plan_retry(delivery(attempts=3), failure, SETTINGS, system_answers=False).dead


@given(attempts=st.integers(0, 99))
def test_the_backoff_never_passes_its_limit(attempts: int) -> None:
    settings = SETTINGS.model_copy(update={"maximum_attempts": 100})
    planned = plan_retry(delivery(attempts=attempts), Transient("try again", system="erp"), settings)
    assert planned.delay <= timedelta(seconds=20)
    assert planned.dead == (attempts == 99)
