"""Whether a system may be called: paused, broken open, throttled, or kept to its rate; the same for all workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.integration.mailbox.mailroom import (
    ROUTE,
    Desk,
    drained,
    eventually,
    live,
    message,
    offer,
    recorded,
    succeed,
    working,
)

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.breaker import Breakers, pause_system, read_system_states, resume_system
from tallystick.mailbox.carrier import Route
from tallystick.mailbox.messages import Delivery, Done
from tallystick.settings import SystemSettings
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown

INVOICING = Route("invoicing", "erp")


@asynccontextmanager
async def two_workers(url: str, one: Desk, two: Desk, **settings: Any) -> AsyncIterator[None]:
    """Two workers with pools of their own."""
    first, second = await open_pool(url, size=3), await open_pool(url, size=3)
    try:
        async with working(first, one, **settings), working(second, two, **settings):
            yield
    finally:
        await first.close()
        await second.close()


def answering(*answers: Failure | None, then: Failure | None = None) -> Desk:
    """A stage whose batches meet these failures in turn (None: they go well)."""
    turns = iter(answers)

    async def act(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        failure = next(turns, then)
        return [failure] * len(deliveries) if failure else await succeed(deliveries)

    return Desk(act)


def away(retry_after: float | None = None) -> Unavailable:
    return Unavailable("connection refused", system="erp", retry_after=retry_after)


def erp(**settings: Any) -> dict[str, SystemSettings]:
    return {"erp": SystemSettings.model_validate({"kind": "test", **settings})}


async def breaker(pool: Pool) -> str:
    return str(await pool.fetchval("select breaker from system_states where system = 'erp'"))


async def test_a_pause_stops_all_workers_at_once_and_a_resumption_sets_them_going(
    mailbox: Pool, mailbox_url: str
) -> None:
    one, two = Desk(), Desk()
    async with two_workers(mailbox_url, one, two, poll_seconds=60):
        await offer(mailbox, message(1))
        await drained(mailbox)
        async with mailbox.acquire() as connection:
            assert await pause_system(connection, "erp", by="ann", reason="stocktaking")
            assert not await pause_system(connection, "erp", by="ann", reason="stocktaking")
        await asyncio.sleep(0.2)
        await offer(mailbox, *(message(number) for number in range(2, 10)))
        await asyncio.sleep(0.3)
        assert len(one.delivered + two.delivered) == 1
        assert [each["attempts"] for each in await live(mailbox)] == [0] * 8
        async with mailbox.acquire() as connection:
            assert await resume_system(connection, "erp", by="ann")
        await drained(mailbox)
    assert await recorded(mailbox) == list(range(1, 10))


async def test_a_pause_is_known_to_a_worker_that_starts_later(mailbox: Pool) -> None:
    async with mailbox.acquire() as connection:
        await pause_system(connection, "erp", by="ann", reason="stocktaking")
        (state,) = await read_system_states(connection)
    assert (state["paused"], state["paused_by"], state["paused_reason"]) == (True, "ann", "stocktaking")
    await offer(mailbox, message(1))
    desk = Desk()
    async with working(mailbox, desk):
        await asyncio.sleep(0.5)
    assert desk.delivered == []


async def test_a_paused_system_does_not_hold_another_up(mailbox: Pool) -> None:
    crm = Route("publication", "crm")
    async with mailbox.acquire() as connection:
        await pause_system(connection, "erp", by="ann", reason="stocktaking")
    await offer(mailbox, message(1), message(2, route=crm))
    async with working(mailbox, Desk(), Desk(stage="publication"), routes={ROUTE: 10, crm: 10}):
        await eventually(lambda: _recorded_is(mailbox, [2]))


async def test_a_system_that_is_away_is_left_alone_and_then_tried_with_one_message(mailbox: Pool) -> None:
    desk = answering(*[away()] * 3, None)
    async with working(mailbox, desk, systems=erp(breaker_failures=3, breaker_seconds=1), backoff_seconds=0.01):
        await offer(mailbox, *(message(number) for number in range(20)))
        await eventually(lambda: _breaker_is(mailbox, "open"))
        opened_at = time.monotonic()
        await drained(mailbox)
    assert desk.batches[3] == 1, "one message tries whether it is back"
    assert desk.times[3] - opened_at > 0.8
    assert await breaker(mailbox) == "closed"
    assert await mailbox.fetchval("select max(attempts) from message_log") == 0, "no attempt was burnt"
    assert len(await recorded(mailbox)) == 20


async def test_the_breaker_opens_for_as_long_as_the_system_asks(mailbox: Pool) -> None:
    desk = answering(away(retry_after=1), None)
    async with working(mailbox, desk, systems=erp(breaker_failures=1, breaker_seconds=60)):
        await offer(mailbox, message(1))
        await drained(mailbox)
    assert 1.0 <= desk.times[1] - desk.times[0] < 5


async def test_only_one_worker_probes(mailbox: Pool, mailbox_url: str) -> None:
    probing, released = asyncio.Event(), asyncio.Event()

    async def probe(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if not back:
            return [away()] * len(deliveries)
        probing.set()
        await released.wait()
        return await succeed(deliveries)

    back = False
    one, two = Desk(probe), Desk(probe)
    systems = erp(breaker_failures=1, breaker_seconds=0.5)
    async with two_workers(mailbox_url, one, two, systems=systems, backoff_seconds=0.01):
        await offer(mailbox, *(message(number) for number in range(20)))
        await eventually(lambda: _breaker_is(mailbox, "open"))
        before = len(one.delivered + two.delivered)
        back = True
        await probing.wait()
        await asyncio.sleep(0.3)
        assert len(one.delivered + two.delivered) == before + 1
        released.set()
        await drained(mailbox)


async def test_a_route_with_nothing_to_send_does_not_keep_another_from_probing(mailbox: Pool) -> None:
    desk, invoicing = answering(away(), None), Desk(stage="invoicing")
    systems = erp(breaker_failures=1, breaker_seconds=0.3)
    routes = {INVOICING: 10, Route("returns", "erp"): 10, ROUTE: 10}
    async with working(mailbox, desk, invoicing, Desk(stage="returns"), routes=routes, systems=systems):
        await offer(mailbox, message(1))
        await eventually(lambda: _breaker_is(mailbox, "open"))
        await eventually(lambda: _breaker_is(mailbox, "closed"), seconds=5)


async def test_a_system_that_is_away_is_not_probed_for_nothing(mailbox: Pool) -> None:
    await mailbox.execute("insert into system_states (system, breaker, breaker_until) values ('erp', 'open', now())")
    state = "select breaker, updated_at from system_states where system = 'erp'"
    before = await mailbox.fetchrow(state)
    async with working(mailbox, Desk(), Desk(stage="invoicing"), routes={ROUTE: 10, INVOICING: 10}, poll_seconds=0.1):
        await asyncio.sleep(0.5)
        assert await mailbox.fetchrow(state) == before
        await offer(mailbox, message(1))
        await drained(mailbox)
    assert await breaker(mailbox) == "closed"


async def test_a_probe_that_found_its_message_gone_is_given_back(mailbox: Pool) -> None:
    breakers = Breakers(mailbox, erp())
    await mailbox.execute("insert into system_states (system, breaker, breaker_until) values ('erp', 'open', now())")
    async with mailbox.acquire() as connection:
        await breakers.learn(connection)
    assert await breakers.admit("erp", 100) == 1
    assert await breaker(mailbox) == "half_open"
    await breakers.return_unused("erp", 1, 0)
    assert await breaker(mailbox) == "open"
    wait = breakers.wait_seconds("erp")
    assert wait is not None
    assert wait <= 1


async def test_a_system_that_says_no_is_up(mailbox: Pool) -> None:
    desk = answering(away(), Rejected("no", system="erp"))
    async with working(mailbox, desk, systems=erp(breaker_failures=1, breaker_seconds=0.2)):
        await offer(mailbox, message(1))
        await eventually(lambda: len(desk.batches) == 2)
        await eventually(lambda: _breaker_is(mailbox, "closed"))


async def test_trouble_of_our_own_leaves_the_breaker_closed(mailbox: Pool) -> None:
    desk = answering(then=Transient("a bug", system="erp", asked=False))
    async with working(mailbox, desk, systems=erp(breaker_failures=1), maximum_attempts=4):
        await offer(mailbox, message(1))
        await eventually(lambda: len(desk.batches) == 4)
        await eventually(lambda: _is_dead(mailbox, 1))
    assert await breaker(mailbox) == "closed"


@pytest.mark.parametrize("kind", [Unavailable, Transient, Unknown])
async def test_however_long_and_in_whatever_way_a_system_is_away_messages_are_only_delayed(
    mailbox: Pool, kind: type[Failure]
) -> None:
    # An hour of tries at the usual pace would be as many: each message is tried far oftener than its attempts allow.
    desk = answering(*[kind("no answer", system="erp")] * 60, None)
    systems = erp(breaker_failures=3, breaker_seconds=0.01)
    async with working(mailbox, desk, systems=systems, backoff_seconds=0.01, maximum_attempts=5):
        await offer(mailbox, message(1), message(2))
        await drained(mailbox)
    assert max(sum(each.payload["number"] == number for each in desk.delivered) for number in (1, 2)) > 20
    assert sorted(await recorded(mailbox)) == [1, 2]
    assert await mailbox.fetchval("select max(attempts) from message_log") <= 3
    assert await breaker(mailbox) == "closed"


async def test_what_we_know_ourselves_does_not_close_the_breaker(mailbox: Pool) -> None:
    async def act(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        return [Done(each.payload["number"], asked=False) if each.payload["number"] else away() for each in deliveries]

    desk = Desk(act)
    async with working(mailbox, desk, systems=erp(breaker_failures=1, breaker_seconds=0.1), backoff_seconds=0.01):
        await offer(mailbox, message(0))
        await eventually(lambda: _breaker_is(mailbox, "open"))
        await offer(mailbox, *(message(number) for number in range(1, 4)))
        await eventually(lambda: _all_but_the_first_are_recorded(mailbox))
        assert await breaker(mailbox) != "closed"


async def test_a_message_that_has_waited_beyond_our_patience_is_a_dead_letter_though_its_system_answers_nobody(
    mailbox: Pool,
) -> None:
    desk = answering(then=Unknown("no answer", system="erp"))
    systems = erp(breaker_failures=1, breaker_seconds=0.01)
    async with working(
        mailbox, desk, systems=systems, backoff_seconds=0.01, maximum_attempts=3, patience_hours=1 / 3_600
    ):
        await offer(mailbox, message(1))
        await eventually(lambda: _is_dead(mailbox, 1))
    assert len(desk.batches) > 3


async def test_resuming_closes_an_open_breaker(mailbox: Pool) -> None:
    async with working(mailbox, answering(away(), None), systems=erp(breaker_failures=1, breaker_seconds=3600)):
        await offer(mailbox, message(1))
        await eventually(lambda: _breaker_is(mailbox, "open"))
        async with mailbox.acquire() as connection:
            await resume_system(connection, "erp", by="ann")
        await drained(mailbox)


async def test_retry_after_is_kept_to_by_all_workers(mailbox: Pool, mailbox_url: str) -> None:
    desk = answering(Throttled("slow down", system="erp", retry_after=1))  # of both, the first to be called meets it
    other = Desk(desk.act)
    async with two_workers(mailbox_url, desk, other):
        await offer(mailbox, message(1))
        await eventually(lambda: _is_throttled(mailbox))
        await asyncio.sleep(0.2)
        await offer(mailbox, *(message(number) for number in range(10, 20)))
        await drained(mailbox)
    first, *later = sorted(desk.times + other.times)
    assert min(later) - first >= 1.0
    assert await mailbox.fetchval("select max(attempts) from message_log") == 0


async def test_all_workers_together_keep_to_a_system_s_rate(mailbox: Pool, mailbox_url: str) -> None:
    one, two = Desk(), Desk()
    await offer(mailbox, *(message(number) for number in range(60)))
    started = time.monotonic()
    async with two_workers(mailbox_url, one, two, systems=erp(calls_per_second=20)):
        await drained(mailbox)
    seconds = time.monotonic() - started
    assert seconds >= (60 - 20) / 20, "a burst of one second, then the rate"
    assert seconds < 8, "and no slower than need be"


async def test_a_rate_is_not_used_up_by_looking(mailbox: Pool) -> None:
    breakers = Breakers(mailbox, erp(calls_per_second=5))
    async with mailbox.acquire() as connection:
        await breakers.learn(connection)
    assert await breakers.admit("erp", 100) == 5
    await breakers.return_unused("erp", 5, 1)
    assert await breakers.admit("erp", 100) == 4
    assert await breakers.admit("erp", 100) == 0
    wait = breakers.wait_seconds("erp")
    assert wait is not None
    assert 0 < wait <= 0.2


async def test_a_slow_rate_lets_single_messages_through(mailbox: Pool) -> None:
    await offer(mailbox, message(1), message(2))
    desk = Desk()
    async with working(mailbox, desk, systems=erp(calls_per_second=2)):
        await drained(mailbox)
    assert sum(desk.batches) == 2


@pytest.mark.parametrize("wish", [0.0, None, 1e12])
async def test_a_system_s_absurd_wish_is_bounded(mailbox: Pool, wish: float | None) -> None:
    breakers = Breakers(mailbox, erp())
    async with mailbox.acquire() as connection:
        await breakers.learn(connection)
    await breakers.report("erp", [Throttled("slow down", system="erp", retry_after=wish)])
    wait = breakers.wait_seconds("erp")
    assert wait is not None
    assert 0.5 < wait <= 3_600


async def _breaker_is(pool: Pool, state: str) -> bool:
    return await breaker(pool) == state


async def _is_dead(pool: Pool, number: int) -> bool:
    return any(each["number"] == number and each["state"] == "dead" for each in await live(pool))


async def _is_throttled(pool: Pool) -> bool:
    return bool(await pool.fetchval("select throttled_until is not null from system_states where system = 'erp'"))


async def _all_but_the_first_are_recorded(pool: Pool) -> bool:
    return sorted(await recorded(pool)) == [1, 2, 3]


async def _recorded_is(pool: Pool, numbers: list[int]) -> bool:
    return await recorded(pool) == numbers
