"""Transactions to look at: search, one with its state a stage, its documents, cross-references and lineage."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.context import InContext
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page
from tallystick.api.parameters import Word
from tallystick.api.problems import Problem
from tallystick.control.access import Principal, may
from tallystick.control.lineage import read_lineage
from tallystick.documents.transaction import CommitmentState, IntakeState, Transaction
from tallystick.documents.values import NO_CONTROL_CHARACTERS
from tallystick.stages.references import transaction_of
from tallystick.stages.transactions import read_transactions, search_transactions
from tallystick.store.pool import Connection

router = guarded_router("transactions")
_SEARCH = Query(
    max_length=200,
    pattern=NO_CONTROL_CHARACTERS,
    description="An id, reference, order number, PO or customer id of any system",
)


async def visible(
    connection: Connection, transaction_id: UUID, principal: Principal, permission: str = "transactions.read"
) -> Transaction:
    """A transaction of an entity for which the principal has the permission.

    Raises a 404 problem for any other, as if there were none.
    """
    found = (await read_transactions(connection, [transaction_id])).get(transaction_id)
    if found is None or not may(principal, permission, found.entity):
        raise Problem(404, "not_found", f"there is no transaction {transaction_id}")
    return found


@router.get("/transactions", summary="Search transactions")
async def list_transactions(
    context: InContext,
    search: Annotated[str | None, _SEARCH] = None,
    intake: IntakeState | None = None,
    commitment: CommitmentState | None = None,
    customer_id: Word = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("transactions.read"),
) -> dict[str, Any]:
    """Newest first."""
    async with context.flow.pool.acquire() as connection:
        found = await search_transactions(
            connection,
            principal.entity_filter,
            search=search,
            transaction_id=transaction_of(search) if search else None,
            intake=intake,
            commitment=commitment,
            customer_id=customer_id,
            before=decode_cursor(cursor, UUID),
            limit=limit + 1,
        )
    shown = page(found, limit, lambda each: each.id)
    return {**shown, "items": [each.model_dump(mode="json") for each in shown["items"]]}


@router.get("/transactions/{transaction_id}", summary="One transaction", response_model=Transaction)
async def show_transaction(
    transaction_id: UUID, context: InContext, principal: Principal = allowed("transactions.read")
) -> Response:
    """Its states, amounts and version; the ETag is what a change must name."""
    async with context.flow.pool.acquire() as connection:
        found = await visible(connection, transaction_id, principal)
    return json_response(found.model_dump(mode="json"), version=found.version)


@router.get("/transactions/{transaction_id}/lineage", summary="Every fact of a transaction in order")
async def show_lineage(
    transaction_id: UUID, context: InContext, principal: Principal = allowed("transactions.read")
) -> dict[str, Any]:
    """What happened, where, by which message, and how long after the fact before."""
    async with context.flow.pool.acquire() as connection:
        await visible(connection, transaction_id, principal)
        return {"items": await read_lineage(connection, transaction_id)}


@router.get("/transactions/{transaction_id}/documents", summary="A transaction's documents and cross-references")
async def show_documents(
    transaction_id: UUID, context: InContext, principal: Principal = allowed("transactions.read")
) -> dict[str, Any]:
    """The order with its revisions, and every shipment, invoice, payment, return and credit memo."""
    async with context.flow.pool.acquire() as connection:
        await visible(connection, transaction_id, principal)
        documents = await connection.fetch(
            """
            select type, number, revision, system, body, created_at from documents
            where transaction_id = $1 order by created_at
            """,
            transaction_id,
        )
        references = await connection.fetch(
            "select system, kind, reference, our_number from cross_references where transaction_id = $1 order by created_at",
            transaction_id,
        )
    return {"documents": [dict(each) for each in documents], "cross_references": [dict(each) for each in references]}
