"""Lineage: every fact of a transaction in the order it happened, with the system, the message and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class LineageFact:
    """One thing that happened to a transaction."""

    transaction_id: UUID
    stage: str
    fact: str
    """A past participle, such as received, checked, held, committed, shipped, invoiced, paid, published."""
    system: str | None = None
    message_id: UUID | None = None
    actor: str | None = None
    duration_ms: float | None = None
    detail: dict[str, Any] | None = None
    id: UUID = field(default_factory=new_id)


async def record_facts(connection: Connection, facts: Sequence[LineageFact]) -> None:
    """Write facts, in their order, inside the caller's transaction."""
    if not facts:
        return
    now = datetime.now(UTC)
    await connection.execute(
        """
        insert into lineage (id, transaction_id, at, stage, fact, system, message_id, actor, duration_ms, detail)
        select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::uuid[],
                             $8::text[], $9::real[], $10::jsonb[])
        """,
        [each.id for each in facts],
        [each.transaction_id for each in facts],
        [now] * len(facts),
        [each.stage for each in facts],
        [each.fact for each in facts],
        [each.system for each in facts],
        [each.message_id for each in facts],
        [each.actor for each in facts],
        [each.duration_ms for each in facts],
        [each.detail for each in facts],
    )


async def read_lineage(connection: Connection, transaction_id: UUID) -> list[dict[str, Any]]:
    """A transaction's facts in order, each with the seconds since the one before."""
    rows = await connection.fetch(
        """
        select id, at, stage, fact, system, message_id, actor, duration_ms, detail,
               extract(epoch from at - lag(at) over (order by at, id))::float8 as seconds_since_previous
        from lineage where transaction_id = $1 order by at, id
        """,
        transaction_id,
    )
    return [dict(row) for row in rows]
