"""Bounds on what a caller may cost: the size of a body while it streams in, and the rate of requests of a principal."""

from __future__ import annotations

import time
from collections import OrderedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.api.problems import Problem

_BURST_SECONDS = 2.0
_PRINCIPALS = 10_000
BATCH_PATH = "/v1/orders:batch"


class BodyLimit:
    """Refuses a body that is larger than allowed, by its declared length or as soon as it has streamed in too far."""

    def __init__(self, app: ASGIApp, maximum: int, batch_maximum: int) -> None:
        self._app = app
        self._maximum = maximum
        self._batch_maximum = batch_maximum

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        maximum = self._batch_maximum if scope["path"] == BATCH_PATH else self._maximum
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > maximum:
            await _too_large(maximum).response(scope["path"])(scope, receive, send)
            return
        received = 0
        started = False

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > maximum:
                    raise _too_large(maximum)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, limited, watched)
        except Problem as problem:
            if started:
                raise
            await problem.response(scope["path"])(scope, receive, send)


def _too_large(maximum: int) -> Problem:
    return Problem(
        413,
        "body.too_large",
        f"the body is larger than {maximum} bytes; send less at once, or an NDJSON batch",
    )


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
