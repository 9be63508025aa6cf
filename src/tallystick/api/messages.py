"""Messages in flight and dead: look, replay one or a filtered set, discard."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.context import InContext
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page
from tallystick.api.parameters import Word
from tallystick.api.plain_data import PlainData
from tallystick.api.problems import Problem
from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.documents.values import Document, Identifier, LongText
from tallystick.mailbox.dead_letters import (
    MessageFilter,
    dead_ids,
    list_messages,
    places_of,
    queue_depths,
    read_message,
)
from tallystick.stages.dead_letters import discard_dead, replay_dead

router = guarded_router("messages")


class Replay(Document):
    """How a dead letter is delivered again: as it is, or with an edited payload."""

    payload: PlainData | None = None
    reason: LongText | None = None


class ReplayFilter(Document):
    """Which dead letters: every field that is given must match; none given, all are meant."""

    stage: Identifier | None = None
    system: Identifier | None = None
    kind: Identifier | None = None
    transaction_id: UUID | None = None
    dry_run: StrictBool = False
    """Only count them."""
    reason: LongText | None = None


class Discard(Document):
    """Why a dead letter is given up."""

    reason: Annotated[LongText, Field(min_length=3, description="Why; it stands in the audit trail")]


@router.get("/messages", summary="Live messages: waiting, in flight, dead")
async def list_live(
    context: InContext,
    state: Literal["ready", "parked", "dead"] | None = None,
    stage: Word = None,
    system: Word = None,
    kind: Word = None,
    transaction_id: UUID | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("messages.read"),
) -> dict[str, Any]:
    """The oldest first."""
    wanted = MessageFilter(principal.entity_filter, state, stage, system, kind, transaction_id)
    async with context.flow.pool.acquire() as connection:
        items = await list_messages(connection, wanted, after=decode_cursor(cursor, UUID), limit=limit + 1)
    return page(items, limit, lambda each: each["id"])


@router.get("/messages:depths", summary="How many messages wait, by stage and system")
async def depths(context: InContext, principal: Principal = allowed("messages.read")) -> dict[str, Any]:
    """Waiting, in flight, dead, and the oldest's age, of the principal's entities."""
    async with context.flow.pool.acquire() as connection:
        return {"items": await queue_depths(connection, principal.entity_filter)}


@router.get("/messages/{message_id}", summary="One live message with every failed attempt")
async def show(message_id: UUID, context: InContext, principal: Principal = allowed("messages.read")) -> dict[str, Any]:
    """Its payload, and what was asked and answered each time."""
    async with context.flow.pool.acquire() as connection:
        found = await read_message(connection, message_id, principal.entity_filter)
    if found is None:
        raise Problem(
            404, "not_found", f"there is no live message {message_id}; a finished one is in its transaction's lineage"
        )
    return found


async def _dead(connection: Any, message_id: UUID, principal: Principal) -> dict[str, Any]:
    found = await read_message(connection, message_id, principal.entity_filter)
    if found is None:
        raise Problem(404, "not_found", f"there is no live message {message_id}")
    if found["state"] != "dead":
        raise Problem(
            409, "message.not_dead", f"message {message_id} is {found['state']}, not dead; it takes its course"
        )
    return found


def _entry(principal: Principal, action: str, found: dict[str, Any], reason: str | None, detail: Any) -> AuditEntry:
    return AuditEntry(
        principal.name, action, "message", str(found["id"]), found["entity"], found["transaction_id"], reason, detail
    )


@router.post("/messages/{message_id}:replay", summary="Replay a dead letter, also with an edited payload")
async def replay(
    message_id: UUID,
    context: InContext,
    wanted: Replay | None = None,
    principal: Principal = allowed("messages.replay"),
) -> dict[str, Any]:
    """Its exception is resolved; an edited payload is kept in the audit trail beside the one before."""
    replay = wanted or Replay()
    payload = replay.payload
    async with context.flow.pool.acquire() as connection, connection.transaction():
        found = await _dead(connection, message_id, principal)
        await replay_dead(context.flow, connection, [message_id], by=principal.name, payload=payload)
        detail = {"before": found["payload"], "after": payload} if payload is not None else {}
        await write_audit(connection, [_entry(principal, "message.replay", found, replay.reason, detail)])
    return {"replayed": 1}


@router.post("/messages:replay", summary="Replay all dead letters that a filter names")
async def replay_many(
    context: InContext,
    named: ReplayFilter,
    principal: Principal = allowed("messages.replay"),
) -> dict[str, Any]:
    """At most 10,000 at once; `dry_run` says how many it would be. Each is on record with its transaction."""
    wanted = MessageFilter(principal.entity_filter, "dead", named.stage, named.system, named.kind, named.transaction_id)
    async with context.flow.pool.acquire() as connection, connection.transaction():
        ids = await dead_ids(connection, wanted)
        if named.dry_run:
            return {"would_replay": len(ids)}
        replayed = await replay_dead(context.flow, connection, ids, by=principal.name)
        chosen = named.model_dump(mode="json", exclude={"dry_run", "reason"}, exclude_none=True)
        found = await places_of(connection, replayed)
        await write_audit(
            connection,
            [_entry(principal, "message.replay", each, named.reason, {"filter": chosen}) for each in found],
        )
    return {"replayed": len(replayed)}


@router.post("/messages/{message_id}:discard", summary="Give a dead letter up for good")
async def discard(
    message_id: UUID,
    context: InContext,
    wanted: Discard,
    principal: Principal = allowed("messages.discard"),
) -> dict[str, Any]:
    """What waited behind it flows on; the reason stands in the audit trail."""
    async with context.flow.pool.acquire() as connection, connection.transaction():
        found = await _dead(connection, message_id, principal)
        await discard_dead(context.flow, connection, [message_id], by=principal.name, reason=wanted.reason)
        await write_audit(
            connection, [_entry(principal, "message.discard", found, wanted.reason, {"payload": found["payload"]})]
        )
    return {"discarded": 1}
