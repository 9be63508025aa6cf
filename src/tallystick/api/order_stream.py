"""Many orders as NDJSON, an answer a line: a chunk is decided while the next comes in, and a bad line harms no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.batching import submit_apart
from tallystick.api.context import Context, InContext
from tallystick.api.conversation import Conversation
from tallystick.api.orders import answer_word, check_entity, checked_key, parse_order, submission_of
from tallystick.api.problems import Problem, as_problem
from tallystick.control.access import Principal
from tallystick.stages.intake import Submission

router = guarded_router("orders")
MEDIA_TYPE = "application/x-ndjson"
_MEDIA_TYPES = (MEDIA_TYPE, "application/ndjson", "application/jsonl")
_LINES_A_CHUNK = 200


@router.post(
    "/orders:batch",
    summary="Submit many orders as NDJSON, an answer a line",
    status_code=200,
    response_class=Response,
)
async def create_orders(
    context: InContext, request: Request, principal: Principal = allowed("orders.create")
) -> Response:
    """Each answer has its line's number and the status that the order would have had alone, in the order of the lines.

    In a stream an order's own number is its key, within the request's Idempotency-Key if it has one: sending a file again
    after a broken connection repeats nothing; sent under another Idempotency-Key, rejected orders are judged anew.
    """
    media_type = request.headers.get("content-type", MEDIA_TYPE).partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise Problem(415, "body.media_type", f"send orders as {MEDIA_TYPE}, one a line")
    door = _Door(context, principal, checked_key(request) or "")
    return Conversation(_answers(door, request), MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class _Door:
    """Who sends this stream, and under which key."""

    context: Context
    principal: Principal
    key: str


async def _answers(door: _Door, request: Request) -> AsyncIterator[bytes]:
    longest = door.context.flow.settings.server.maximum_body_bytes
    number = 0
    chunk: list[tuple[int, bytes]] = []
    try:
        async for line in _lines(request.stream(), longest):
            number += 1
            if line.strip():
                chunk.append((number, line))
            if len(chunk) >= _LINES_A_CHUNK:
                yield await _answer_chunk(door, chunk)
                chunk = []
    except ClientDisconnect:
        return  # whole lines that came in before are kept; nobody is there to be told
    except Problem as problem:
        yield await _answer_chunk(door, chunk)
        yield _line(number + 1, problem.status, {"code": problem.code, "detail": problem.detail, "stopped": True})
        return
    if chunk:
        yield await _answer_chunk(door, chunk)


async def _lines(stream: AsyncIterator[bytes], longest: int) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for part in stream:
        *whole, last = part.split(b"\n")
        for line in whole:
            rest += line
            yield bytes(rest)
            rest.clear()
        rest += last
        if len(rest) > longest:
            raise Problem(413, "line.too_large", f"a line is longer than {longest} bytes")
    if rest:
        yield bytes(rest)


async def _answer_chunk(door: _Door, chunk: list[tuple[int, bytes]]) -> bytes:
    context, principal = door.context, door.principal
    answers: dict[int, bytes] = {}
    ready: list[tuple[int, Submission]] = []
    for number, line in chunk:
        try:
            order = parse_order(line)
            check_entity(order, principal, context.flow, "orders.create")
            key = f"batch:{door.key}:{order.entity}:{order.channel}:{order.order_number}"
            ready.append((number, submission_of(order, principal, key)))
        except Problem as problem:
            answers[number] = _refusal(number, problem)
    decided = await submit_apart(context.intake, [submission for _, submission in ready])
    for (number, _), answer in zip(ready, decided, strict=True):
        if isinstance(answer, Exception):
            answers[number] = _refusal(number, as_problem(answer))
            continue
        context.metrics.orders.labels(answer_word(answer)).inc()
        answers[number] = _line(number, answer.status, answer.body | ({"replayed": True} if answer.replayed else {}))
    return b"".join(answers[number] for number, _ in chunk)


def _refusal(number: int, problem: Problem) -> bytes:
    return _line(number, problem.status, {"code": problem.code, "detail": problem.detail, "errors": problem.errors})


def _line(number: int, status: int, body: dict[str, Any]) -> bytes:
    return orjson.dumps({"line": number, "status": status, **body}, default=str) + b"\n"
