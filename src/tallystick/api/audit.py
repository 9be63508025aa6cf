"""The audit trail over HTTP: who did what, when and why."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query

from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.context import InContext
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page
from tallystick.api.parameters import Word
from tallystick.control.access import Principal
from tallystick.control.audit import read_audit

router = guarded_router("audit")


@router.get("/audit", summary="Who did what, when and why")
async def read_trail(
    context: InContext,
    by: Annotated[Word, Query(description="The principal's name")] = None,
    action: Annotated[Word, Query(description="Such as exception.override")] = None,
    object_id: Word = None,
    transaction_id: UUID | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("audit.read"),
) -> dict[str, Any]:
    """Newest first, of the principal's entities."""
    async with context.flow.pool.acquire() as connection:
        items = await read_audit(
            connection,
            principal.entity_filter,
            principal=by,
            action=action,
            object_id=object_id,
            transaction_id=transaction_id,
            before=decode_cursor(cursor, UUID),
            limit=limit + 1,
        )
    return page(items, limit, lambda each: each["id"])
