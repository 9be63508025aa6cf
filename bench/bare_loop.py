"""The limit that the mailbox is measured against: claims with SKIP LOCKED in batches, written by hand, and nothing else.

It has no lanes, no fencing, no log of what was finished, and can't be woken, paused, throttled or retried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.store.pool import Connection

BATCH = 100

_SETUP = """
    drop table if exists bare_messages;
    create table bare_messages (
        id bigint generated always as identity primary key,
        queue text not null,
        payload jsonb not null,
        available_at timestamptz not null default now(),
        claimed_by text
    );
    create index on bare_messages (queue, available_at, id);
"""
_CLAIM = """
    with heads as (
        select id from bare_messages where queue = 'bench' and available_at <= now()
        order by available_at, id limit $1 for update skip locked)
    update bare_messages m set available_at = now() + interval '60 seconds', claimed_by = $2
    from heads where m.id = heads.id returning m.id, m.payload
"""


async def fill(connection: Connection, payload: Mapping[str, Any], count: int) -> None:
    """A new table with so many messages in it."""
    await connection.execute(_SETUP)
    await connection.execute(
        "insert into bare_messages (queue, payload) select 'bench', $1 from generate_series(1, $2)", payload, count
    )
    await connection.execute("analyze bare_messages")


async def drain(connection: Connection, worker: str) -> int:
    """Claim, do nothing, delete, a commit each, until none is left; returns how many it took."""
    taken = 0
    while rows := await connection.fetch(_CLAIM, BATCH, worker):
        await connection.execute("delete from bare_messages where id = any($1::bigint[])", [row["id"] for row in rows])
        taken += len(rows)
    return taken
