"""Dead letters and their way back: list, read with every attempt, replay one or a filtered set, edit, discard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from tallystick.mailbox.postgres_carrier import wake_routes
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

    def conditions(self) -> tuple[str, list[Any]]:
        """A condition for the fields that are set, and only for those, so that each finds its index; and its parameters."""
        fields = {name: getattr(self, name) for name in _CONDITIONS if getattr(self, name) is not None}
        conditions = [_CONDITIONS[name].format(f"${number}") for number, name in enumerate(fields, 1)]
        return " and ".join(conditions) or "true", list(fields.values())


# A waiting message, a started one and one outside of its transaction's lane each stand in an index of their own.
_OF_TRANSACTION = """id in (select id from messages where lane = {0} and deliveries = 0
    union all select id from messages where lane = {0} and deliveries > 0
    union all select id from messages where transaction_id = {0} and transaction_id <> lane) and transaction_id = {0}"""
# Beside a key, the state is compared in a way that fits no index: a plan made while the table was empty may else go through
# all that is dead or parked anywhere.
IS_DEAD, _IS_PARKED = "state || '' = 'dead'", "state || '' = 'parked'"
_CONDITIONS = {
    "entities": "entity = any({0}::text[])",
    "state": "state = {0}",
    "stage": "stage = {0}",
    "system": "system = {0}",
    "kind": "kind = {0}",
    "transaction_id": _OF_TRANSACTION,
    "created_before": "created_at < {0}",
}
_COLUMNS = """
    id, position, entity, stage, system, kind, transaction_id, state, available_at, deliveries, attempts, claimed_by,
    last_failure, created_at
"""


async def list_messages(
    connection: Connection, wanted: MessageFilter, *, after: UUID | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Live messages, the oldest first, after the message `after`."""
    condition, values = wanted.conditions()
    if after is not None:
        values.append(after)
        condition += f" and id > ${len(values)}"
    rows = await connection.fetch(
        f"select {_COLUMNS} from messages where {condition} order by id limit ${len(values) + 1}", *values, limit
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
    if wanted.state not in (None, "dead"):
        return []
    condition, values = replace(wanted, state=None).conditions()
    rows = await connection.fetch(
        f"select id from messages where state = 'dead' and {condition} order by id limit ${len(values) + 1}",
        *values,
        limit,
    )
    return [row["id"] for row in rows]


async def places_of(connection: Connection, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Where live messages belong: each with its id, entity, transaction, stage, system and kind."""
    rows = await connection.fetch(
        "select id, entity, transaction_id, stage, system, kind from messages where id = any($1::uuid[]) order by id",
        list(ids),
    )
    return [dict(row) for row in rows]


async def replay_messages(
    connection: Connection, ids: Sequence[UUID], *, payload: dict[str, Any] | None = None
) -> list[UUID]:
    """Make dead letters ready again, with a fresh count of attempts and, for one, an edited payload; returns the replayed ids.

    The delivery count goes on, so the next delivery looks up what earlier ones may have done.
    """
    async with connection.transaction():
        dead = await _lock_dead(connection, ids)
        rows = await connection.fetch(
            """
            update messages set state = 'ready', available_at = now(), attempts = 0, payload = coalesce($2::jsonb, payload)
            where id = any($1::uuid[])
            returning id, lane, stage, system
            """,
            dead,
            payload,
        )
        await _free_followers(connection, rows)
    return [row["id"] for row in rows]


async def discard_messages(connection: Connection, ids: Sequence[UUID]) -> list[UUID]:
    """Give dead letters up for good; what waited behind them flows on. Returns the discarded ids."""
    async with connection.transaction():
        dead = await _lock_dead(connection, ids)
        rows = await connection.fetch(
            """
            with discarded as (
                delete from messages where id = any($1::uuid[]) returning *
            ), logged as (
                insert into message_log (id, entity, stage, system, kind, lane, transaction_id, payload, outcome, deliveries,
                                         attempts, worker, created_at)
                select id, entity, stage, system, kind, lane, transaction_id, payload, 'discarded', deliveries, attempts, null,
                       created_at
                from discarded
            )
            select id, lane, stage, system from discarded
            """,
            dead,
        )
        await _free_followers(connection, rows)
    return [row["id"] for row in rows]


async def _lock_dead(connection: Connection, ids: Sequence[UUID]) -> list[UUID]:
    # First the locks, then the statements that act: what was offered behind a dead letter until now, and parked, is then
    # committed and visible, and nothing more is parked there.
    rows = await connection.fetch(
        f"select id from messages where id = any($1::uuid[]) and {IS_DEAD} order by id for update", list(ids)
    )
    return [row["id"] for row in rows]


async def _free_followers(connection: Connection, heads: Sequence[Record]) -> None:
    await connection.execute(
        f"""
        update messages follower set state = 'ready'
        from unnest($1::uuid[], $2::text[], $3::text[]) as head (lane, stage, system)
        where follower.lane = any($1) and follower.lane = head.lane and follower.stage = head.stage
            and follower.system = head.system and follower.deliveries = 0 and follower.{_IS_PARKED}
        """,
        [each["lane"] for each in heads],
        [each["stage"] for each in heads],
        [each["system"] for each in heads],
    )
    await wake_routes(connection, {f"{each['stage']}/{each['system']}" for each in heads})


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
