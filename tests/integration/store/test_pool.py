"""A process that stops in the middle of a transaction keeps nobody from going on for long."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tallystick.store.outage import is_passing
from tallystick.store.pool import Pool, open_pool


async def test_a_transaction_that_is_left_alone_gives_its_locks_back(database: str) -> None:
    stopped, others = await open_pool(database, size=2), await open_pool(database, size=2)
    try:
        await others.execute("insert into system_states (system) values ('erp')")
        async with stopped.acquire() as connection:
            assert await connection.fetchval("show idle_in_transaction_session_timeout") == "30s"
            await connection.execute("set idle_in_transaction_session_timeout = '200ms'")
            await connection.execute("begin")
            await connection.execute("update system_states set paused = true where system = 'erp'")
            assert await _skips(others), "it holds the row"
            await asyncio.sleep(0.5)
            assert not await _skips(others), "and the row is free again"
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as raised:
                await connection.execute("commit")
            assert is_passing(raised.value)
        assert not await others.fetchval("select paused from system_states where system = 'erp'")
    finally:
        await stopped.close()
        await others.close()


async def _skips(pool: Pool) -> bool:
    """Whether a claim would pass the row by."""
    return await pool.fetchval("select system from system_states where system = 'erp' for update skip locked") is None
