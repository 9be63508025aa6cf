"""Counts, times and traces every request by its operation, and marks every answer as nothing to be cached or guessed at."""

from __future__ import annotations

import time

from opentelemetry.context import Context as TraceContext
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, get_tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.api.context import Context

# no-store: answers hold keys and customers' data; nosniff: an answer is what its Content-Type says.
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_tracer = get_tracer("tallystick.api")


class Measurement:
    """Plain ASGI, outside everything else, so that refusals are counted too.

    A request that comes with W3C trace context goes on in that trace, and so do the calls that it makes of our systems.
    """

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

        with _tracer.start_as_current_span(scope["method"], _trace_of(scope), SpanKind.SERVER) as span:
            try:
                await self._app(scope, receive, marked)
            finally:
                operation = _operation_of(scope)
                span.update_name(f"{scope['method']} {operation}")
                span.set_attributes({"http.request.method": scope["method"], "http.response.status_code": status})
                context: Context | None = getattr(scope["app"].state, "context", None)
                if context is not None:
                    seconds = time.perf_counter() - started
                    context.metrics.requests.labels(scope["method"], operation, str(status)).observe(seconds)


def _operation_of(scope: Scope) -> str:
    # The function's name, not the path: paths are the caller's, and would make as many series as they like.
    endpoint = scope.get("endpoint")
    return f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}" if endpoint else "none"


def _trace_of(scope: Scope) -> TraceContext | None:
    """The caller's trace; None where it names none. Baggage stays behind: it is the caller's, and not our systems' to see."""
    wanted = (b"traceparent", b"tracestate")
    found = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted}
    return extract(found) if found else None
