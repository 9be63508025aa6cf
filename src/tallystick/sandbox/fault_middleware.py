"""Carries out the fault switches on the wire, as a pure ASGI middleware around a whole server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.sandbox.faults import Faults, OutageMode

CONTROL_PATH = "/faults"
ABORT = "tallystick.abort"
"""ASGI extension by which process.py lets a connection be cut without an answer."""

_GARBAGE = b'<html>\xff\xfe{"items": [{"status": 20'
_DRIP_STEPS = 20


class ConnectionCutError(Exception):
    """Raised instead of cutting the connection where the ASGI server has no connection to cut (in-process tests)."""


class FaultMiddleware:
    """Strikes requests as the switches say. Before the work: outage, latency, errors, throttles; the rest after it."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or scope["path"] == CONTROL_PATH:
            await self._app(scope, receive, send)
            return
        self._faults.count_request()
        if self._faults.idle:
            await self._app(scope, receive, send)
            return
        if not await self._strike_before(scope, send):
            await self._strike_after(scope, receive, send)

    async def _strike_before(self, scope: Scope, send: Send) -> bool:
        """Faults that keep the work from being done; True when one has answered."""
        faults, plan, path = self._faults, self._faults.plan, scope["path"]
        outage = faults.outage()
        if outage is OutageMode.REFUSED:  # a connection from before the window; new ones find nobody listening
            faults.count("outage_refused")
            await _cut(scope)
            return True
        if outage is OutageMode.UNAVAILABLE:
            faults.count("outage_unavailable")
            await _problem(send, 503, "outage window", retry_after=max(1, round(faults.outage_ends_in())))
            return True
        if faults.strikes("latency", plan.latency, path):
            await asyncio.sleep(faults.delay_seconds())
        if faults.strikes("errors", plan.errors, path):
            await _problem(send, plan.errors.status, "error switch; nothing was done")
            return True
        if faults.strikes("throttles", plan.throttles, path):
            await _problem(send, 429, "throttle switch", retry_after=plan.throttles.retry_after_seconds)
            return True
        return False

    async def _strike_after(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the work, then spoil its answer. The whole answer is kept first: half of one must be half of the real one."""
        faults, plan, path = self._faults, self._faults.plan, scope["path"]
        spoilt = [
            name
            for name, switch in (
                ("late_answers", plan.late_answers),
                ("drops", plan.drops),
                ("garbage", plan.garbage),
                ("half_answers", plan.half_answers),
                ("slow_drip", plan.slow_drip),
            )
            if faults.strikes(name, switch, path)
        ]
        if not spoilt:
            await self._app(scope, receive, send)
            return
        start, body = await _collect(self._app, scope, receive)
        if "late_answers" in spoilt:
            await asyncio.sleep(plan.late_answers.seconds)
        if "drops" in spoilt:
            await _cut(scope)
        elif "garbage" in spoilt:
            await _answer(send, 200, {b"content-type": b"application/json"}, _GARBAGE)
        elif "half_answers" in spoilt:
            await send(start)
            # Coming back with more announced makes the server close the connection behind what it has sent.
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        else:
            await _drip(send, start, body, plan.slow_drip.seconds if "slow_drip" in spoilt else 0.0)


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Run the app and keep its answer instead of sending it: the start message and the body."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    return start, bytes(body)


async def _drip(send: Send, start: Message, body: bytes, seconds: float) -> None:
    await send(start)
    size = max(1, len(body) // _DRIP_STEPS) if seconds else max(1, len(body))
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(seconds / len(chunks))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cut(scope: Scope) -> None:
    abort: Callable[[], Any] | None = scope.get("extensions", {}).get(ABORT, {}).get("call")
    if abort is None:
        raise ConnectionCutError("a fault switch cuts this connection")
    abort()
    await asyncio.sleep(0.01)  # let the server see the loss, or it would still try to answer


async def _problem(send: Send, status: int, title: str, retry_after: int | None = None) -> None:
    headers = {b"content-type": b"application/problem+json"}
    if retry_after is not None:
        headers[b"retry-after"] = str(retry_after).encode()
    body = f'{{"title": "Injected fault", "status": {status}, "detail": "{title}", "code": "sandbox.fault"}}'
    await _answer(send, status, headers, body.encode())


async def _answer(send: Send, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    length = {b"content-length": str(len(body)).encode()}
    await send({"type": "http.response.start", "status": status, "headers": list({**headers, **length}.items())})
    await send({"type": "http.response.body", "body": body, "more_body": False})
