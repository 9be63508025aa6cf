"""Monthly partitions of the tables that only grow: made ahead of time, and dropped whole when a month is past its retention."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tallystick.store.pool import Connection

MONTHLY = {"audit_entries": "at", "lineage": "at", "message_attempts": "at", "message_log": "finished_at"}
"""The partitioned tables, each with the column that says to which month a row belongs."""

# Whoever waits for these locks is waited for by everybody else, so that it gives up soon and is tried again another time.
_LOCK_TIMEOUT = "set local lock_timeout = '2s'"


async def make_partitions(connection: Connection) -> list[str]:
    """Make the partitions of this month and the next, and of months whose rows went to the default; returns those made.

    Rows that are in the default partition already move. Safe to call from many processes at once; with nothing to do it
    takes no lock. Raises asyncpg.LockNotAvailableError when a long statement is in the way.
    """
    made = []
    for table, column in MONTHLY.items():
        for start in await _missing_months(connection, table, column):
            name = f"{table}_{start:%Y_%m}"
            async with connection.transaction():
                await connection.execute(_LOCK_TIMEOUT)
                # Writers wait before they choose a partition: one that had chosen the default would be refused there.
                await connection.execute(f"lock table only {table} in share row exclusive mode")
                if await connection.fetchval("select to_regclass($1) is null", name):
                    await _make(connection, table, column, name, start)
                    made.append(name)
    return made


async def _missing_months(connection: Connection, table: str, column: str) -> Sequence[datetime]:
    rows = await connection.fetch(
        f"""
        select start from (
            select date_trunc('month', now()) as start
            union select date_trunc('month', now()) + interval '1 month'
            union select date_trunc('month', {column}) from {table}_default) months
        where to_regclass('{table}_' || to_char(start, 'YYYY_MM')) is null
        order by start
        """
    )
    return [row["start"] for row in rows]


async def _make(connection: Connection, table: str, column: str, name: str, start: datetime) -> None:
    end = await connection.fetchval("select $1::timestamptz + interval '1 month'", start)
    await connection.execute(
        f"create table {name} (like {table} including defaults including constraints including indexes)"
    )
    await connection.execute(
        f"""
        with moved as (delete from {table}_default where {column} >= $1 and {column} < $2 returning *)
        insert into {name} select * from moved
        """,
        start,
        end,
    )
    await connection.execute(
        f"alter table {table} attach partition {name} for values from ('{start.isoformat()}') to ('{end.isoformat()}')"
    )


async def drop_partitions(connection: Connection, table: str, older_than_days: int) -> list[str]:
    """Drop the table's partitions whose last row may be `older_than_days`; returns their names, the oldest first.

    Raises asyncpg.LockNotAvailableError when a long statement is in the way.
    """
    rows = await connection.fetch(
        """
        select child.relname as name from pg_inherits join pg_class child on child.oid = inhrelid
        where inhparent = $1::text::regclass and child.relname ~ '_\\d{4}_\\d{2}$'
            and to_date(right(child.relname, 7), 'YYYY_MM') + interval '1 month' <= now() - make_interval(days => $2)
        order by child.relname
        """,
        table,
        older_than_days,
    )
    dropped = [row["name"] for row in rows]
    for name in dropped:
        async with connection.transaction():
            await connection.execute(_LOCK_TIMEOUT)
            await connection.execute(f"drop table if exists {name}")
    return dropped
