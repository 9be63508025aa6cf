"""Routes are looked at when there is something to do: at once, on time, also when a notification is lost; and hardly else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from tests.integration.mailbox.mailroom import (
    ROUTE,
    Desk,
    claim,
    drained,
    eventually,
    is_empty,
    message,
    offer,
    recorded,
    succeed,
    working,
)

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.carrier import Route
from tallystick.mailbox.messages import Delivery
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.failure import Transient

NEVER = 60.0
"""A poll that does not come within a test."""


async def test_an_offer_is_delivered_at_once(mailbox: Pool) -> None:
    await offer(mailbox, message(0))
    async with working(mailbox, Desk(), poll_seconds=NEVER):
        await drained(mailbox)  # it is awake
        await offer(mailbox, message(1))
        await eventually(lambda: is_empty(mailbox), seconds=2)


async def test_followers_are_delivered_without_waiting_for_a_poll(mailbox: Pool) -> None:
    lane = new_id()
    await offer(mailbox, *(message(number, lane=lane) for number in range(20)))
    async with working(mailbox, Desk(), poll_seconds=NEVER):
        await eventually(lambda: is_empty(mailbox), seconds=10)
    assert await recorded(mailbox) == list(range(20))


async def test_the_followers_of_what_a_leaving_worker_finished_last_go_to_another_at_once(
    mailbox: Pool, mailbox_url: str
) -> None:
    begun = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        begun.set()
        await asyncio.sleep(0.3)
        return await succeed(deliveries)

    lane, other = new_id(), await open_pool(mailbox_url, size=2)
    leaving, staying = Desk(slow), Desk()
    async with working(mailbox, leaving, poll_seconds=NEVER) as dispatcher:
        await offer(mailbox, message(1, lane=lane), message(2, lane=lane))
        await begun.wait()
        async with working(other, staying, poll_seconds=NEVER):
            dispatcher.stop()
            await eventually(lambda: is_empty(mailbox), seconds=5)
    await other.close()
    assert (leaving.numbers(), staying.numbers()) == ([1], [2])


async def test_what_is_to_be_tried_again_is_tried_on_time(mailbox: Pool) -> None:
    async def fail_once(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if len(desk.batches) == 1:
            return [Transient("HTTP 500", system="erp")]
        return await succeed(deliveries)

    desk = Desk(fail_once)
    async with working(mailbox, desk, poll_seconds=NEVER, backoff_seconds=0.6):
        await offer(mailbox, message(1))
        await drained(mailbox)
    assert 0.3 <= desk.times[1] - desk.times[0] < 3


async def test_what_a_dead_worker_held_is_delivered_when_its_lease_ends(mailbox: Pool) -> None:
    await offer(mailbox, message(1))
    await claim(mailbox, lease=timedelta(seconds=0.7))
    started, desk = time.monotonic(), Desk()
    async with working(mailbox, desk, poll_seconds=0.2):
        await drained(mailbox)
    assert desk.times[0] - started < 3
    assert desk.delivered[0].verify


async def test_a_lost_notification_is_made_up_for_by_the_poll(mailbox: Pool) -> None:
    desk = Desk()
    async with working(mailbox, desk, poll_seconds=0.3):
        await offer(mailbox, message(1))
        await drained(mailbox)
        async with mailbox.acquire() as connection, connection.transaction():
            await connection.execute(
                """
                insert into messages (id, entity, stage, system, kind, lane, payload)
                values (gen_random_uuid(), 'default', $1, $2, 'commit_order', gen_random_uuid(), '{"number": 2}')
                """,
                ROUTE.stage,
                ROUTE.system,
            )
        await drained(mailbox)
    assert desk.numbers() == [1, 2]


async def test_a_listener_whose_connection_is_cut_listens_again(mailbox: Pool, mailbox_url: str) -> None:
    other = await open_pool(mailbox_url, size=3, application="cut_off")
    desk = Desk()
    async with working(other, desk, poll_seconds=NEVER):
        for number in range(3):
            await offer(mailbox, message(number))
            await drained(mailbox)
            await mailbox.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cut_off'"
            )
            await offer(mailbox, message(number + 10))  # said while nobody listens
            await drained(mailbox)
    await other.close()
    assert sorted(desk.numbers()) == [0, 1, 2, 10, 11, 12]


async def test_an_idle_worker_asks_the_database_hardly_anything(mailbox: Pool, mailbox_url: str) -> None:
    routes = {Route(f"stage{number}", "erp"): 100 for number in range(12)}
    queries: list[str] = []
    counted = await open_pool(mailbox_url, size=2)
    async with counted.acquire() as one, counted.acquire() as two:
        for connection in (one, two):
            connection.add_query_logger(lambda record: queries.append(record.query))
    async with working(counted, *(Desk(stage=route.stage) for route in routes), routes=routes, poll_seconds=0.2):
        await asyncio.sleep(0.5)
        assert queries, "it has looked at every route once"
        queries.clear()
        await asyncio.sleep(2)
        asked = list(queries)
    await counted.close()
    assert 5 <= len(asked) <= 11, "one query a poll, however many routes: 12 a minute at the default of five seconds"
