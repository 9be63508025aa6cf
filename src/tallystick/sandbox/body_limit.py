"""Refuses bodies that are too large before they fill the memory, whether they announce their length or not."""

from __future__ import annotations

import orjson
from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAXIMUM_BODY_BYTES = 64_000_000
_REFUSAL = {
    "title": "Refused",
    "status": 413,
    "code": "sandbox.body_too_large",
    "detail": f"a body may have {MAXIMUM_BODY_BYTES} bytes; send smaller batches",
}


class BodyLimitMiddleware:
    """Answers 413 when a body is longer than MAXIMUM_BODY_BYTES."""

    def __init__(self, app: ASGIApp, maximum: int = MAXIMUM_BODY_BYTES) -> None:
        self._app = app
        self._maximum = maximum

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._maximum:
            await _refuse(send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._maximum:
                raise HTTPException(413, _REFUSAL)  # the app is reading the body, and answers with it
            return message

        await self._app(scope, counted, send)


async def _refuse(send: Send) -> None:
    # The rest of the body is not read, so the connection cannot be used again.
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(_REFUSAL), "more_body": False})
