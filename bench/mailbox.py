"""How many messages a second the mailbox delivers to a handler that does nothing, beside a bare claim-and-commit loop.

python -m bench.mailbox [--messages N] [--rounds N] [--workers N] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import os
import pstats
import statistics
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from typing import Any

import uvloop
from bench import bare_loop
from bench.crew import ready_processes, say_ready_and_wait, tell_to_go, wait_for_end
from bench.processes import cpu_seconds, server_cpu_seconds, server_process
from bench.row import Beside, Place, Promise, Row
from bench.surroundings import scratch_database, scratch_folder, scratch_server

from tallystick.mailbox.carrier import Route
from tallystick.mailbox.dispatch import Dispatcher
from tallystick.mailbox.messages import Delivery, Done
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.settings import SystemSettings, Worker
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Connection, Pool, open_pool
from tallystick.systems.failure import Failure

ROUTE = Route("bench", "null")
PAYLOAD = {"order_number": "B1000042", "revision": 1, "amount": 1_234_567, "reference": "T-0190c5c0", "note": "x" * 20}
_LEAST_RATES = {1: 5_000, 3: 10_000}
"""Messages a second by worker processes."""
_LEAST_RATIO = 0.5
_TABLES = {"mailbox": "messages", "bare": "bare_messages"}
"""Where what waits for a role's processes stands."""


@dataclass(frozen=True, slots=True)
class MailboxRates:
    """Messages a second with so many worker processes: the medians of rounds that took turns, and every round."""

    workers: int
    mailbox: float
    bare: float
    mailbox_rounds: tuple[float, ...]
    bare_rounds: tuple[float, ...]

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

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        """Nothing fails."""


async def measure_mailbox(url: str, *, messages: int = 30_000, rounds: int = 5, workers: int = 1) -> MailboxRates:
    """Drain `messages` through the dispatcher and through the bare loop in turn, on a database of its own at `url`.

    All wait beforehand, each in a lane of its own, as if a day's orders had come in while the workers were away.
    """
    await upgrade_schema(url)
    pool = await open_pool(url, size=2)
    mailbox, bare = [], []
    for _ in range(rounds):
        await fill_mailbox(pool, messages)
        mailbox.append(messages / (await drain(pool, url, "mailbox", workers)).seconds)
        async with pool.acquire() as connection:
            await bare_loop.fill(connection, PAYLOAD, messages)
        bare.append(messages / (await drain(pool, url, "bare", workers)).seconds)
    await pool.close()
    return MailboxRates(workers, statistics.median(mailbox), statistics.median(bare), tuple(mailbox), tuple(bare))


async def row_of_one(place: Place) -> Row:
    """The row of one worker process."""
    return await _row(place, workers=1, messages=40_000)


async def row_of_three(place: Place) -> Row:
    """The row of three worker processes."""
    return await _row(place, workers=3, messages=60_000)


async def _row(place: Place, workers: int, messages: int) -> Row:
    sizes = {"messages": 2_000, "rounds": 1} if place.smoke else {"messages": messages, "rounds": 5}
    async with scratch_database(place.server, "bench_mailbox") as url:
        rates = await measure_mailbox(url, workers=workers, **sizes)
    return Row(
        name="mailbox" if workers == 1 else f"mailbox-{workers}",
        what=f"{sizes['messages']:,} waiting messages delivered to a null system by the dispatcher, worker processes: {workers}",
        unit="messages/s",
        ours=rates.mailbox,
        beside=(Beside("a loop that claims, deletes and commits in batches", rates.bare),),
        promises=(
            Promise("messages a second", rates.mailbox, least=_LEAST_RATES[workers]),
            Promise("part of the bare loop's rate", rates.ratio, least=_LEAST_RATIO),
        ),
        notes=(
            f"tallystick's rounds: {', '.join(f'{each:,.0f}' for each in rates.mailbox_rounds)}",
            f"the bare loop's rounds: {', '.join(f'{each:,.0f}' for each in rates.bare_rounds)}",
        ),
        detail=asdict(rates),
    )


async def fill_mailbox(pool: Pool, count: int) -> None:
    """A mailbox with nothing but this many messages that wait, and no history."""
    await pool.execute("truncate message_log")
    async with pool.acquire() as connection:
        await fill_messages(connection, count)


async def fill_messages(connection: Connection, count: int) -> None:
    """This many messages that wait, and no others; the rows are those that an offer writes."""
    await connection.execute("truncate messages")
    await add_messages(connection, count)


async def add_messages(connection: Connection, count: int) -> None:
    """So many more, and whoever waits for them is told."""
    await connection.execute(
        """
        insert into messages (id, entity, stage, system, kind, lane, transaction_id, payload)
        select uuidv7(), 'default', $1, $2, 'null', lane, lane, $3
        from (select uuidv7() as lane from generate_series(1, $4)) lanes
        """,
        ROUTE.stage,
        ROUTE.system,
        PAYLOAD,
        count,
    )
    await connection.execute("analyze messages")  # as it will have been by the time that so many wait
    await PostgresCarrier().wake(connection, [ROUTE])


@dataclass(frozen=True, slots=True)
class Drained:
    """How long it took until all was done, and how much CPU time the workers and the database server used meanwhile."""

    seconds: float
    workers_cpu: float
    server_cpu: float


async def drain(pool: Pool, url: str, role: str, workers: int) -> Drained:
    """From the moment at which all processes may start until the table is empty, which one connection asks now and then."""
    server = await server_process(url)
    await pool.execute("checkpoint")  # what comes before is written, and each role pays for its own
    async with worker_processes(url, role, workers) as processes, pool.acquire() as connection:
        started, server_cpu = time.perf_counter(), server_cpu_seconds(server)
        workers_cpu = sum(cpu_seconds(each.pid) for each in processes)
        tell_to_go(processes)
        await until_empty(connection, _TABLES[role])
        return Drained(
            time.perf_counter() - started,
            sum(cpu_seconds(each.pid) for each in processes) - workers_cpu,
            server_cpu_seconds(server) - server_cpu,
        )


async def until_empty(connection: Connection, table: str = "messages") -> None:
    """Until nothing waits."""
    while await connection.fetchval(f"select exists (select from {table})"):  # noqa: ASYNC110 - other processes empty it
        await asyncio.sleep(0.01)


def worker_processes(url: str, role: str, workers: int) -> AbstractAsyncContextManager[list[Process]]:
    """Processes that are ready to play `role` when told to go, and end by themselves when their stdin does."""
    return ready_processes((sys.executable, "-m", "bench.mailbox", "--role", role, "--url", url), workers)


async def _play(role: str, url: str) -> None:
    """One of the processes: says that it is ready, works from the first line on stdin, and ends with stdin."""
    pool = await open_pool(url, size=4)
    await asyncio.to_thread(say_ready_and_wait)
    if role == "mailbox":
        await _dispatch(pool)
    else:
        async with pool.acquire() as connection:
            await bare_loop.drain(connection, str(os.getpid()))
        await asyncio.to_thread(wait_for_end)
    await pool.close()


def _dispatcher(pool: Pool) -> Dispatcher:
    return Dispatcher(
        pool,
        PostgresCarrier(),
        {ROUTE.stage: NullStage()},
        {ROUTE: bare_loop.BATCH},
        Worker(batch_size=bare_loop.BATCH),
        {ROUTE.system: SystemSettings(kind="null")},
    )


async def _dispatch(pool: Pool) -> None:
    dispatcher = _dispatcher(pool)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.to_thread(wait_for_end)
    dispatcher.stop()
    await running


async def _profile(url: str, messages: int) -> None:
    """Where this process's time goes while it drains the mailbox."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=5)
    await fill_mailbox(pool, messages)
    dispatcher = _dispatcher(pool)
    profiler = cProfile.Profile()
    profiler.enable()
    running = asyncio.create_task(dispatcher.run())
    async with pool.acquire() as connection:
        await until_empty(connection)
    dispatcher.stop()
    await running
    profiler.disable()
    await pool.close()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


def main() -> None:
    """Measure on a server of its own and print both rates; or play one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--role", choices=("mailbox", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(_play(options.role, options.url))
        return
    with scratch_folder() as folder, scratch_server(folder) as url:
        if options.profile:
            uvloop.run(_profile(url, options.messages))
            return
        sizes: dict[str, Any] = {"messages": options.messages, "rounds": options.rounds, "workers": options.workers}
        rates = asyncio.run(measure_mailbox(url, **sizes))
        for name, every in (("mailbox", rates.mailbox_rounds), ("bare loop", rates.bare_rounds)):
            print(f"{name:>10}: {statistics.median(every):>8,.0f} a second, of", *(f"{each:,.0f}" for each in every))
        print(f"{'ratio':>10}: {rates.ratio:.2f} with {rates.workers} worker process(es)")


if __name__ == "__main__":
    main()
