"""Bounds on what a caller may cost: the size of a body while it streams in, the time of a request, the rate of a principal."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.api.problems import Problem

_BURST_SECONDS = 2.0
_PRINCIPALS = 10_000
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 100_000_000
BATCH_PATH = "/v1/orders:batch"
# Twice what the largest order can have. A body of a few MB can else hold millions of wrong values, and telling what is
# wrong with each takes many seconds.
_MOST_VALUES = 60_000


class Bounds:
    """Refuses bodies that are larger than allowed, as declared or as soon as they have streamed in too far, and requests that
    take too long. An NDJSON stream has its own size, and may last as long as something comes in now and then."""

    def __init__(self, app: ASGIApp, maximum: int, batch_maximum: int, seconds: float) -> None:
        self._app = app
        self._maximum = maximum
        self._batch_maximum = batch_maximum
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounded = _Bounded(receive, send, self._batch_maximum if scope["path"] == BATCH_PATH else self._maximum)
        try:
            _check_start(scope, bounded.maximum)
            if scope["path"] == BATCH_PATH:
                bounded.idle_seconds = self._seconds
                await self._app(scope, bounded.receive, bounded.send)
            else:
                async with asyncio.timeout(self._seconds):
                    await self._app(scope, bounded.receive, bounded.send)
        except Problem as problem:
            await bounded.refuse(problem, scope)
        except TimeoutError:
            await bounded.refuse(bounded.late(self._seconds), scope)
        await bounded.finish()


def _check_start(scope: Scope, maximum: int) -> None:
    """Refuse by the request's head what never needs its body."""
    for name, value in scope["headers"]:
        if name == b"content-length" and not (value.isdigit() and len(value) < 16 and int(value) <= maximum):
            raise _too_large(maximum)
    # PostgreSQL has no NUL in its texts, so nothing here is ever named with one.
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        raise Problem(400, "request.nul_character", "a NUL character (%00) in the address; leave it out")


class _Bounded:
    """One request's `receive` and `send`, counted and watched."""

    def __init__(self, receive: Receive, send: Send, maximum: int) -> None:
        self.maximum = maximum
        self.idle_seconds: float | None = None
        self._receive = receive
        self._send = send
        self._received = 0
        self._receiving = False
        self._ended = False
        self._lingers = False
        self._status: int | None = None

    async def receive(self) -> Message:
        self._receiving = True
        if self.idle_seconds is None:
            message = await self._receive()
        else:
            try:
                async with asyncio.timeout(self.idle_seconds):
                    message = await self._receive()
            except TimeoutError:
                raise self.late(self.idle_seconds) from None
        self._receiving = False
        self._ended = not message.get("more_body", False)
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self.maximum:
                raise _too_large(self.maximum)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        self._lingers = self._status == 413 and not self._ended
        await self._send({**message, "more_body": True} if self._lingers and "body" in message else message)

    async def finish(self) -> None:
        """Where a body was found too large, end the answer only when it has run out, for some seconds and megabytes: a connection
        that is closed on unread bytes is reset, and the client would never read what was wrong."""
        if not self._lingers:
            return
        rest = _LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while rest > 0 and (received := await self._receive()).get("more_body", False):
                    rest -= len(received.get("body", b""))
        await self._send({"type": "http.response.body", "body": b""})

    def late(self, seconds: float) -> Problem:
        if self._receiving:
            return Problem(408, "body.too_slow", f"nothing more came in for {seconds:g} s; send it again, faster")
        return Problem(
            503,
            "request.timeout",
            f"no answer within {seconds:g} s; it may still be done: look first, or send it again with the same Idempotency-Key",
            headers={"Retry-After": "5"},
        )

    async def refuse(self, problem: Problem, scope: Scope) -> None:
        if self._status is not None:
            raise problem  # too late to say it: the server cuts the connection, so that nobody takes a part for the whole
        await problem.response(scope["path"])(scope, self._receive, self.send)


def _too_large(maximum: int) -> Problem:
    return Problem(
        413,
        "body.too_large",
        f"the body is larger than {maximum} bytes; send less at once, or an NDJSON batch",
        headers={"Connection": "close"},
    )


def check_values(body: bytes) -> None:
    """Refuse a JSON body with absurdly many values, before it is parsed. Raises a 413 problem."""
    values = body.count(b",")
    if values > _MOST_VALUES:
        detail = f"the body has about {values} values, the most is {_MOST_VALUES}; an order has up to 2,000 lines: send several"
        raise Problem(413, "body.too_many_values", detail)


class RateLimiter:
    """A token bucket a principal, in this process."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._burst = max(1.0, per_second * _BURST_SECONDS)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, principal: str) -> float:
        """Take one token; the seconds to wait when there is none, else 0."""
        now = time.monotonic()
        tokens, at = self._buckets.pop(principal, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        granted = tokens >= 1.0
        self._buckets[principal] = (tokens - 1.0 if granted else tokens, now)
        if len(self._buckets) > _PRINCIPALS:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1.0 - tokens) / self._rate

    def check(self, principal: str) -> None:
        """Take one token, or raise a 429 problem that says when there will be one."""
        wait = self.take(principal)
        if wait > 0:
            detail = f"too many requests of {principal}; try again in {wait:.1f} s"
            raise Problem(429, "rate.exceeded", detail, headers={"Retry-After": str(math.ceil(wait))})
