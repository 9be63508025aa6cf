"""Targets: what callers of the API send, in bodies, headers and parameters."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from fuzz.target import Target, split, text_of
from tallystick.api.conditional import _version
from tallystick.api.events import BATCH, STRUCTURED, parse_events, verified_sources
from tallystick.api.examples import BODIES, EVENT, ORDER
from tallystick.api.order_stream import _lines
from tallystick.api.orders import checked_key, order_text, parse_order
from tallystick.api.pagination import decode_cursor, encode_cursor, position_in
from tallystick.api.problems import Problem
from tallystick.api.requests import check_json, check_parameters
from tallystick.api.schemas import SCHEMAS
from tallystick.settings import parse_settings
from tallystick.stages.references import transaction_of

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - made up for this
_SETTINGS = parse_settings(
    {"systems": {"wms": {"kind": "sandbox_wms", "event_source": "/systems/wms", "event_secret": _SECRET}}}
)
_KINDS: dict[str, Callable[[Any], Any]] = {"uuid": UUID, **{each: position_in(each) for each in ("due", "money")}}
_ORDER, _EVENT = json.dumps(ORDER).encode(), json.dumps(EVENT).encode()


def _refused(problem: Problem, *statuses: int) -> None:
    """A refusal must be one that is promised, and its document must be JSON that can be sent."""
    assert problem.status in statuses, problem
    json.loads(bytes(problem.response("/v1/here").body))


def _order(data: bytes) -> None:
    try:
        order = parse_order(data)
    except Problem as problem:
        return _refused(problem, 400, 413, 422)
    text = order_text(order)
    assert order_text(parse_order(text)) == text  # what we keep reads as what we read
    assert 0 <= order.net_amount + (order.tax_amount or 0) <= 10**15


def _stream(data: bytes) -> None:
    size, body = (data[0] if data else 0) + 1, data[1:]

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def lines() -> list[bytes]:
        return [line async for line in _lines(parts(), longest=200)]

    try:
        found = asyncio.run(lines())
    except Problem as problem:
        return _refused(problem, 413)
    assert b"\n".join(found) == body.removesuffix(b"\n")


def _events(data: bytes) -> None:
    for media_type in (STRUCTURED, BATCH, text_of(data[:40])):
        try:
            for event in parse_events(media_type, data):
                json.dumps(event.model_dump(mode="json"), ensure_ascii=False).encode()
        except Problem as problem:
            _refused(problem, 400, 413, 415, 422)


def _signature(data: bytes) -> None:
    identifier, at, signature, body = split(data, 4)
    headers = {"webhook-id": identifier, "webhook-timestamp": at, "webhook-signature": signature}
    now = datetime.now(UTC)
    try:
        said = {name: value.decode("latin-1") for name, value in headers.items()}
        verified_sources(_SETTINGS, said, body)
    except Problem as problem:
        return _refused(problem, 401)
    good = Webhook(_SECRET).sign(said["webhook-id"], now, body.decode())
    assert good.partition(",")[2] in said["webhook-signature"]  # whoever gets in has the secret


def _cursor(data: bytes) -> None:
    for kind in _KINDS.values():
        try:
            value = decode_cursor(text_of(data), kind)
        except Problem as problem:
            _refused(problem, 422)
        else:
            if isinstance(value, UUID):
                assert decode_cursor(encode_cursor(value), UUID) == value


def _if_match(data: bytes) -> None:
    try:
        version = _version(data.decode("latin-1"))
    except Problem as problem:
        return _refused(problem, 400, 428)
    assert version == -1 or data.strip(b" \t") == f'"{version}"'.encode()


def _head(data: bytes) -> None:
    query, key, media_type = split(data, 3)
    headers = [(b"idempotency-key", key), (b"content-type", media_type)]
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": headers})
    checks: list[Callable[[], object]] = [
        lambda: check_parameters(request, ("limit",)),
        lambda: checked_key(request),
        lambda: check_json(request),
    ]
    for check in checks:
        try:
            check()
        except Problem as problem:
            _refused(problem, 415, 422)


def _documents(data: bytes) -> None:
    for kind in SCHEMAS.values():
        try:
            made = kind.model_validate_json(data)
        except ValidationError:
            continue
        again = kind.model_validate_json(made.model_dump_json())
        assert again == made


def _reference(data: bytes) -> None:
    found = transaction_of(text_of(data))
    assert found is None or re.search(rb"[0-9a-fA-F]", data)


TARGETS = (
    Target("order", _order, (_ORDER, _ORDER.replace(b'"12"', b"1e2"), b"[]", b'{"lines": [{}]}')),
    Target("stream", _stream, (b"\x05" + _ORDER + b"\n\n{}\r\n", b"\x00a\nb")),
    Target("events", _events, (_EVENT, b"[" + _EVENT + b"]", b'{"specversion":"1.0"}')),
    Target(
        "signature",
        _signature,
        (b"msg_1\x001795600000\x00v1,AAAA v2,b\x00{}", b"m\x00nan\x00v1,\x00", b"m\x001e400\x00,"),
    ),
    Target(
        "cursor", _cursor, (encode_cursor(UUID(int=7)).encode(), encode_cursor(["money", 5, str(UUID(int=7))]).encode())
    ),
    Target("if_match", _if_match, (b'"3"', b'"3"\x1c', b'W/"3"', b"*", b'"a", "b"', b'"' + b"9" * 30 + b'"')),
    Target("head", _head, (b"limit=1&limit=2\x00key\x00application/json;charset=x", b"%ff%00=\x00\xff\x00text/plain")),
    Target("documents", _documents, tuple(json.dumps(each).encode() for each in BODIES.values())),
    Target("reference", _reference, (b"TS-" + b"0" * 32, b"urn:uuid:" + b"a" * 32, b"{}")),
)
