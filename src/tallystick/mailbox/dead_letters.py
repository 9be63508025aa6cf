"""Dead letters and their way back: list, read with every attempt, replay one or a filtered set, edit, discard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.mailbox.postgres_carrier import OFFERS_CHANNEL
from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which live messages: every field that is set must match. `entities` None: all."""

    entities: Sequence[str] | None = None
    state: str | None = None
    stage: str | None = None
    system: str | None = None
    kind: str | None = None
    transaction_id: UUID | None = None
    created_before: datetime | None = None

    def arguments(self) -> tuple[Any, ...]:
        """Values for `_WHERE`, in its order."""
        return (
            self.entities,
            self.state,
            self.stage,
            self.system,
            self.kind,
            self.transaction_id,
            self.created_before,
        )


_WHERE = """
    ($1::text[] is null or entity = any($1)) and ($2::text is null or state = $2) and ($3::text is null or stage = $3)
    and ($4::text is null or system = $4) and ($5::text is null or kind = $5) and ($6::uuid is null or transaction_id = $6)
    and ($7::timestamptz is null or created_at < $7)
"""
_COLUMNS = """
    position, id, entity, stage, system, kind, transaction_id, state, available_at, deliveries, attempts, claimed_by,
    last_failure, created_at
"""


async def list_messages(
    connection: Connection, wanted: MessageFilter, *, after: int = 0, limit: int = 50
) -> list[dict[str, Any]]:
    """Live messages in their order, after the position `after`."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from messages where {_WHERE} and position > $8 order by position limit $9",
        *wanted.arguments(),
        after,
        limit,
    )
    return [dict(row) for row in rows]


async def read_message(
    connection: Connection, message_id: UUID, entities: Sequence[str] | None
) -> dict[str, Any] | None:
    """One live message with its payload and every failed attempt."""
    row = await connection.fetchrow(
        f"select {_COLUMNS}, payload from messages where id = $1 and ($2::text[] is null or entity = any($2))",
        message_id,
        entities,
    )
    if row is None:
        return None
    attempts = await connection.fetch(
        """
        select delivery, at, duration_ms, worker, failure, code, error, request, response
        from message_attempts where message_id = $1 order by delivery
        """,
        message_id,
    )
    return {**dict(row), "attempts_made": [dict(each) for each in attempts]}


async def dead_ids(connection: Connection, wanted: MessageFilter, *, limit: int = 10_000) -> list[UUID]:
    """Ids of the dead letters a filter names, oldest first."""
    rows = await connection.fetch(
        f"select id from messages where {_WHERE} and state = 'dead' order by position limit $8",
        *wanted.arguments(),
        limit,
    )
    return [row["id"] for row in rows]


async def replay_messages(
    connection: Connection, ids: Sequence[UUID], *, payload: dict[str, Any] | None = None
) -> list[UUID]:
    """Make dead letters ready again, with a fresh count of attempts and, for one, an edited payload; returns the replayed ids.

    The delivery count goes on, so the next delivery looks up what earlier ones may have done.
    """
    rows = await connection.fetch(
        """
        with replayed as (
            update messages set state = 'ready', available_at = now(), attempts = 0, claimed_by = null,
                payload = coalesce($2::jsonb, payload)
            where id = any($1::uuid[]) and state = 'dead'
            returning id, lane, stage, system, position
        ), freed as (
            update messages follower set state = 'ready' from replayed r
            where follower.lane = r.lane and follower.stage = r.stage and follower.system = r.system
                and follower.position > r.position and follower.state = 'parked'
        )
        select id, stage || '/' || system as route from replayed
        """,
        list(ids),
        payload,
    )
    await _wake(connection, {row["route"] for row in rows})
    return [row["id"] for row in rows]


async def discard_messages(connection: Connection, ids: Sequence[UUID]) -> list[UUID]:
    """Give dead letters up for good; what waited behind them flows on. Returns the discarded ids."""
    rows = await connection.fetch(
        """
        with discarded as (
            delete from messages where id = any($1::uuid[]) and state = 'dead' returning *
        ), logged as (
            insert into message_log (id, entity, stage, system, kind, lane, transaction_id, payload, outcome, deliveries,
                                     attempts, worker, created_at)
            select id, entity, stage, system, kind, lane, transaction_id, payload, 'discarded', deliveries, attempts, null,
                   created_at
            from discarded
        ), freed as (
            update messages follower set state = 'ready' from discarded d
            where follower.lane = d.lane and follower.stage = d.stage and follower.system = d.system
                and follower.position > d.position and follower.state = 'parked'
        )
        select id, stage || '/' || system as route from discarded
        """,
        list(ids),
    )
    await _wake(connection, {row["route"] for row in rows})
    return [row["id"] for row in rows]


async def _wake(connection: Connection, routes: set[str]) -> None:
    await connection.execute("select pg_notify($1, r) from unnest($2::text[]) r", OFFERS_CHANNEL, sorted(routes))


async def queue_depths(connection: Connection, entities: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Waiting, in flight and dead messages of these entities (None: all) with the oldest's age in seconds, by route."""
    rows = await connection.fetch(
        """
        select stage, system,
               count(*) filter (where state <> 'dead' and claimed_by is null) as waiting,
               count(*) filter (where claimed_by is not null) as in_flight,
               count(*) filter (where state = 'dead') as dead,
               extract(epoch from now() - min(created_at) filter (where state <> 'dead'))::float8 as oldest_seconds
        from messages where $1::text[] is null or entity = any($1)
        group by stage, system order by stage, system
        """,
        entities,
    )
    return [dict(row) for row in rows]
