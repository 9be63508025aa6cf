"""The work queue over HTTP: look, assign, comment, retry, amend, override, reject, resolve."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.conditional import ExpectedVersion
from tallystick.api.context import InContext
from tallystick.api.orders import order_text
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page, position_in
from tallystick.api.parameters import Word
from tallystick.api.plain_data import PlainData
from tallystick.api.problems import Problem
from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import (
    SORTS,
    RootCause,
    assign_exception,
    list_exceptions,
    lock_exception,
    note_exception,
    read_exception,
)
from tallystick.documents.order import Order
from tallystick.documents.values import Document, Identifier, Instant, LongText
from tallystick.stages.resolution import (
    amend_exception,
    override_exception,
    reject_exception,
    resolve_exception,
    retry_exception,
)

router = guarded_router("exceptions")
Why = Annotated[LongText, Field(min_length=3, description="Why; it stands in the audit trail")]


def _only(wanted: str, other: str) -> dict[str, Any]:
    """The JSON Schema of an object that has the one and not the other."""
    return {"required": [wanted], "properties": {wanted: {"type": "object"}, other: {"type": "null"}}}


class Assignment(Document):
    """Whose an exception is; null takes it back into the queue."""

    owner: Identifier | None


class Comment(Document):
    """A remark for who works on it next."""

    text: Annotated[LongText, Field(min_length=1)]


class Amendment(Document):
    """What an exception is to be tried again with: the corrected order, or the payload of a dead letter; one of them."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_only("order", "payload"), _only("payload", "order")]})

    order: Order | None = None
    payload: PlainData | None = None
    reason: LongText | None = None


class Override(Document):
    """Which reasons an order passes in spite of; none named: all that hold it."""

    reason: Why
    codes: Annotated[tuple[Identifier, ...], Field(max_length=50)] | None = None


class Rejection(Document):
    """Why an order goes back to its channel."""

    reason: Why


class Resolution(Document):
    """What was done elsewhere, and what the trouble came from."""

    reason: Why
    root_cause: RootCause


@router.get("/exceptions", summary="The work queue")
async def list_queue(
    context: InContext,
    state: Literal["open", "resolved", "all"] = "open",
    type: Word = None,  # noqa: A002 - the exception's own word
    owner: Word = None,
    transaction_id: UUID | None = None,
    due_before: Instant | None = None,
    sort: Literal["due", "money", "opened"] = "due",
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("exceptions.read"),
) -> dict[str, Any]:
    """Open items first due, unless sorted otherwise."""
    async with context.flow.pool.acquire() as connection:
        items = await list_exceptions(
            connection,
            principal.entity_filter,
            state=None if state == "all" else state,
            type=type,
            owner=owner,
            transaction_id=transaction_id,
            due_before=due_before,
            sort=sort,
            after=decode_cursor(cursor, position_in(sort)),
            limit=limit + 1,
        )
    return page(items, limit, lambda each: [sort, each[SORTS[sort].column], each["id"]])


@router.get("/exceptions/{exception_id}", summary="One exception with its whole story")
async def show(exception_id: UUID, context: InContext, principal: Principal = allowed("exceptions.read")) -> Response:
    """Reasons with the values that differ, documents, notes, and every attempt with request and response."""
    async with context.flow.pool.acquire() as connection:
        found = await read_exception(connection, exception_id, principal.entity_filter)
    if found is None:
        raise Problem(404, "not_found", f"there is no exception {exception_id}")
    return json_response(found, version=found["version"])


@router.post("/exceptions/{exception_id}:assign", summary="Give it to somebody")
async def assign(
    exception_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    assignment: Assignment,
    principal: Principal = allowed("exceptions.work"),
) -> Response:
    """Set its owner; null takes it back into the queue."""
    owner = assignment.owner
    async with context.flow.pool.acquire() as connection, connection.transaction():
        found = await _locked(connection, exception_id, principal, version)
        await assign_exception(connection, exception_id, owner)
        await note_exception(connection, exception_id, principal.name, "assign", None, {"owner": owner})
        await _audited(connection, found, principal, "exception.assign", None, {"owner": owner})
    return json_response({"owner": owner}, version=found["version"] + 1)


@router.post("/exceptions/{exception_id}:comment", summary="Add a comment")
async def comment(
    exception_id: UUID,
    context: InContext,
    remark: Comment,
    principal: Principal = allowed("exceptions.work"),
) -> Response:
    """Comments need no If-Match: they overwrite nothing."""
    async with context.flow.pool.acquire() as connection, connection.transaction():
        found = await _locked(connection, exception_id, principal, None)
        await note_exception(connection, exception_id, principal.name, "comment", remark.text)
        await _audited(connection, found, principal, "exception.comment", remark.text, {})
    return json_response({"commented": True}, version=found["version"] + 1)


@router.post("/exceptions/{exception_id}:retry", summary="Try again as it is")
async def retry(
    exception_id: UUID, context: InContext, version: ExpectedVersion, principal: Principal = allowed("exceptions.work")
) -> dict[str, Any]:
    """A dead letter is replayed, a held order is checked again."""
    return await retry_exception(context.flow, exception_id, principal, expected_version=version)


@router.post("/exceptions/{exception_id}:amend", summary="Correct it and try again")
async def amend(
    exception_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    amendment: Amendment,
    principal: Principal = allowed("exceptions.override"),
) -> dict[str, Any]:
    """Either `order` or `payload`; what was there before stays readable."""
    order, payload = amendment.order, amendment.payload
    if (order is None) == (payload is None):
        raise Problem(
            422, "amend.nothing", "send the corrected order (held orders) or payload (dead letters), one of them"
        )
    return await amend_exception(
        context.flow,
        exception_id,
        principal,
        order=order,
        body=order_text(order) if order else None,
        payload=payload,
        reason=amendment.reason,
        expected_version=version,
    )


@router.post("/exceptions/{exception_id}:override", summary="Let the order pass in spite of its reasons")
async def override(
    exception_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    wanted: Override,
    principal: Principal = allowed("exceptions.override"),
) -> dict[str, Any]:
    """Overrides the named reason codes, or all that hold the order; the checks run again with them overridden."""
    return await override_exception(
        context.flow, exception_id, principal, codes=wanted.codes, reason=wanted.reason, expected_version=version
    )


@router.post("/exceptions/{exception_id}:reject", summary="Send the order back to its channel")
async def reject(
    exception_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    rejection: Rejection,
    principal: Principal = allowed("exceptions.work"),
) -> dict[str, Any]:
    """The order is rejected and the channel told why."""
    return await reject_exception(
        context.flow, exception_id, principal, reason=rejection.reason, expected_version=version
    )


@router.post("/exceptions/{exception_id}:resolve", summary="Close it with a root cause")
async def resolve(
    exception_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    resolution: Resolution,
    principal: Principal = allowed("exceptions.work"),
) -> dict[str, Any]:
    """What was to be done was done elsewhere; the reason says what. A dead letter stays, for replay or discard; a held order
    needs a decision instead."""
    return await resolve_exception(
        context.flow,
        exception_id,
        principal,
        reason=resolution.reason,
        root_cause=resolution.root_cause,
        expected_version=version,
    )


async def _locked(connection: Any, exception_id: UUID, principal: Principal, version: int | None) -> dict[str, Any]:
    found = await lock_exception(connection, exception_id, principal.entity_filter, version)
    if found is None:
        raise Problem(404, "not_found", f"there is no exception {exception_id}")
    return found


async def _audited(
    connection: Any,
    found: dict[str, Any],
    principal: Principal,
    action: str,
    reason: str | None,
    detail: dict[str, Any],
) -> None:
    entry = AuditEntry(
        principal.name, action, "exception", str(found["id"]), found["entity"], found["transaction_id"], reason, detail
    )
    await write_audit(connection, [entry])
