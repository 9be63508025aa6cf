"""Real worker processes, killed in the middle and stopped past their lease: nothing is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.conftest import MakeDatabase
from tests.integration.mailbox.mailroom import TABLES, drained, eventually, message, offer
from tests.integration.mailbox.worker_process import OUTSIDE

from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool, open_pool

_ROOT = Path(__file__).parents[3]


@pytest.fixture
async def crash_site(make_database: MakeDatabase) -> AsyncIterator[tuple[str, Pool]]:
    """A database of its own, in which the outside is a table, too."""
    async with make_database() as url:
        pool = await open_pool(url, size=4)
        await pool.execute(TABLES + OUTSIDE)
        yield url, pool
        await pool.close()


async def start(url: str, *, seconds: float, lease_seconds: float) -> Process:
    arguments = ("-m", "tests.integration.mailbox.worker_process", url, str(seconds), str(lease_seconds))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, cwd=_ROOT)
    await heard(process, b"started")
    return process


async def heard(process: Process, word: bytes) -> bytes:
    """The next line that holds the word."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while True:
            line = await process.stdout.readline()
            assert line, f"the worker ended before it said {word!r}"
            if word in line:
                return line


@asynccontextmanager
async def ended(*processes: Process) -> AsyncIterator[None]:
    """Whatever happens, the processes are gone afterwards."""
    try:
        yield
    finally:
        for each in processes:
            if each.returncode is None:
                each.kill()
                await each.wait()


async def _once(pool: Pool, table: str) -> Counter[int]:
    """How many messages stand there once, twice, …"""
    rows = await pool.fetch(f"select count(*) as times from {table} group by message_id")
    return Counter(row["times"] for row in rows)


async def test_workers_killed_in_the_middle_lose_nothing_and_do_nothing_twice(crash_site: tuple[str, Pool]) -> None:
    url, pool = crash_site
    lanes = [new_id() for _ in range(60)]
    draw = random.Random(7)  # noqa: S311 - the same moments at every run
    workers = list(await asyncio.gather(*(start(url, seconds=0.1, lease_seconds=1) for _ in range(2))))
    try:
        for number in range(4):
            await offer(pool, *(message(number, lane=lane) for lane in lanes))
            victim = number % len(workers)
            await eventually(lambda pid=workers[victim].pid: _holds(pool, pid))
            await asyncio.sleep(draw.uniform(0, 0.1))
            workers[victim].kill()
            await workers[victim].wait()
            workers[victim] = await start(url, seconds=0.02, lease_seconds=1)
        await drained(pool)
        for each in workers:
            each.terminate()
        assert [await each.wait() for each in workers] == [0, 0]
    finally:
        async with ended(*workers):
            pass
    assert await pool.fetchval("select max(deliveries) from message_log") > 1, "some were killed with messages in hand"
    assert await _once(pool, "recorded") == {1: 240}
    assert await _once(pool, "outside") == {1: 240}
    by_lane = defaultdict(list)
    for row in await pool.fetch("select lane, number from recorded order by at"):
        by_lane[row["lane"]].append(row["number"])
    assert by_lane == {lane: list(range(4)) for lane in lanes}


async def test_a_worker_stopped_past_its_lease_is_fenced_out_when_it_wakes(crash_site: tuple[str, Pool]) -> None:
    url, pool = crash_site
    sleeper = await start(url, seconds=0.3, lease_seconds=1)
    async with ended(sleeper):
        await offer(pool, message(1), message(2))
        await heard(sleeper, b"wrote")
        sleeper.send_signal(signal.SIGSTOP)
        other = await start(url, seconds=0, lease_seconds=1)
        async with ended(other):
            await drained(pool)
            sleeper.send_signal(signal.SIGCONT)
            await heard(sleeper, b"fenced")
            await offer(pool, message(3))
            await drained(pool)
        assert sleeper.returncode is None
        pids = {row["number"]: row["pid"] for row in await pool.fetch("select number, pid from recorded")}
    assert pids[1] == pids[2] == other.pid
    assert await _once(pool, "recorded") == {1: 3}
    assert await _once(pool, "outside") == {1: 3}, "the second one looked up what the first had done"


async def _holds(pool: Pool, pid: int) -> bool:
    """Whether the process has messages in hand."""
    return bool(
        await pool.fetchval("select exists (select from messages where claimed_by like '%:' || $1::text)", str(pid))
    )
