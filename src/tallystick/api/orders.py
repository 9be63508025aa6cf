"""Orders: submit one, validate, change, cancel. The single order is the hot path, so it is plain Starlette."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import admit, allowed, guarded_router
from tallystick.api.conditional import ExpectedVersion
from tallystick.api.context import InContext, context_of
from tallystick.api.limits import check_values
from tallystick.api.problems import Problem, invalid_body
from tallystick.api.requests import check_json, check_parameters
from tallystick.api.transactions import visible
from tallystick.control.access import Principal, may
from tallystick.documents.order import Order
from tallystick.documents.values import Document, ShortText
from tallystick.stages.changes import cancel_order, change_order
from tallystick.stages.decision import checks_summary, reasons_of
from tallystick.stages.flow import Flow
from tallystick.stages.intake import IntakeAnswer, Submission
from tallystick.stages.waiting import wait_for_commitment
from tallystick.store.pool import JsonText

router = guarded_router("orders")
_ORDER = TypeAdapter(Order)
_LONGEST_KEY = 255
CREATE = "orders.create"


class Cancellation(Document):
    """Why an order is cancelled, for the warehouse and the ERP."""

    reason: ShortText | None = None


def parse_order(body: bytes) -> Order:
    """An order from JSON. Raises a 400, 413 or 422 problem that names the field."""
    check_values(body)
    try:
        return _ORDER.validate_json(body)
    except ValidationError as error:
        raise invalid_body(error) from None


def check_entity(order: Order, principal: Principal, flow: Flow, permission: str) -> None:
    """Refuse an order for an entity that the principal may not act for, or that is not set up; both look the same."""
    if not may(principal, permission, order.entity) or flow.entity(order.entity) is None:
        detail = f"entity: {principal.name} may not act for {order.entity!r}, or it is not set up; see [entities] in the settings"
        raise Problem(403, "entity.denied", detail, errors=[{"pointer": "/entity", "value": order.entity}])


def order_text(order: Order) -> JsonText:
    """An order as the JSON that is kept."""
    return JsonText(_ORDER.dump_json(order, exclude_none=True))


def submission_of(order: Order, principal: Principal, key: str | None) -> Submission:
    """The order as intake takes it."""
    # The hash is of the order as it was understood: spaces, or its fields in another order, don't make another order.
    text = order_text(order)
    return Submission(order, text, principal.name, hashlib.sha256(text).digest(), key)


def checked_key(request: Request) -> str | None:
    """The request's Idempotency-Key, if any. Raises a 422 problem when it is too long or not printable."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        raise Problem(
            422, "idempotency.invalid_key", f"Idempotency-Key: 1 to {_LONGEST_KEY} printable characters, please"
        )
    return key


def answer_word(answer: IntakeAnswer) -> str:
    """The answer in one word, for counting: accept, hold, reject, conflict or replayed."""
    if answer.replayed:
        return "replayed"
    return "conflict" if answer.status == 409 else str(answer.body["decision"])


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
        extra = {"transaction_id": str(answer.transaction_id) if answer.transaction_id else None}
        return Problem(409, answer.body["code"], answer.body["detail"], headers=headers, extra=extra)
    reasons = answer.body["reasons"]
    detail = "; ".join(each["message"] for each in reasons if each["decision"] == "reject")
    return Problem(422, "order.rejected", detail, headers=headers, extra=answer.body)


async def create_order(request: Request) -> Response:
    """Submit one order; the answer comes after the checks."""
    principal = await admit(request, CREATE)
    context = context_of(request)
    check_parameters(request, ())
    check_json(request)
    key = checked_key(request)
    order = parse_order(await request.body())
    check_entity(order, principal, context.flow, CREATE)
    answer = await context.batcher.submit(submission_of(order, principal, key))
    context.metrics.orders.labels(answer_word(answer)).inc()
    answer = await wait_for_commitment(context.flow, order.entity, answer)
    return answer_response(answer, request.url.path)


@router.post("/orders:validate", summary="Check an order without keeping it")
async def validate_order(
    context: InContext, request: Request, principal: Principal = allowed("orders.validate")
) -> dict[str, Any]:
    """Run all checks on an order; nothing is kept and nothing is committed."""
    order = parse_order(await request.body())
    check_entity(order, principal, context.flow, "orders.validate")
    decision, results = (await context.intake.validate([order]))[0]
    return {"decision": decision.value, "checks": checks_summary(results), "reasons": reasons_of(results)}


@router.put("/orders/{transaction_id}", summary="Change an order before it ships")
async def replace_order(
    transaction_id: UUID,
    context: InContext,
    request: Request,
    expected_version: ExpectedVersion,
    principal: Principal = allowed("orders.change"),
) -> Response:
    """Replace the order; it is checked anew. A change that the checks hold or reject leaves the order in force as it is."""
    async with context.flow.pool.acquire() as connection:
        await visible(connection, transaction_id, principal, "orders.change")
    body = await request.body()
    order = parse_order(body)
    check_entity(order, principal, context.flow, "orders.change")
    answer = await change_order(
        context.flow,
        transaction_id,
        order,
        order_text(order),
        expected_version=expected_version,
        principal=principal.name,
    )
    if answer["decision"] == "accept" or "revision" in answer:
        return json_response(answer)
    detail = "; ".join(each["message"] for each in answer["reasons"])
    raise Problem(422, f"order.change_{'held' if answer['decision'] == 'hold' else 'rejected'}", detail, extra=answer)


@router.post("/orders/{transaction_id}:cancel", summary="Cancel an order before it ships", status_code=202)
async def cancel(
    transaction_id: UUID,
    context: InContext,
    expected_version: ExpectedVersion,
    cancellation: Cancellation | None = None,
    principal: Principal = allowed("orders.cancel"),
) -> dict[str, Any]:
    """Ask for the cancellation; warehouse and ERP are asked in turn, and the sales side is told."""
    async with context.flow.pool.acquire() as connection:
        await visible(connection, transaction_id, principal, "orders.cancel")
    return await cancel_order(
        context.flow,
        transaction_id,
        expected_version=expected_version,
        reason=cancellation.reason if cancellation else None,
        principal=principal.name,
    )
