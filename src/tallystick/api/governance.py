"""The audit trail, API keys, and the published schemas of our documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel

from tallystick.api.context import InContext, allowed
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page
from tallystick.api.problems import Problem
from tallystick.control.access import PERMISSIONS, Principal, create_key, list_keys, revoke_key
from tallystick.control.audit import AuditEntry, read_audit, write_audit
from tallystick.documents.decision import CheckResult
from tallystick.documents.event import Event
from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.order import Order
from tallystick.documents.party import Customer
from tallystick.documents.payment import Payment
from tallystick.documents.product import Price, Product
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import Transaction
from tallystick.documents.values import Identifier

router = APIRouter(tags=["governance"])
SCHEMAS: dict[str, type[BaseModel]] = {
    "customer": Customer,
    "product": Product,
    "price": Price,
    "order": Order,
    "shipment": Shipment,
    "invoice": Invoice,
    "credit-memo": CreditMemo,
    "payment": Payment,
    "return": Return,
    "transaction": Transaction,
    "event": Event,
    "check-result": CheckResult,
}


@router.get("/audit", summary="Who did what, when and why")
async def audit(
    context: InContext,
    by: Annotated[str | None, Query(max_length=64)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
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
            transaction_id=transaction_id,
            before=decode_cursor(cursor, UUID),
            limit=limit + 1,
        )
    return page(items, limit, lambda each: each["id"])


@router.get("/keys", summary="API keys, without their secrets")
async def keys(context: InContext, principal: Principal = allowed("keys.read")) -> dict[str, Any]:
    """With roles, entities, scopes, expiry and last use."""
    async with context.flow.pool.acquire() as connection:
        return {"items": await list_keys(connection)}


@router.post("/keys", summary="Make an API key", status_code=201)
async def make_key(
    context: InContext,
    name: Annotated[Identifier, Body(description="The principal the key is for")],
    roles: Annotated[list[str], Body(min_length=1, max_length=10)],
    entities: Annotated[list[Identifier], Body(min_length=1, max_length=100)],
    scopes: Annotated[list[str] | None, Body(max_length=100)] = None,
    valid_days: Annotated[int | None, Body(ge=1, le=3_650)] = 365,
    principal: Principal = allowed("keys.manage"),
) -> dict[str, Any]:
    """The secret is in this answer and nowhere else."""
    unknown = sorted(set(roles) - set(PERMISSIONS))
    if unknown:
        raise Problem(422, "key.unknown_role", f"roles: {unknown[0]!r} is not one of {', '.join(sorted(PERMISSIONS))}")
    expires_at = datetime.now(UTC) + timedelta(days=valid_days) if valid_days else None
    async with context.flow.pool.acquire() as connection, connection.transaction():
        made = await create_key(connection, name, roles, entities, scopes=scopes, expires_at=expires_at)
        detail = {"roles": roles, "entities": entities, "scopes": scopes}
        await write_audit(connection, [AuditEntry(principal.name, "key.create", "key", made.id, detail=detail)])
    return {"id": made.id, "key": made.secret, "expires_at": made.expires_at}


@router.post("/keys/{key_id}:revoke", summary="Revoke an API key")
async def revoke(key_id: str, context: InContext, principal: Principal = allowed("keys.manage")) -> dict[str, Any]:
    """It stops working within five seconds, on every server."""
    async with context.flow.pool.acquire() as connection, connection.transaction():
        if not await revoke_key(connection, key_id):
            raise Problem(404, "not_found", f"there is no valid key {key_id!r}")
        await write_audit(connection, [AuditEntry(principal.name, "key.revoke", "key", key_id)])
    return {"revoked": key_id}


@router.get("/schemas", summary="Names of the published schemas")
async def schemas(principal: Principal = allowed("transactions.read")) -> dict[str, Any]:
    """Each is at /v1/schemas/{name}."""
    return {"items": sorted(SCHEMAS)}


@router.get("/schemas/{name}", summary="The JSON Schema of a document")
async def schema(name: str, principal: Principal = allowed("transactions.read")) -> dict[str, Any]:
    """JSON Schema 2020-12."""
    if name not in SCHEMAS:
        raise Problem(404, "not_found", f"there is no schema {name!r}; known are {', '.join(sorted(SCHEMAS))}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name].model_json_schema()}
