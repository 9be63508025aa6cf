"""Cash over HTTP: bank files in, received lines and what became of them, and what people decide of those that are not sure."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import allowed, authorise, guarded_router
from tallystick.api.conditional import ExpectedVersion
from tallystick.api.context import InContext
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page
from tallystick.api.problems import Problem
from tallystick.books.cash.decisions import Acceptance, CashNotPossible, Decision, LineChanged, accept_line, refuse_line
from tallystick.books.cash.desk import CashDesk, CashRequest, SentFile
from tallystick.books.cash.kept import find_line, list_lines
from tallystick.control.access import Principal
from tallystick.documents.cash import CashShare
from tallystick.documents.money import Currency
from tallystick.documents.values import Document, Identifier, LongText, ShortText
from tallystick.stages.flow import Flow
from tallystick.systems.failure import Failure
from tallystick.systems.ports import Operation, Receivables

router = guarded_router("cash")
Content = Annotated[str, Field(max_length=100_000_000, description="The file's bytes in base64")]
_STATES = {
    "open": ("suggested", "unidentified"),
    "suggested": ("suggested",),
    "unidentified": ("unidentified",),
    "posting": ("posting",),
    "posted": ("posted",),
    "refused": ("refused",),
    "all": ("suggested", "unidentified", "posting", "posted", "refused"),
}


# The three ways to accept a line, as JSON Schema has them; each excludes the others.
_NO_CHOICE, _NOTHING = {"choice": {"type": "null"}}, {"allocations": {"maxItems": 0}}
_BY_CHOICE: dict[str, Any] = {"required": ["choice"], "properties": {"choice": {"type": "integer"}, **_NOTHING}}
_BY_HAND: dict[str, Any] = {
    "required": ["allocations"],
    "properties": {**_NO_CHOICE, "allocations": {"minItems": 1}},
}
_ON_ACCOUNT: dict[str, Any] = {
    "required": ["customer_id"],
    "properties": {**_NO_CHOICE, **_NOTHING, "customer_id": {"type": "string"}},
}


class CashFile(Document):
    """A bank's file, or one of remittance advices, as it came."""

    name: Annotated[ShortText, Field(min_length=1)]
    content: Content


class CashApplicationRequest(Document):
    """Files to apply to what the entity's ERP says is owed."""

    entity: Identifier = "default"
    files: Annotated[tuple[CashFile, ...], Field(min_length=1, max_length=200)]
    advices: Annotated[tuple[CashFile, ...], Field(max_length=200)] = ()
    account: ShortText | None = None
    """Our account, where a CSV file does not say it."""
    currency: Currency | None = None
    """The currency, where a CSV file does not say it."""
    post: bool = False
    """Keep the lines, have what is safe booked, and put the rest before people. Otherwise nothing is kept."""


class CashAllocation(CashShare):
    """What of a payment goes to one invoice of a customer, by a person's word."""

    customer_id: Identifier


class CashAcceptance(Document):
    """How a line is to be applied: a suggestion by its rank, or by hand; what is left stays on the customer's account."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_BY_CHOICE, _BY_HAND, _ON_ACCOUNT]})

    choice: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    allocations: Annotated[tuple[CashAllocation, ...], Field(max_length=500)] = ()
    customer_id: Identifier | None = None
    """Whose account the rest belongs on, where no invoice says it."""
    reason: LongText | None = None


class CashRefusal(Document):
    """Why a line is dealt with elsewhere."""

    reason: Annotated[LongText, Field(min_length=3, description="Why; it stands in the audit trail")]


@router.post("/cash/applications", summary="Apply bank files")
async def apply_cash(
    context: InContext, request: CashApplicationRequest, principal: Principal = allowed("cash.post")
) -> dict[str, Any]:
    """Every line's place, and with `post` the safe ones on their way to the ERP. The same lines again change nothing."""
    authorise(principal, "cash.post", request.entity)
    desk = _desk(context.flow, request.entity)
    wanted = CashRequest(
        entity=request.entity,
        files=tuple(_sent(each) for each in request.files),
        advices=tuple(_sent(each) for each in request.advices),
        account=request.account,
        currency=request.currency,
        post=request.post,
        by=principal.name,
    )
    try:
        return await desk.apply(wanted)
    except Failure as failure:
        raise Problem(503, "cash.erp_failed", f"what is owed could not be read: {failure.message}") from None


def _desk(flow: Flow, entity_name: str) -> CashDesk:
    entity = flow.entity(entity_name)
    if entity is None:
        raise Problem(422, "entity.unknown", f"there is no entity {entity_name!r}; the settings name them")
    erp = flow.systems.get(entity.erp)
    if erp is None or not isinstance(erp, Receivables) or Operation.READ_OPEN_ITEMS not in erp.capabilities.operations:
        raise Problem(409, "cash.not_supported", f"{entity.erp} can't say what is owed; apply to a file of open items")
    return CashDesk(flow.pool, flow.carrier, entity.erp, erp, entity.policy.exception_due_hours)


def _sent(file: CashFile) -> SentFile:
    try:
        return SentFile(file.name, b64decode(file.content, validate=True))
    except (binascii.Error, ValueError):
        raise Problem(422, "cash.not_encoded", f"{file.name}: its content is not base64") from None


@router.get("/cash/lines", summary="Received lines")
async def list_received(
    context: InContext,
    state: Literal["open", "suggested", "unidentified", "posting", "posted", "refused", "all"] = "open",
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("cash.read"),
) -> dict[str, Any]:
    """In the order in which they came; `open` are those that a person must decide."""
    async with context.flow.pool.acquire() as connection:
        items = await list_lines(
            connection,
            principal.entity_filter,
            states=_STATES[state],
            after=decode_cursor(cursor, UUID),
            limit=limit + 1,
        )
    return page(items, limit, lambda each: each["id"])


@router.get("/cash/lines/{line_id}", summary="One received line")
async def show(line_id: UUID, context: InContext, principal: Principal = allowed("cash.read")) -> Response:
    """With every way to apply it, its evidence, and what became of it."""
    async with context.flow.pool.acquire() as connection:
        found = await find_line(connection, line_id, principal.entity_filter)
    if found is None:
        raise _unknown(line_id)
    return json_response(found, version=found["version"])


@router.post("/cash/lines/{line_id}:accept", summary="Apply it")
async def accept(
    line_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    acceptance: CashAcceptance,
    principal: Principal = allowed("cash.decide"),
) -> Response:
    """By a suggestion, or by hand; it is booked in the ERP then."""
    if acceptance.choice is not None and acceptance.allocations:
        raise Problem(422, "cash.two_ways", "send the choice of a suggestion, or allocations by hand, not both")
    if acceptance.choice is None and not acceptance.allocations and acceptance.customer_id is None:
        raise Problem(
            422, "cash.no_way", "send the choice of a suggestion, allocations, or the customer whose account it is"
        )
    wanted = Acceptance(
        acceptance.choice,
        tuple(
            {
                "customer_id": each.customer_id,
                "number": each.invoice_number,
                "amount": each.amount,
                "discount": each.discount,
            }
            for each in acceptance.allocations
        ),
        acceptance.customer_id,
    )
    flow = context.flow
    erps = {name: each.erp for name, each in flow.settings.entities.items()}
    decision = Decision(line_id, principal, version, acceptance.reason)
    try:
        done = await accept_line(flow.pool, flow.carrier, erps, decision, wanted)
    except (CashNotPossible, LineChanged) as error:
        raise _refused(error) from None
    return _answer(line_id, done)


@router.post("/cash/lines/{line_id}:refuse", summary="Deal with it elsewhere")
async def refuse(
    line_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    refusal: CashRefusal,
    principal: Principal = allowed("cash.decide"),
) -> Response:
    """Nothing of it is booked from here."""
    try:
        done = await refuse_line(context.flow.pool, Decision(line_id, principal, version, refusal.reason))
    except (CashNotPossible, LineChanged) as error:
        raise _refused(error) from None
    return _answer(line_id, done)


def _answer(line_id: UUID, done: dict[str, Any] | None) -> Response:
    if done is None:
        raise _unknown(line_id)
    version = done.pop("version")
    return json_response(done, version=version)


def _refused(error: CashNotPossible | LineChanged) -> Problem:
    if isinstance(error, LineChanged):
        return Problem(412, "version.changed", str(error))
    return Problem(409, error.code, str(error))


def _unknown(line_id: UUID) -> Problem:
    return Problem(404, "not_found", f"there is no received line {line_id}")
