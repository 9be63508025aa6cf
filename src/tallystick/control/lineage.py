"""Lineage: every fact of a transaction in the order it happened, with the system, the message and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """How long the outside took to answer; of a batch, the whole batch's call."""
    detail: dict[str, Any] | None = None
    id: UUID = field(default_factory=new_id)


async def record_facts(connection: Connection, facts: Sequence[LineageFact]) -> None:
    """Write facts, in their order, inside the caller's transaction."""
    if not facts:
        return
    # The database's clock, read after the caller has locked its transactions: what follows never seems to come first,
    # however the clocks of two workers differ.
    await connection.execute(
        """
        with clock as materialized (select clock_timestamp() as at)
        insert into lineage (id, transaction_id, at, stage, fact, system, message_id, actor, duration_ms, detail)
        select f.id, f.transaction_id, clock.at, f.stage, f.fact, f.system, f.message_id, f.actor, f.duration_ms, f.detail
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::real[],
                    $9::jsonb[])
            as f (id, transaction_id, stage, fact, system, message_id, actor, duration_ms, detail),
            clock
        """,
        [each.id for each in facts],
        [each.transaction_id for each in facts],
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
