"""API keys over HTTP: make, list, rotate, revoke. Nobody gives away what they do not have themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.context import InContext
from tallystick.api.problems import Problem
from tallystick.control.access import ALL_PERMISSIONS, PERMISSIONS, Principal, excess
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.keys import NewKey, create_key, list_keys, read_grant, revoke_key, rotate_key
from tallystick.documents.values import Document, Identifier

router = guarded_router("keys")
# For the description; which there are is judged by control/keys.py, which says it in one line.
_Role = Annotated[Identifier, Field(json_schema_extra={"enum": sorted(PERMISSIONS)})]
_Permission = Annotated[Identifier, Field(json_schema_extra={"enum": sorted(ALL_PERMISSIONS)})]


class KeyRequest(Document):
    """Whom a key is for and what it may do. The principal gets these roles and entities, and so do all its keys."""

    name: Annotated[Identifier, Field(description="The principal the key is for")]
    roles: Annotated[tuple[_Role, ...], Field(min_length=1, max_length=10)]
    entities: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=100, description='"*" stands for all')]
    scopes: Annotated[tuple[_Permission, ...], Field(min_length=1, max_length=100)] | None = None
    """Permissions to narrow it to."""
    valid_days: Annotated[int, Field(strict=True, ge=1, le=3_650)] | None = 365
    """Null: it does not expire."""


class Rotation(Document):
    """How long the old key goes on beside the new one."""

    overlap_seconds: Annotated[int, Field(strict=True, ge=0, le=604_800)] = 0


@router.get("/keys", summary="API keys, without their secrets")
async def list_all(context: InContext, principal: Principal = allowed("keys.read")) -> dict[str, Any]:
    """With roles, entities, scopes, expiry and last use; of principals who act within yours."""
    async with context.flow.pool.acquire() as connection:
        return {"items": await list_keys(connection, principal.entity_filter)}


@router.post("/keys", summary="Make an API key", status_code=201)
async def make(
    context: InContext,
    wanted: KeyRequest,
    principal: Principal = allowed("keys.manage"),
) -> Response:
    """The secret is in this answer and nowhere else. All keys of the principal follow its roles and entities."""
    name, scopes = wanted.name, wanted.scopes
    expires_at = datetime.now(UTC) + timedelta(days=wanted.valid_days) if wanted.valid_days else None
    granted = Principal(
        name, frozenset(wanted.roles), frozenset(wanted.entities), None if scopes is None else frozenset(scopes)
    )
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
            made = await create_key(
                connection, name, wanted.roles, wanted.entities, scopes=scopes, expires_at=expires_at
            )
        except ValueError as error:
            raise Problem(422, "key.invalid", str(error)) from None
        detail = {"principal": name, **wanted.model_dump(include={"roles", "entities", "scopes"})}
        await write_audit(connection, [AuditEntry(principal.name, "key.create", "key", made.id, detail=detail)])
    return _shown_once(made)


@router.post("/keys/{key_id}:rotate", summary="Replace an API key by a new one", status_code=201)
async def rotate(
    key_id: Identifier,
    context: InContext,
    rotation: Rotation | None = None,
    principal: Principal = allowed("keys.manage"),
) -> Response:
    """The new key has the old one's principal, scopes and length of life; its secret is in this answer only."""
    overlap_seconds = rotation.overlap_seconds if rotation else 0
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
