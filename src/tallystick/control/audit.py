"""The audit trail: everything a principal does, written in the very transaction that does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection

SYSTEM = "tallystick"
"""Who acts where no person does: what policy lets happen by itself."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which object, and why."""

    principal: str
    action: str
    """resource.verb, such as exception.override or system.pause."""
    object_type: str
    object_id: str
    entity: str | None = None
    transaction_id: UUID | None = None
    reason: str | None = None
    detail: dict[str, Any] | None = None


async def write_audit(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Write entries inside the caller's transaction."""
    if not entries:
        return
    await connection.execute(
        """
        insert into audit_entries (id, principal, action, object_type, object_id, entity, transaction_id, reason, detail)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                             $9::jsonb[])
        """,
        [new_id() for _ in entries],
        [each.principal for each in entries],
        [each.action for each in entries],
        [each.object_type for each in entries],
        [each.object_id for each in entries],
        [each.entity for each in entries],
        [each.transaction_id for each in entries],
        [each.reason for each in entries],
        [each.detail for each in entries],
    )


async def read_audit(
    connection: Connection,
    entities: Sequence[str] | None,
    *,
    principal: str | None = None,
    action: str | None = None,
    object_id: str | None = None,
    transaction_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Newest entries first, of these entities (None: all), before the entry `before`."""
    rows = await connection.fetch(
        """
        select id, at, principal, action, object_type, object_id, entity, transaction_id, reason, detail
        from audit_entries
        where ($1::text[] is null or entity = any($1)) and ($2::text is null or principal = $2)
            and ($3::text is null or action = $3) and ($4::uuid is null or transaction_id = $4)
            and ($5::uuid is null or id < $5) and ($6::text is null or object_id = $6)
        order by id desc limit $7
        """,
        entities,
        principal,
        action,
        transaction_id,
        before,
        object_id,
        limit,
    )
    return [dict(row) for row in rows]
