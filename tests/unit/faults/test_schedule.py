"""The schedule of faults: the seed's, nothing left out, every crash point in it."""

from __future__ import annotations

from itertools import islice

import pytest
from faults.kinds import processes
from faults.nemesis import LANES, Draw, schedule

from tallystick.store.crash_points import CRASH_POINTS


@pytest.mark.parametrize("lane", LANES)
def test_a_seed_draws_the_same_faults_again_and_another_seed_others(lane: str) -> None:
    first, again, other = (list(islice(schedule(seed, lane), 60)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("lane", LANES)
def test_every_fault_is_drawn_before_one_is_drawn_again_much(lane: str) -> None:
    for group in LANES[lane]:
        drawn = [each.fault for each in schedule_of(lane, 4 * len(group)) if each.fault in group]
        assert set(drawn) == set(group)


def schedule_of(lane: str, length: int) -> list[Draw]:
    return list(islice(schedule(7, lane), length))


def test_the_campaign_knows_every_crash_point_and_comes_to_each() -> None:
    drawn = [
        each.particular
        for each in islice(schedule(3, "hub"), 2 * len(CRASH_POINTS))
        if each.fault is processes.AT_POINTS
    ]
    assert sorted(drawn) == sorted(CRASH_POINTS)


def test_only_the_faults_that_are_asked_for_are_drawn() -> None:
    drawn = list(islice(schedule(1, "hub", ["rolling restart"]), 5))
    assert {each.fault.name for each in drawn} == {"rolling restart"}
    assert list(schedule(1, "outside", ["rolling restart"])) == []
