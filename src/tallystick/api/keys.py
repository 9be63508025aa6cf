"""API keys over HTTP: make, list, rotate, revoke. Nobody gives away what they do not have themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Body
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.context import InContext
from tallystick.api.problems import Problem
from tallystick.control.access import Principal, excess
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.keys import NewKey, create_key, list_keys, read_grant, revoke_key, rotate_key
from tallystick.documents.values import Identifier

router = guarded_router("keys")


@router.get("/keys", summary="API keys, without their secrets")
async def list_all(context: InContext, principal: Principal = allowed("keys.read")) -> dict[str, Any]:
    """With roles, entities, scopes, expiry and last use; of principals who act within yours."""
    async with context.flow.pool.acquire() as connection:
        return {"items": await list_keys(connection, principal.entity_filter)}


@router.post("/keys", summary="Make an API key", status_code=201)
async def make(
    context: InContext,
    name: Annotated[Identifier, Body(description="The principal the key is for")],
    roles: Annotated[list[Identifier], Body(min_length=1, max_length=10)],
    entities: Annotated[list[Identifier], Body(min_length=1, max_length=100, description='"*" stands for all')],
    scopes: Annotated[list[Identifier] | None, Body(max_length=100, description="Permissions to narrow it to")] = None,
    valid_days: Annotated[int | None, Body(ge=1, le=3_650)] = 365,
    principal: Principal = allowed("keys.manage"),
) -> Response:
    """The secret is in this answer and nowhere else. All keys of the principal follow its roles and entities."""
    expires_at = datetime.now(UTC) + timedelta(days=valid_days) if valid_days else None
    granted = Principal(name, frozenset(roles), frozenset(entities), None if scopes is None else frozenset(scopes))
    async with context.flow.pool.acquire() as connection, connection.transaction():
        # What the named principal has now counts as well: who may not grant it may not take it away either.
        for grant in (granted, await read_grant(connection, name)):
            beyond = excess(principal, grant) if grant else None
            if beyond:
                raise Problem(
                    403,
                    "key.beyond_own",
                    f"{principal.name} can't make a key for {name!r}: it would need {beyond} itself",
                )
        try:
            made = await create_key(connection, name, roles, entities, scopes=scopes, expires_at=expires_at)
        except ValueError as error:
            raise Problem(422, "key.invalid", str(error)) from None
        detail = {"principal": name, "roles": roles, "entities": entities, "scopes": scopes}
        await write_audit(connection, [AuditEntry(principal.name, "key.create", "key", made.id, detail=detail)])
    return _shown_once(made)


@router.post("/keys/{key_id}:rotate", summary="Replace an API key by a new one", status_code=201)
async def rotate(
    key_id: Identifier,
    context: InContext,
    overlap_seconds: Annotated[int, Body(embed=True, ge=0, le=604_800, description="How long the old one goes on")] = 0,
    principal: Principal = allowed("keys.manage"),
) -> Response:
    """The new key has the old one's principal, scopes and length of life; its secret is in this answer only."""
    async with context.flow.pool.acquire() as connection, connection.transaction():
        made = await rotate_key(connection, key_id, principal.entity_filter, overlap_seconds=overlap_seconds)
        if made is None:
            raise Problem(404, "not_found", f"there is no valid key {key_id!r}")
        detail = {"replaced": key_id, "overlap_seconds": overlap_seconds}
        await write_audit(connection, [AuditEntry(principal.name, "key.rotate", "key", made.id, detail=detail)])
    return _shown_once(made)


@router.post("/keys/{key_id}:revoke", summary="Revoke an API key")
async def revoke(
    key_id: Identifier, context: InContext, principal: Principal = allowed("keys.manage")
) -> dict[str, Any]:
    """It stops working within five seconds, on every server."""
    async with context.flow.pool.acquire() as connection, connection.transaction():
        if not await revoke_key(connection, key_id, principal.entity_filter):
            raise Problem(404, "not_found", f"there is no valid key {key_id!r}")
        await write_audit(connection, [AuditEntry(principal.name, "key.revoke", "key", key_id)])
    return {"revoked": key_id}


def _shown_once(made: NewKey) -> Response:
    return json_response({"id": made.id, "key": made.secret, "expires_at": made.expires_at}, 201)
