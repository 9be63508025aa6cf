"""First in, first out within a lane, one at a time, whatever several workers see at the same moment; lanes side by side."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from tests.integration.mailbox.mailroom import (
    CARRIER,
    LEASE,
    ROUTE,
    Desk,
    claim,
    drained,
    eventually,
    live,
    message,
    offer,
    recorded,
    somebody_waits,
    succeed,
    working,
)

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.carrier import Route
from tallystick.mailbox.messages import Delivery
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.failure import Transient


async def _finish(pool: Pool, deliveries: Sequence[Delivery]) -> None:
    async with pool.acquire() as connection:
        assert len(await CARRIER.finish(connection, deliveries, "test")) == len(deliveries)


async def test_a_lane_is_delivered_one_at_a_time_in_the_order_of_its_offers(mailbox: Pool) -> None:
    lane = new_id()
    await offer(mailbox, *(message(number, lane=lane) for number in range(3)))
    for number in range(3):
        (delivery,) = await claim(mailbox)
        assert delivery.payload["number"] == number
        assert await claim(mailbox) == []
        await _finish(mailbox, [delivery])


async def test_a_lane_is_a_stage_s_and_a_system_s_own(mailbox: Pool) -> None:
    lane, other = new_id(), Route("publication", "crm")
    await offer(mailbox, message(0, lane=lane), message(1, lane=lane, route=other))
    assert len(await claim(mailbox)) == 1
    assert len(await claim(mailbox, route=other)) == 1


async def test_many_workers_keep_the_order_of_every_lane_and_record_everything_once(
    mailbox: Pool, mailbox_url: str
) -> None:
    lanes = [new_id() for _ in range(40)]
    in_hand: set[UUID] = set()
    overlaps: list[set[UUID]] = []
    draw = random.Random(1)  # noqa: S311 - the same order at every run

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        mine = {each.lane for each in deliveries}
        overlaps.append(mine & in_hand)
        in_hand.update(mine)
        await asyncio.sleep(draw.uniform(0, 0.01))
        in_hand.difference_update(mine)
        return [
            Transient("try again", system="erp") if draw.random() < 0.1 else answer
            for answer in await succeed(deliveries)
        ]

    async with AsyncExitStack() as stack:
        for _ in range(3):
            pool = await open_pool(mailbox_url, size=3)
            stack.push_async_callback(pool.close)
            desk = Desk(slow)
            await stack.enter_async_context(working(pool, desk, routes={ROUTE: 7}, maximum_attempts=100))
        for number in range(10):
            draw.shuffle(lanes)
            await offer(mailbox, *(message(number, lane=lane) for lane in lanes))
        await drained(mailbox)
    assert not any(overlaps), "two messages of one lane in hand at once"
    by_lane = defaultdict(list)
    for row in await mailbox.fetch("select lane, number from recorded order by at"):
        by_lane[row["lane"]].append(row["number"])
    assert by_lane == {lane: list(range(10)) for lane in lanes}


@asynccontextmanager
async def _overtaken(pool: Pool, lane: UUID) -> AsyncIterator[Delivery]:
    """The lane's message 2, claimed; message 1 was numbered before it, and its offer commits only when this is left."""
    async with pool.acquire() as connection, connection.transaction():
        await CARRIER.offer(connection, [message(1, lane=lane)])
        await offer(pool, message(2, lane=lane))
        (second,) = await claim(pool)
        yield second


async def test_offers_that_commit_the_other_way_round_are_never_in_hand_at_once(mailbox: Pool) -> None:
    async with _overtaken(mailbox, new_id()) as second:
        pass
    assert second.payload["number"] == 2
    assert await claim(mailbox) == [], "what was started first is finished first"
    await _finish(mailbox, [second])
    (first,) = await claim(mailbox)
    assert first.payload["number"] == 1


async def test_a_started_message_that_failed_stays_before_an_earlier_one_that_came_to_light_later(
    mailbox: Pool,
) -> None:
    async with _overtaken(mailbox, new_id()) as second:
        pass
    async with mailbox.acquire() as connection:
        await CARRIER.give_back(connection, [second], timedelta(0))
    (again,) = await claim(mailbox)
    assert (again.id, again.verify) == (second.id, True)


async def test_of_two_claims_that_see_different_heads_of_a_lane_one_yields(mailbox: Pool) -> None:
    lane, bystander = new_id(), new_id()
    async with mailbox.acquire() as late, mailbox.acquire() as worker:
        slow = late.transaction()
        await slow.start()
        await CARRIER.offer(late, [message(1, lane=lane)])
        await offer(mailbox, message(2, lane=lane))
        claiming = worker.transaction()  # a claim between its statement and its commit, for as long as we like
        await claiming.start()
        (seen,) = await CARRIER.claim(worker, ROUTE, limit=10, worker="one", lease=LEASE)
        await slow.commit()
        await offer(mailbox, message(3, lane=bystander))
        other = asyncio.create_task(claim(mailbox))  # it sees message 1 at the head of the lane, and 2 not started
        await eventually(lambda: somebody_waits(mailbox))
        await claiming.commit()
    assert seen.payload["number"] == 2
    assert [each.payload["number"] for each in await other] == [3]


async def test_no_two_started_messages_of_a_lane_can_even_be_written(mailbox: Pool) -> None:
    lane = new_id()
    await offer(mailbox, message(1, lane=lane), message(2, lane=lane))
    await claim(mailbox)
    with pytest.raises(asyncpg.UniqueViolationError):
        await mailbox.execute("update messages set deliveries = 1")


async def test_a_message_for_later_holds_its_followers_and_nobody_else(mailbox: Pool) -> None:
    lane = new_id()
    later = datetime.now(UTC) + timedelta(hours=1)
    await offer(mailbox, message(1, lane=lane, available_at=later), message(2, lane=lane), message(3))
    assert [each.payload["number"] for each in await claim(mailbox)] == [3]


async def test_a_route_s_trouble_is_not_another_s(mailbox: Pool) -> None:
    publication = Route("publication", "crm")

    released = asyncio.Event()

    async def hang(_: Sequence[Delivery]) -> Sequence[Answer]:
        await released.wait()
        raise Transient("no answer", system="erp")

    hanging, quick = Desk(hang), Desk(stage="publication")
    await offer(mailbox, message(1), *(message(number, route=publication) for number in range(2, 6)))
    async with working(mailbox, hanging, quick, routes={ROUTE: 10, publication: 10}):
        await eventually(lambda: len(quick.delivered) == 4)
        assert len(hanging.delivered) == 1
        released.set()
    assert sorted(await recorded(mailbox)) == [2, 3, 4, 5]


async def test_a_claim_takes_no_more_than_it_may(mailbox: Pool) -> None:
    await offer(mailbox, *(message(number) for number in range(5)))
    assert [each.payload["number"] for each in await claim(mailbox, limit=3)] == [0, 1, 2]
    assert [each["claimed_by"] for each in await live(mailbox)] == ["test"] * 3 + [None] * 2


async def test_nothing_offered_wakes_nobody_and_writes_nothing(mailbox: Pool) -> None:
    async with mailbox.acquire() as connection:
        await CARRIER.offer(connection, [])
        assert await CARRIER.finish(connection, [], "test") == set()
        assert await CARRIER.defer(connection, [], "test") == set()
    assert await live(mailbox) == []
