"""A mailbox to try: a stage that writes down what it was given, dispatchers in the background, and looks at the tables."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.carrier import Carrier, Route
from tallystick.mailbox.dispatch import Dispatcher
from tallystick.mailbox.messages import Delivery, Done, Message
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.settings import SystemSettings, Worker
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure

ROUTE = Route("commitment", "erp")
CARRIER = PostgresCarrier()
LEASE = timedelta(seconds=60)
TABLES = """
    create table recorded (at timestamptz not null default clock_timestamp(), message_id uuid, lane uuid, number integer);
    create table buried (message_id uuid, code text);
"""

Act = Callable[[Sequence[Delivery]], Awaitable[Sequence[Answer]]]


async def succeed(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
    """The stage's work goes well."""
    return [Done(each.payload.get("number")) for each in deliveries]


@dataclass
class Desk:
    """A stage that answers as `act` does, records outcomes in a table and remembers what was delivered."""

    act: Act = succeed
    stage: str = ROUTE.stage
    delivered: list[Delivery] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        self.delivered += deliveries
        self.batches.append(len(deliveries))
        self.times.append(time.monotonic())
        return await self.act(deliveries)

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
        await connection.execute(
            "insert into recorded (message_id, lane, number) select * from unnest($1::uuid[], $2::uuid[], $3::int[])",
            [each.id for each, _ in done],
            [each.lane for each, _ in done],
            [outcome for _, outcome in done],
        )

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        await connection.execute(
            "insert into buried select * from unnest($1::uuid[], $2::text[])",
            [each.id for each, _ in failed],
            [failure.code for _, failure in failed],
        )

    def numbers(self) -> list[Any]:
        return [each.payload.get("number") for each in self.delivered]


def message(number: int = 0, *, lane: UUID | None = None, route: Route = ROUTE, **fields: Any) -> Message:
    lane = lane or new_id()
    return Message(route.stage, route.system, "commit_order", lane, {"number": number}, transaction_id=lane, **fields)


async def offer(pool: Pool, *messages: Message) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await CARRIER.offer(connection, messages)


async def claim(pool: Pool, *, limit: int = 100, route: Route = ROUTE, lease: timedelta = LEASE) -> list[Delivery]:
    async with pool.acquire() as connection:
        return await CARRIER.claim(connection, route, limit=limit, worker="test", lease=lease)


@asynccontextmanager
async def working(
    pool: Pool,
    *desks: Desk,
    routes: Mapping[Route, int] | None = None,
    systems: Mapping[str, SystemSettings] | None = None,
    carrier: Carrier = CARRIER,
    **settings: Any,
) -> AsyncIterator[Dispatcher]:
    """A dispatcher at work; it has done with what it has in hand when this is left."""
    routes = routes or {Route(each.stage, ROUTE.system): 100 for each in desks}
    systems = systems or {route.system: SystemSettings(kind="test") for route in routes}
    worker = Worker(**{"poll_seconds": 0.2, "backoff_seconds": 0.05, **settings})
    dispatcher = Dispatcher(pool, carrier, {each.stage: each for each in desks}, routes, worker, systems)
    running = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        await asyncio.wait_for(running, 20)


async def eventually(holds: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = 15.0) -> None:
    """Until it holds; fails after so many seconds."""
    give_up_at = time.monotonic() + seconds
    while True:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < give_up_at, "it never came to hold"
        await asyncio.sleep(0.01)


async def live(pool: Pool) -> list[dict[str, Any]]:
    """Live messages in their order."""
    rows = await pool.fetch(
        """
        select id, (payload ->> 'number')::int as number, lane, state, deliveries, attempts, claimed_by,
               available_at <= now() as due, last_failure ->> 'code' as code
        from messages order by position
        """
    )
    return [dict(row) for row in rows]


async def is_empty(pool: Pool) -> bool:
    return not await pool.fetchval("select exists (select from messages)")


async def drained(pool: Pool) -> None:
    await eventually(lambda: is_empty(pool))


async def recorded(pool: Pool) -> list[int]:
    """Numbers in the order in which their outcomes were written."""
    return [row["number"] for row in await pool.fetch("select number from recorded order by at, number")]


async def somebody_waits(pool: Pool) -> bool:
    """Whether a statement waits for another's lock."""
    waiting = (
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())"
    )
    return bool(await pool.fetchval(waiting))
