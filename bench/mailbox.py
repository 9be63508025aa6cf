"""How many messages a second the mailbox delivers to a handler that does nothing, beside a bare claim-and-commit loop."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from bench import bare_loop

from tallystick.mailbox.carrier import Route
from tallystick.mailbox.dispatch import Dispatcher
from tallystick.mailbox.messages import Delivery, Done, Message
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.settings import SystemSettings, Worker
from tallystick.store.identifiers import new_id
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Connection, Pool, open_pool

ROUTE = Route("bench", "null")
PAYLOAD = {"order_number": "B1000042", "revision": 1, "amount": 1_234_567, "reference": "T-0190c5c0", "note": "x" * 20}
_OFFER_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class MailboxRates:
    """Messages a second: the medians of rounds that alternated, and the number of worker processes."""

    workers: int
    mailbox: float
    bare: float

    @property
    def ratio(self) -> float:
        """The mailbox's rate as a part of the bare loop's."""
        return self.mailbox / self.bare


class NullStage:
    """A handler that does nothing, successfully."""

    stage = ROUTE.stage

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Done[None]]:
        """All done."""
        return [Done(None)] * len(deliveries)

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, None]]) -> None:
        """Nothing came of it."""

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Any]]) -> None:
        """Nothing fails."""


async def offer(pool: Pool, count: int) -> None:
    """Messages that wait, each in a lane of its own, as if a day's orders had come in while the workers were away."""
    await pool.execute("truncate messages, message_log")
    carrier = PostgresCarrier()
    for start in range(0, count, _OFFER_AT_ONCE):
        lanes = [new_id() for _ in range(min(_OFFER_AT_ONCE, count - start))]
        messages = [Message(ROUTE.stage, ROUTE.system, "null", lane, PAYLOAD, transaction_id=lane) for lane in lanes]
        async with pool.acquire() as connection, connection.transaction():
            await carrier.offer(connection, messages)


async def work(url: str) -> None:
    """A worker process: works from the line on stdin that starts it until stdin ends."""
    pool = await open_pool(url, size=4)
    dispatcher = Dispatcher(
        pool,
        PostgresCarrier(),
        {ROUTE.stage: NullStage()},
        {ROUTE: bare_loop.BATCH},
        Worker(batch_size=bare_loop.BATCH),
        {ROUTE.system: SystemSettings(kind="null")},
    )
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.to_thread(sys.stdin.readline)
    dispatcher.stop()
    await running
    await pool.close()


async def drain_bare(url: str) -> None:
    """A process of the bare loop; same protocol as `work`."""
    connection = await asyncpg.connect(url)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await bare_loop.drain(connection, str(os.getpid()))
    await asyncio.to_thread(sys.stdin.readline)
    await connection.close()


async def _time(pool: Pool, url: str, role: str, table: str, workers: int) -> float:
    """Seconds from the moment that all processes may start to the moment that the table is empty."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.mailbox", f"--{role}", url,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(workers)
    ]  # fmt: skip
    pipes = [(each, each.stdin, each.stdout) for each in processes if each.stdin and each.stdout]
    for _, _, told in pipes:
        await told.readline()
    started = time.perf_counter()
    for _, start, _ in pipes:
        start.write(b"go\n")
    while await pool.fetchval(f"select exists (select from {table})"):  # noqa: ASYNC110 - the table is what ends it
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - started
    for process, start, _ in pipes:
        start.close()
        await process.wait()
    return seconds


async def measure_mailbox(url: str, *, messages: int = 30_000, rounds: int = 3, workers: int = 1) -> MailboxRates:
    """Drain `messages` through the dispatcher and through the bare loop in turn, on an empty database of the newest schema."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=2)
    mailbox, bare = [], []
    for _ in range(rounds):
        await offer(pool, messages)
        await pool.execute("checkpoint")
        mailbox.append(messages / await _time(pool, url, "work", "messages", workers))
        async with pool.acquire() as connection:
            await bare_loop.fill(connection, [PAYLOAD] * messages)
        await pool.execute("checkpoint")
        bare.append(messages / await _time(pool, url, "drain", "bare_messages", workers))
    await pool.close()
    return MailboxRates(workers, statistics.median(mailbox), statistics.median(bare))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        asyncio.run(work(sys.argv[2]))
    elif sys.argv[1] == "--drain":
        asyncio.run(drain_bare(sys.argv[2]))
