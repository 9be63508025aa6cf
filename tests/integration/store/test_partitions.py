"""Monthly partitions: made ahead, taking over what the default holds, dropped when past their time, and in nobody's way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from tallystick.store.partitions import MONTHLY, drop_partitions, make_partitions
from tallystick.store.pool import Pool


def month(offset: int) -> datetime:
    """The first moment of this month, or of one so many months away."""
    now = datetime.now(UTC)
    index = now.year * 12 + now.month - 1 + offset
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def name(table: str, offset: int) -> str:
    return f"{table}_{month(offset):%Y_%m}"


async def _log(pool: Pool, at: datetime) -> None:
    await pool.execute(
        """
        insert into message_log (id, entity, stage, system, kind, lane, payload, outcome, deliveries, attempts, created_at,
                                 finished_at)
        values (gen_random_uuid(), 'default', 'commitment', 'erp', 'commit_order', gen_random_uuid(), '{}', 'done', 1, 0, $1, $1)
        """,
        at,
    )


async def _places(pool: Pool) -> list[str]:
    rows = await pool.fetch("select tableoid::regclass::text as place from message_log order by finished_at")
    return [row["place"] for row in rows]


async def test_this_month_and_the_next_are_made_for_every_table(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await make_partitions(connection)
        assert sorted(made) == sorted(name(table, offset) for table in MONTHLY for offset in (0, 1))
        assert await make_partitions(connection) == []


async def test_every_partitioned_table_is_known(pool: Pool) -> None:
    rows = await pool.fetch("select relname from pg_class where relkind = 'p'")
    assert {row["relname"] for row in rows} == set(MONTHLY)


async def test_rows_in_the_default_move_into_the_month_that_is_made(pool: Pool) -> None:
    for at in (month(-3), month(-3), month(0), month(1)):
        await _log(pool, at)
    assert await _places(pool) == ["message_log_default"] * 4
    async with pool.acquire() as connection:
        made = await make_partitions(connection)
    assert name("message_log", -3) in made
    assert await _places(pool) == [name("message_log", offset) for offset in (-3, -3, 0, 1)]
    assert await pool.fetchval("select count(*) from message_log_default") == 0


async def test_new_rows_go_to_their_month_which_is_indexed_as_the_others(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await make_partitions(connection)
    await _log(pool, datetime.now(UTC))
    await _log(pool, month(5))
    assert await _places(pool) == [name("message_log", 0), "message_log_default"]
    indexes = await pool.fetch(
        "select relispartition from pg_index join pg_class on oid = indexrelid where indrelid = $1::text::regclass",
        name("lineage", 0),
    )
    assert [row["relispartition"] for row in indexes] == [True, True], "its indexes are those of the whole table"


async def test_many_processes_may_make_them_at_once(pool: Pool) -> None:
    await _log(pool, month(0))

    async def make() -> list[str]:
        async with pool.acquire() as connection:
            return await make_partitions(connection)

    made = [each for one in await asyncio.gather(*(make() for _ in range(6))) for each in one]
    assert len(made) == len(set(made)) == 2 * len(MONTHLY)


async def test_they_are_made_while_rows_are_written(pool: Pool) -> None:
    written = 0
    stop = asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            await _log(pool, datetime.now(UTC))
            written += 1

    writing = [asyncio.create_task(write()) for _ in range(3)]
    await asyncio.sleep(0.1)
    async with pool.acquire() as connection:
        await make_partitions(connection)
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*writing)
    assert await _places(pool) == [name("message_log", 0)] * written


async def test_only_whole_months_past_their_time_are_dropped(pool: Pool) -> None:
    for at in (month(-5), month(-4), month(0)):
        await _log(pool, at)
    async with pool.acquire() as connection:
        await make_partitions(connection)
        kept_days = (datetime.now(UTC) - month(-4)).days  # a day less, and the month before would still be too young
        assert await drop_partitions(connection, "message_log", kept_days + 40) == []
        assert await drop_partitions(connection, "message_log", kept_days) == [name("message_log", -5)]
    assert await _places(pool) == [name("message_log", -4), name("message_log", 0)]


async def test_a_long_statement_in_the_way_is_left_alone(pool: Pool) -> None:
    async with pool.acquire() as reader, pool.acquire() as connection:
        async with reader.transaction():
            await reader.fetch("select count(*) from message_log")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await make_partitions(connection)
        assert name("message_log", 0) in await make_partitions(connection)
