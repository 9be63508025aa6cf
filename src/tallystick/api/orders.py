"""Orders: submit one or a stream, validate, change, cancel. The single order is the hot path, so it is plain Starlette."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Body, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response, StreamingResponse

from tallystick.api.conditional import ExpectedVersion
from tallystick.api.context import InContext, allowed, authorise, context_of, identify
from tallystick.api.problems import Problem, as_problem, invalid_body
from tallystick.control.access import Principal, may
from tallystick.documents.order import Order
from tallystick.documents.values import ShortText
from tallystick.stages.changes import cancel_order, change_order
from tallystick.stages.flow import Flow
from tallystick.stages.intake import IntakeAnswer, Submission, checks_summary, reasons_of, submit_orders
from tallystick.stages.transactions import read_transactions
from tallystick.stages.waiting import wait_for_commitment

router = APIRouter(tags=["orders"])
_ORDER = TypeAdapter(Order)
_LONGEST_KEY = 255
_LINES_A_CHUNK = 200


def parse_order(body: bytes) -> Order:
    """An order from JSON. Raises a 400 or 422 problem that names the field."""
    try:
        return _ORDER.validate_json(body)
    except ValidationError as error:
        raise invalid_body(error) from None


def _entity_of(order: Order, principal: Principal, flow: Flow, permission: str) -> None:
    """Refuse an order for an entity that the principal may not act for, or that is not set up; both look the same."""
    if not may(principal, permission, order.entity) or flow.entity(order.entity) is None:
        detail = f"entity: {principal.name} may not act for {order.entity!r}, or it is not set up; see [entities] in the settings"
        raise Problem(403, "entity.denied", detail, errors=[{"pointer": "/entity", "value": order.entity}])


def order_data(order: Order) -> dict[str, Any]:
    """An order as the plain JSON data that is kept."""
    data: dict[str, Any] = orjson.loads(_ORDER.dump_json(order, exclude_none=True))
    return data


def _submission(order: Order, principal: Principal, key: str | None) -> Submission:
    # The hash is of the payload's meaning where it is JSON anyway: spaces or the order of fields don't make another order.
    data = order_data(order)
    digest = hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).digest()
    return Submission(order, data, principal.name, digest, key)


def _checked_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        raise Problem(
            422, "idempotency.invalid_key", f"Idempotency-Key: 1 to {_LONGEST_KEY} printable characters, please"
        )
    return key


def answer_response(answer: IntakeAnswer, instance: str) -> Response:
    """The HTTP form of intake's answer."""
    headers = {"Location": f"/v1/transactions/{answer.transaction_id}"} if answer.transaction_id else {}
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    if answer.status == 201:
        return Response(orjson.dumps(answer.body), 201, headers, "application/json")
    return answer_problem(answer, headers).response(instance)


def answer_problem(answer: IntakeAnswer, headers: dict[str, str] | None = None) -> Problem:
    """A rejected or conflicting order as a problem, with every reason."""
    if answer.status == 409:
        extra = {"transaction_id": answer.body.get("transaction_id")}
        return Problem(409, answer.body["code"], answer.body["detail"], headers=headers, extra=extra)
    reasons = answer.body["reasons"]
    detail = "; ".join(each["message"] for each in reasons if each["decision"] == "reject")
    return Problem(422, "order.rejected", detail, headers=headers, extra=answer.body)


async def create_order(request: Request) -> Response:
    """Submit one order; the answer comes after the checks."""
    try:
        principal = await identify(request)
        authorise(principal, "orders.create")
        context = context_of(request)
        if not request.headers.get("content-type", "application/json").startswith("application/json"):
            raise Problem(415, "body.media_type", "send the order as application/json")
        key = _checked_key(request)
        body = await request.body()
        order = parse_order(body)
        _entity_of(order, principal, context.flow, "orders.create")
        answer = await context.batcher.submit(_submission(order, principal, key))
        answer = await wait_for_commitment(context.flow, order.entity, answer)
        return answer_response(answer, request.url.path)
    except Problem as problem:
        return problem.response(request.url.path)


@router.post("/orders:validate", summary="Check an order without keeping it")
async def validate_order(
    context: InContext, request: Request, principal: Principal = allowed("orders.validate")
) -> dict[str, Any]:
    """Run all checks on an order; nothing is kept and nothing is committed."""
    order = parse_order(await request.body())
    _entity_of(order, principal, context.flow, "orders.validate")
    decision, results = (await context.intake.validate([order]))[0]
    return {"decision": decision.value, "checks": checks_summary(results), "reasons": reasons_of(results)}


@router.post("/orders:batch", summary="Submit many orders as NDJSON, an answer a line")
async def create_orders(
    context: InContext, request: Request, principal: Principal = allowed("orders.create")
) -> StreamingResponse:
    """Lines are answered in their order, in chunks, while the rest is still coming in; a bad line harms no other."""
    return StreamingResponse(
        _answers(context.flow, context.intake, request, principal), media_type="application/x-ndjson"
    )


async def _answers(flow: Flow, intake: Any, request: Request, principal: Principal) -> AsyncIterator[bytes]:
    number, chunk = 0, []
    try:
        async for line in _lines(request.stream(), flow.settings.server.maximum_body_bytes):
            number += 1
            if line.strip():
                chunk.append((number, line))
            if len(chunk) >= _LINES_A_CHUNK:
                yield await _answer_chunk(flow, intake, principal, chunk)
                chunk = []
    except Problem as problem:
        yield await _answer_chunk(flow, intake, principal, chunk)
        yield _line(number + 1, problem.status, {"code": problem.code, "detail": problem.detail, "stopped": True})
        return
    if chunk:
        yield await _answer_chunk(flow, intake, principal, chunk)


async def _lines(stream: AsyncIterator[bytes], longest: int) -> AsyncIterator[bytes]:
    rest = b""
    async for part in stream:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > longest:
            raise Problem(413, "line.too_large", f"a line is longer than {longest} bytes")
    if rest:
        yield rest


async def _answer_chunk(flow: Flow, intake: Any, principal: Principal, chunk: list[tuple[int, bytes]]) -> bytes:
    answers: dict[int, bytes] = {}
    ready: list[tuple[int, Submission]] = []
    for number, line in chunk:
        try:
            order = parse_order(line)
            _entity_of(order, principal, flow, "orders.create")
            # In a stream the order's own number is its key: sending the file again after a broken connection repeats nothing.
            key = f"batch:{order.entity}:{order.channel}:{order.order_number}"
            ready.append((number, _submission(order, principal, key)))
        except Problem as problem:
            body = {"code": problem.code, "detail": problem.detail, "errors": problem.errors}
            answers[number] = _line(number, problem.status, body)
    try:
        decided = await submit_orders(intake, [submission for _, submission in ready])
        for (number, _), answer in zip(ready, decided, strict=True):
            answers[number] = _line(
                number, answer.status, answer.body | ({"replayed": True} if answer.replayed else {})
            )
    except Exception as error:  # an answer a line, also when our side fails: nothing of this chunk was kept
        failed = as_problem(error)
        for number, _ in ready:
            answers[number] = _line(number, failed.status, {"code": failed.code, "detail": failed.detail})
    return b"".join(answers[number] for number, _ in chunk)


def _line(number: int, status: int, body: dict[str, Any]) -> bytes:
    return orjson.dumps({"line": number, "status": status, **body}, default=str) + b"\n"


async def _for_principal(flow: Flow, transaction_id: UUID, principal: Principal) -> None:
    async with flow.pool.acquire() as connection:
        found = await read_transactions(connection, [transaction_id])
    if transaction_id not in found or not may(principal, "transactions.read", found[transaction_id].entity):
        raise Problem(404, "not_found", f"there is no transaction {transaction_id}")


@router.put("/orders/{transaction_id}", summary="Change an order before it ships")
async def replace_order(
    transaction_id: UUID,
    context: InContext,
    request: Request,
    expected_version: ExpectedVersion,
    principal: Principal = allowed("orders.change"),
) -> Response:
    """Replace the order; it is checked anew. A change that the checks hold or reject leaves the order in force as it is."""
    await _for_principal(context.flow, transaction_id, principal)
    body = await request.body()
    order = parse_order(body)
    _entity_of(order, principal, context.flow, "orders.change")
    data = order_data(order)
    answer = await change_order(
        context.flow, transaction_id, order, data, expected_version=expected_version, principal=principal.name
    )
    if answer["decision"] == "accept" or "revision" in answer:
        return Response(orjson.dumps(answer), 200, media_type="application/json")
    detail = "; ".join(each["message"] for each in answer["reasons"])
    raise Problem(422, f"order.change_{'held' if answer['decision'] == 'hold' else 'rejected'}", detail, extra=answer)


@router.post("/orders/{transaction_id}:cancel", summary="Cancel an order before it ships", status_code=202)
async def cancel(
    transaction_id: UUID,
    context: InContext,
    expected_version: ExpectedVersion,
    reason: Annotated[ShortText | None, Body(embed=True)] = None,
    principal: Principal = allowed("orders.cancel"),
) -> dict[str, Any]:
    """Ask for the cancellation; warehouse and ERP are asked in turn, and the sales side is told."""
    await _for_principal(context.flow, transaction_id, principal)
    return await cancel_order(
        context.flow, transaction_id, expected_version=expected_version, reason=reason, principal=principal.name
    )
