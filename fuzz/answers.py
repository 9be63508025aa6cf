"""Targets: what connected systems answer, garbage and lies included; it becomes a value, or one of the five failures."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar

import httpx
import orjson

from fuzz.target import Target, split, text_of
from tallystick.api.examples import ORDER
from tallystick.documents.order import Order
from tallystick.store.pool import storable
from tallystick.systems.excerpts import MAXIMUM_CHARACTERS, excerpt, one_line
from tallystick.systems.failure import Failure, Transient, Unknown
from tallystick.systems.http import HttpClient, decode
from tallystick.systems.options import HttpOptions
from tallystick.systems.outcomes import MAXIMUM_RETRY_AFTER, parse_retry_after
from tallystick.systems.ports import OrderCommand, OrderCommitted, PriceQuery
from tallystick.systems.sandbox_erp.connector import SandboxErp
from tallystick.systems.tryton.jsonrpc import JsonRpc

Value = TypeVar("Value")
_LOOP = asyncio.new_event_loop()
_COMMAND = OrderCommand("TS-1", Order.model_validate(ORDER))
_ERP = SandboxErp("erp", HttpOptions.model_validate({"url": "http://erp.test"}))
_COMMITTED = {"number": "SO-1", "net_amount": 25488}
_CHANGE = {
    "kind": "credit",
    "key": "C-1",
    "changed_at": "2026-11-24T09:30:00Z",
    "value": {"customer_id": "C-1", "currency": "USD"},
}


def _answering(data: bytes) -> httpx.MockTransport:
    """A system that answers everything with this: a digit that chooses the status, Retry-After, and the body."""
    status, retry_after, body = split(data, 3)
    chosen = (200, 201, 302, 401, 409, 422, 429, 500, 503, 204)[int(status[:1]) if status[:1].isdigit() else 0]
    headers = [(b"retry-after", retry_after.replace(b"\r", b"").replace(b"\n", b""))] if retry_after else []
    return httpx.MockTransport(lambda _: httpx.Response(chosen, headers=headers, content=body))


async def _outcome(call: Awaitable[Value]) -> Value | Failure:
    """What a call returns; a failure must be one that can be kept and shown."""
    try:
        return await call
    except Failure as failure:
        _told(failure)
        return failure


def _told(failure: Failure) -> None:
    assert "\n" not in failure.message
    assert failure.retry_after is None or 0 <= failure.retry_after <= MAXIMUM_RETRY_AFTER
    failure.message.encode()  # health shows it as it is
    orjson.dumps(storable([failure.message, failure.code, failure.request, failure.response]))


def _http(data: bytes) -> None:
    async def attempt() -> None:
        client = HttpClient("erp", "http://erp.test", transport=_answering(data))
        read = await _outcome(client.read("/things"))
        assert not isinstance(read, Unknown)  # a read changes nothing, so its outcome is never in doubt
        written = await _outcome(client.write("/things", {"a": 1}))
        assert not isinstance(written, Failure) or type(written) is not Transient or written.response is not None
        for each in await client.write_batch("/things", [{"a": 1}, {"a": 2}]):
            if isinstance(each, Failure):
                _told(each)
        await client.close()

    _LOOP.run_until_complete(attempt())


def _erp(data: bytes) -> None:
    async def attempt() -> None:
        erp = _ERP
        erp._client = HttpClient("erp", "http://erp.test", transport=_answering(data))
        query = PriceQuery("C-1", ("P-1",), date(2026, 11, 24))
        reads: list[Callable[[], Awaitable[Any]]] = [
            lambda: erp.read_customers(["C-1"]),
            lambda: erp.read_prices([query]),
            lambda: erp.read_stock(["P-1"]),
            lambda: erp.read_credit(["C-1"]),
            lambda: erp.read_changes(None),
        ]
        for read in reads:
            assert not isinstance(await _outcome(read()), Unknown)
        for verify in (False, True):
            command = OrderCommand("TS-1", _COMMAND.order, verify=verify)
            for each in await erp.commit_orders([command]):
                if isinstance(each, OrderCommitted):
                    assert isinstance(each.erp_reference, str)
                    assert each.net_amount is None or type(each.net_amount) is int
                else:
                    _told(each)
        health = await erp.check_health()
        health.detail.encode()
        await erp.close()

    _LOOP.run_until_complete(attempt())


def _tryton(data: bytes) -> None:
    async def attempt() -> None:
        client = HttpClient("tryton", "http://tryton.test", transport=_answering(data))
        rpc = JsonRpc("tryton", client, "company")
        read = await _outcome(rpc.post("model.party.party.search_read", [], write=False, authorization=None))
        assert not isinstance(read, Unknown)
        await _outcome(rpc.post("model.sale.sale.create", [], write=True, authorization="Session x"))
        await client.close()

    _LOOP.run_until_complete(attempt())


def _retry_after(data: bytes) -> None:
    seconds = parse_retry_after(text_of(data))
    assert seconds is None or 0 <= seconds <= MAXIMUM_RETRY_AFTER


def _excerpt(data: bytes) -> None:
    for shown in (excerpt(data), excerpt(text_of(data)), excerpt({"password": text_of(data), "a": [text_of(data)]})):
        assert len(shown) <= MAXIMUM_CHARACTERS + 1
        assert not any(ord(each) < 9 or 0xD800 <= ord(each) <= 0xDFFF for each in shown)
    line = one_line(text_of(data))
    assert len(line) <= 300
    with contextlib.suppress(ValueError):
        decode(data)


def _items(*items: Any) -> bytes:
    return b"0\0\0" + json.dumps({"items": items}).encode()


def _result(value: Any) -> bytes:
    return b"0\0\0" + json.dumps({"id": 1, "result": value}).encode()


_ANSWERS = (
    _items({"status": 201, "body": {}}, {"status": 422, "body": {"title": "no"}}),
    _items({"status": 429, "headers": {"retry-after": [1]}}, {"status": True}),
    b"0\0\x001e99999999999999999999",
    b"0\0\0" + b"9" * 30,
    b"6\x00120\0",
    b"7\0\0<html>",
)
_ERP_ANSWERS = (
    _items({"status": 201, "body": _COMMITTED}),
    _items(_COMMITTED),
    _items([{"product_id": "P-1"}]),
    _items({"id": "C-1", "name": "x"}),
    b"0\0\0" + json.dumps({"items": [_CHANGE], "cursor": 1, "more": False}).encode(),
)
_TRYTON_ANSWERS = (
    _result([{"__class__": "Decimal", "decimal": "1.5"}]),
    _result({"__class__": "date", "year": 2026, "month": 2, "day": 30}),
    b'0\0\0{"error": ["UserError", ["no", "really"]]}',
    b'0\0\0{"error": ["UserWarning", ["n", "d", "e"]]}',
    b"8\x005\0x",
)
_PAUSES = (b"120", b"1e9", b"Tue, 24 Nov 2026 09:30:00 GMT", b"Mon, 1 Jan 99999999999 00:00:00 GMT")

TARGETS = (
    Target("http_answer", _http, _ANSWERS),
    Target("erp_answer", _erp, _ERP_ANSWERS),
    Target("tryton_answer", _tryton, _TRYTON_ANSWERS),
    Target("retry_after", _retry_after, _PAUSES),
    Target("excerpt", _excerpt, (b'{"token": "abc", "a": [1]}', b"password=abc; <token>abc</token>", b'"\\ud800"')),
)
