"""A lease hides a message, is renewed while it is worked on, and fences out whoever lost it."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from datetime import timedelta
from typing import Any

from tests.integration.mailbox.mailroom import (
    CARRIER,
    LEASE,
    Desk,
    claim,
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
from tallystick.mailbox.carrier import Deferral
from tallystick.mailbox.messages import Delivery
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.failure import Transient

SHORT = timedelta(milliseconds=30)


async def _taken_over(pool: Pool) -> tuple[Delivery, Delivery]:
    """One message as two workers hold it: the first one's lease ran out."""
    await offer(pool, message(1))
    (first,) = await claim(pool, lease=SHORT)
    await asyncio.sleep(0.05)
    (second,) = await claim(pool)
    assert second.id == first.id
    return first, second


async def test_whoever_lost_the_lease_can_change_nothing(mailbox: Pool) -> None:
    first, second = await _taken_over(mailbox)
    before = await live(mailbox)
    late = Deferral(first, Transient("late", system="erp"), LEASE, burn_attempt=True, dead=True)
    async with mailbox.acquire() as connection:
        assert await CARRIER.extend(connection, [first], LEASE * 10) == set()
        assert await CARRIER.finish(connection, [first], "late") == set()
        assert await CARRIER.defer(connection, [late], "late") == set()
        await CARRIER.give_back(connection, [first], SHORT)
        assert await live(mailbox) == before
        assert await mailbox.fetchval("select count(*) from message_attempts") == 0
        assert await CARRIER.extend(connection, [second], LEASE) == {second.id}
        assert await CARRIER.finish(connection, [second], "second") == {second.id}


async def test_who_takes_over_is_told_that_the_outside_may_have_been_written_to(mailbox: Pool) -> None:
    first, second = await _taken_over(mailbox)
    assert (first.verify, second.verify) == (False, True)


async def test_nothing_can_be_settled_twice(mailbox: Pool) -> None:
    await offer(mailbox, message(1), message(2))
    one, two = await claim(mailbox)
    again = Deferral(two, Transient("again", system="erp"), LEASE, burn_attempt=True, dead=False)
    async with mailbox.acquire() as connection:
        assert len(await CARRIER.finish(connection, [one], "test")) == 1
        assert await CARRIER.finish(connection, [one], "test") == set()
        assert len(await CARRIER.defer(connection, [again], "test")) == 1
        assert await CARRIER.defer(connection, [again], "test") == set()
        assert await CARRIER.finish(connection, [two], "test") == set()
        assert await CARRIER.extend(connection, [two], LEASE) == set()
    assert [(each["attempts"], each["due"]) for each in await live(mailbox)] == [(1, False)]


async def test_what_was_given_back_burns_nothing_and_is_looked_up_first(mailbox: Pool) -> None:
    await offer(mailbox, message(1))
    (first,) = await claim(mailbox)
    async with mailbox.acquire() as connection:
        await CARRIER.give_back(connection, [first], timedelta(0))
    (again,) = await claim(mailbox)
    assert (again.attempts, again.verify) == (0, True)


async def test_a_lease_is_renewed_as_long_as_the_stage_works(mailbox: Pool, mailbox_url: str) -> None:
    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        await asyncio.sleep(2.5)
        return await succeed(deliveries)

    working_on_it, idle = Desk(slow), Desk()
    other = await open_pool(mailbox_url, size=2)
    await offer(mailbox, message(1))
    async with working(mailbox, working_on_it, lease_seconds=1.5):
        await eventually(lambda: len(working_on_it.delivered) == 1)
        async with working(other, idle, lease_seconds=1.5):
            await drained(mailbox)
    await other.close()
    assert idle.delivered == []
    assert await recorded(mailbox) == [1]


async def test_a_worker_that_was_away_past_its_lease_writes_no_outcome(
    mailbox: Pool, logged: list[MutableMapping[str, Any]]
) -> None:
    async def be_overtaken(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        await mailbox.execute("update messages set available_at = now()")  # as time would
        (taken,) = await claim(mailbox)
        async with mailbox.acquire() as connection:
            await CARRIER.finish(connection, [taken], "other")
        return await succeed(deliveries)

    await offer(mailbox, message(1))
    async with working(mailbox, Desk(be_overtaken)):
        await eventually(lambda: any(each["event"] == "fenced" for each in logged))
    assert await recorded(mailbox) == []
