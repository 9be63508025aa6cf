"""What becomes of a batch: outcomes once, poison alone, attempts counted, dead letters with everything needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from tests.integration.mailbox.mailroom import (
    CARRIER,
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
from tallystick.mailbox.dead_letters import read_message
from tallystick.mailbox.messages import Delivery, Done
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure, Rejected, Transient, Unknown


class Unwritable(Desk):
    """A stage whose outcome of message 13 the database refuses, and with `buries` false also the exception for it."""

    buries = True

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
        await super().record(connection, done)
        if any(number == 13 for _, number in done):
            await connection.execute("insert into recorded (number) values ('thirteen')")

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        if not self.buries and any(each.payload["number"] == 13 for each, _ in failed):
            raise KeyError("exception without a transaction")
        await super().bury(connection, failed)


async def test_a_bug_in_a_stage_fails_only_the_message_that_meets_it(mailbox: Pool) -> None:
    async def stumble(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if any(each.payload["number"] == 13 for each in deliveries):
            raise KeyError("revision")
        return await succeed(deliveries)

    await offer(mailbox, *(message(number) for number in range(10, 20)))
    async with working(mailbox, Desk(stumble), maximum_attempts=3):
        await eventually(lambda: _is_dead(mailbox, 13))
    assert sorted(await recorded(mailbox)) == [10, 11, 12, 14, 15, 16, 17, 18, 19]
    (dead,) = await live(mailbox)
    assert (dead["attempts"], dead["deliveries"], dead["code"]) == (3, 3, "stage.bug")
    assert [row["code"] for row in await mailbox.fetch("select code from buried")] == ["stage.bug"]


@pytest.mark.parametrize("buries", [True, False])
async def test_an_outcome_that_cannot_be_written_fails_only_its_message(mailbox: Pool, buries: bool) -> None:
    """In the end it is dead, also where no exception can be opened for it."""
    desk = Unwritable()
    desk.buries = buries
    await offer(mailbox, *(message(number) for number in range(10, 20)))
    async with working(mailbox, desk, maximum_attempts=3):
        await eventually(lambda: _is_dead(mailbox, 13))
    assert sorted(await recorded(mailbox)) == [10, 11, 12, 14, 15, 16, 17, 18, 19]
    assert desk.numbers().count(13) == 3, "no storm: as many deliveries as attempts"
    assert await mailbox.fetchval("select count(*) from buried") == buries


async def test_a_refusal_whose_burial_fails_does_not_keep_its_neighbours(mailbox: Pool) -> None:
    async def refuse_thirteen(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        return [
            Rejected("no", system="erp") if each.payload["number"] == 13 else Done(each.payload["number"])
            for each in deliveries
        ]

    desk = Unwritable(refuse_thirteen)
    desk.buries = False
    await offer(mailbox, *(message(number) for number in range(10, 20)))
    async with working(mailbox, desk, maximum_attempts=2):
        await eventually(lambda: _is_dead(mailbox, 13))
    assert sorted(await recorded(mailbox)) == [10, 11, 12, 14, 15, 16, 17, 18, 19]
    assert desk.numbers().count(13) == 2


async def test_the_tries_back_off_and_the_last_is_a_dead_letter_with_every_attempt(mailbox: Pool) -> None:
    tries = iter(
        [
            Transient("HTTP 500", system="erp", code="erp.http_500", request={"n": 1}, response="oops\0"),
            Unknown("no answer", system="erp", code="erp.timeout"),
            Transient("HTTP 500", system="erp", code="erp.http_500"),
        ]
    )

    async def fail(_: Sequence[Delivery]) -> Sequence[Answer]:
        return [next(tries)]

    desk = Desk(fail)
    sent = message(1)
    await offer(mailbox, sent)
    async with working(mailbox, desk, maximum_attempts=3, backoff_seconds=0.2):
        await eventually(lambda: _is_dead(mailbox, 1))
    first, second = (after - before for before, after in zip(desk.times, desk.times[1:], strict=False))
    assert first >= 0.1
    assert second >= 0.2, "the second wait is the longer one"
    async with mailbox.acquire() as connection:
        found = await read_message(connection, sent.id, None)
    assert found is not None
    assert found["payload"] == {"number": 1}
    assert [(each["delivery"], each["failure"], each["code"]) for each in found["attempts_made"]] == [
        (1, "transient", "erp.http_500"),
        (2, "unknown", "erp.timeout"),
        (3, "transient", "erp.http_500"),
    ]
    assert found["attempts_made"][0]["request"] == {"n": 1}
    assert found["attempts_made"][0]["response"] == "oops\N{REPLACEMENT CHARACTER}"
    assert found["last_failure"]["code"] == "erp.http_500"


async def test_whether_the_outside_may_have_been_written_to_is_told_at_every_later_delivery(mailbox: Pool) -> None:
    async def fail_twice(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if len(desk.delivered) <= 2:
            return [Unknown("no answer", system="erp")]
        return await succeed(deliveries)

    desk = Desk(fail_twice)
    await offer(mailbox, message(1))
    async with working(mailbox, desk):
        await drained(mailbox)
    assert [each.verify for each in desk.delivered] == [False, True, True]


async def test_what_the_stage_offers_is_there_with_its_outcome_or_not_at_all(mailbox: Pool) -> None:
    class Forwarding(Unwritable):
        async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
            await CARRIER.offer(connection, [message(number * 100) for _, number in done if number < 100])
            await super().record(connection, done)

    await offer(mailbox, message(1), message(13))
    async with working(mailbox, Forwarding(), maximum_attempts=2):
        await eventually(lambda: _is_dead(mailbox, 13))
        await eventually(lambda: _recorded_is(mailbox, [1, 100]))


async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(mailbox: Pool) -> None:
    begun = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        begun.set()
        await asyncio.sleep(0.3)
        return await succeed(deliveries)

    await offer(mailbox, *(message(number) for number in range(4)))
    async with working(mailbox, Desk(slow), batch_size=2, routes={ROUTE: 2}) as dispatcher:
        await begun.wait()
        dispatcher.stop()
    assert await recorded(mailbox) == [0, 1]
    assert [each["claimed_by"] for each in await live(mailbox)] == [None, None]


async def test_finished_messages_stand_in_the_log(mailbox: Pool) -> None:
    sent = message(7)
    await offer(mailbox, sent)
    async with working(mailbox, Desk()) as dispatcher:
        await drained(mailbox)
    row = await mailbox.fetchrow("select id, outcome, deliveries, attempts, worker, payload from message_log")
    assert row is not None
    assert tuple(row) == (sent.id, "done", 1, 0, dispatcher.name, {"number": 7})


async def _is_dead(pool: Pool, number: int) -> bool:
    rows = await live(pool)
    return [(each["number"], each["state"]) for each in rows] == [(number, "dead")]


async def _recorded_is(pool: Pool, numbers: list[int]) -> bool:
    return sorted(await recorded(pool)) == numbers


async def test_a_next_claim_that_loses_to_another_worker_s_is_no_message_s_fault(mailbox: Pool) -> None:
    class Losing(PostgresCarrier):
        lost = 0

        async def claim(self, connection: Connection, *arguments: Any, **keywords: Any) -> list[Delivery]:
            if connection.is_in_transaction() and not self.lost:
                self.lost += 1
                raise asyncpg.UniqueViolationError("messages_started")
            return await super().claim(connection, *arguments, **keywords)

    carrier = Losing()
    await offer(mailbox, *(message(number) for number in range(5)))
    async with working(mailbox, Desk(), routes={ROUTE: 2}, carrier=carrier):
        await drained(mailbox)
    assert carrier.lost == 1
    assert sorted(await recorded(mailbox)) == [0, 1, 2, 3, 4]
    assert await mailbox.fetchval("select max(attempts) from message_log") == 0
