"""Whether claims and lists get slower with what is long finished: the same work with an empty log and with millions of rows.

The log is filled by SQL with rows as `finish` writes them, with a small payload to bound the disk (about 2.2 GB for ten million).
Claims: a worker's statements, without a handler, over waiting messages: claim a hundred, finish them, commit, and so on. Lists:
what the API asks to show live messages, by state and by stage, and how many wait. The two logs are in two databases of one
server, which take turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from bench.bare_loop import BATCH
from bench.mailbox import ROUTE, fill_messages
from bench.row import Beside, Place, Promise, Row
from bench.surroundings import scratch_database

from tallystick.mailbox.dead_letters import MessageFilter, list_messages, queue_depths
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.store.migrate import upgrade_schema
from tallystick.store.partitions import make_partitions
from tallystick.store.pool import Connection, open_pool

_LEAST_PART = 0.9
_LOGS = ("empty", "full")
_LEASE = timedelta(seconds=60)
_PORTION = 1_000_000
_FILL_SECONDS = 300.0
"""For one portion."""


async def row(place: Place) -> Row:
    """The row of the table."""
    finished, waiting, rounds = (20_000, 1_000, 1) if place.smoke else (10_000_000, 20_000, 5)
    async with _database(place.server, "bench_empty") as empty, _database(place.server, "bench_full") as full:
        await _finish_by_sql(full, finished)
        size = await full.fetchval("select pg_database_size(current_database())")
        claims: tuple[list[float], list[float]] = ([], [])
        lists: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for connection, claim_rates, list_rates in zip((empty, full), claims, lists, strict=True):
                await fill_messages(connection, waiting)
                list_rates.append(await _rate(partial(_look, connection)))
                claim_rates.append(await _rate(partial(_claim_all, connection)))
    claims_empty, claims_full = (statistics.median(each) for each in claims)
    lists_empty, lists_full = (statistics.median(each) for each in lists)
    return Row(
        name="history",
        what=f"claims of {BATCH} and lists of live messages with {finished:,} finished ones in the log ({size / 1e9:.1f} GB)",
        unit="messages/s claimed and finished",
        ours=claims_full,
        beside=(Beside("with an empty log", claims_empty),),
        promises=(
            Promise("part of the claim rate with an empty log", claims_full / claims_empty, least=_LEAST_PART),
            Promise("part of the list rate with an empty log", lists_full / lists_empty, least=_LEAST_PART),
        ),
        notes=(f"lists a second: {lists_full:,.0f} with the full log, {lists_empty:,.0f} with the empty one",),
        detail={"claims": dict(zip(_LOGS, claims, strict=True)), "lists": dict(zip(_LOGS, lists, strict=True))},
    )


@asynccontextmanager
async def _database(server: str, name: str) -> AsyncIterator[Connection]:
    """A connection to a database of its own with our schema."""
    async with scratch_database(server, name) as url:
        await upgrade_schema(url)
        pool = await open_pool(url, size=2)
        async with pool.acquire() as connection:
            await make_partitions(connection)
            yield connection
        await pool.close()


async def _rate(work: Callable[[], Awaitable[int]]) -> float:
    started = time.perf_counter()
    done = await work()
    return done / (time.perf_counter() - started)


async def _claim_all(connection: Connection) -> int:
    carrier, done = PostgresCarrier(), 0
    while True:
        async with connection.transaction():
            deliveries = await carrier.claim(connection, ROUTE, limit=BATCH, worker="bench", lease=_LEASE)
            await carrier.finish(connection, deliveries, "bench")
        if not deliveries:
            return done
        done += len(deliveries)


async def _look(connection: Connection) -> int:
    """The pages that a console asks for; how many."""
    looks = 0
    for _ in range(20):
        for wanted in (
            MessageFilter(None, None, None, None, None, None),
            MessageFilter(None, "ready", ROUTE.stage, ROUTE.system, None, None),
            MessageFilter(None, "dead", None, None, None, None),
        ):
            await list_messages(connection, wanted, after=None, limit=51)
            looks += 1
        await queue_depths(connection, None)
        looks += 1
    return looks


async def _finish_by_sql(connection: Connection, count: int) -> None:
    """So many rows of the log, finished through the month until now."""
    for start in range(0, count, _PORTION):
        await connection.execute(
            """
            insert into message_log (id, entity, stage, system, kind, lane, transaction_id, payload, outcome, deliveries,
                                     attempts, worker, created_at, finished_at)
            select id, 'default', $1, $2, 'null', id, id, '{}', 'done', 1, 0, 'bench', at, at
            from (select uuidv7() as id, now() - make_interval(secs => ($3 - n) * 0.01) as at
                  from generate_series($4::int, $5::int) n) finished
            """,
            ROUTE.stage,
            ROUTE.system,
            count,
            start + 1,
            min(start + _PORTION, count),
            timeout=_FILL_SECONDS,
        )
    await connection.execute("vacuum (analyze) message_log", timeout=_FILL_SECONDS)  # the server would, meanwhile
