"""Counts and times every request by its operation, and marks every answer as nothing that may be cached or guessed at."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.api.context import Context

# no-store: answers hold keys and customers' data; nosniff: an answer is what its Content-Type says.
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Measurement:
    """Plain ASGI, outside everything else, so that refusals are counted too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            context: Context | None = getattr(scope["app"].state, "context", None)
            if context is not None:
                endpoint = scope.get("endpoint")
                # The function's name, not the path: paths are the caller's, and would make as many series as they like.
                operation = f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}" if endpoint else "none"
                seconds = time.perf_counter() - started
                context.metrics.requests.labels(scope["method"], operation, str(status)).observe(seconds)
