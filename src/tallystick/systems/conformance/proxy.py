"""A loopback HTTP proxy that loses, delays and spoils answers, so that a connector meets real trouble with a real system."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

import h11
import httpx

RETRY_AFTER_SECONDS = 7
"""What the proxy's 429 and 503 ask for."""
_LONGEST_SILENCE_SECONDS = 60.0
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"content-length", b"host"}
)


class Fault(StrEnum):
    """What befalls a request. The `…_AFTER` ones reach the system: the work is done, its answer is spoilt."""

    THROTTLED = "throttled"
    """429 with Retry-After; the system sees nothing."""
    UNAVAILABLE = "unavailable"
    """503 with Retry-After; the system sees nothing."""
    LOST_AFTER = "lost_after"
    """The connection is closed instead of the answer."""
    SILENT_AFTER = "silent_after"
    """No answer until the caller gives up."""
    ERROR_AFTER = "error_after"
    """500 instead of the answer."""
    GARBAGE_AFTER = "garbage_after"
    """200 with bytes that mean nothing."""
    TRUNCATED_AFTER = "truncated_after"
    """Half of the answer, then the connection is closed."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class FaultProxy:
    """`async with FaultProxy(url) as proxy`: connect to `proxy.url` instead of `url`.

    Faults strike the requests that come after they are set; `requests` counts those.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = httpx.URL(upstream)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0
        self._fault: Fault | None = None
        self._at: int | None = None
        self.requests = 0

    @property
    def url(self) -> str:
        """Where to connect to: this proxy, with the path of the system's own URL."""
        return f"http://127.0.0.1:{self._port}{self._upstream.path}"

    def strike(self, fault: Fault, at: int | None = None) -> None:
        """From now on strike every request, or only the `at`-th from now (0 is the next); counting begins anew."""
        self._fault, self._at, self.requests = fault, at, 0

    def heal(self) -> None:
        """Let everything through; counting begins anew."""
        self._fault, self._at, self.requests = None, None, 0

    async def leave(self) -> None:
        """Nobody listens any more: connections are refused, open ones cut."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def __aenter__(self) -> Self:
        """Start listening on a free port."""
        self._client = httpx.AsyncClient(timeout=120, trust_env=False, follow_redirects=False)
        await self.come_back()
        if self._server is not None:
            self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and let go of all connections."""
        await self.leave()
        await self._client.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._serve_requests(h11.Connection(h11.SERVER), reader, writer)
        except (OSError, h11.RemoteProtocolError, httpx.HTTPError):
            pass  # either side is gone: cutting the connection, below, is what a proxy does then
        finally:
            writer.transport.abort()

    async def _serve_requests(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (received := await _receive(connection, reader)) is not None:
            request, body = received
            fault = self._fault if self._at in (None, self.requests) else None
            self.requests += 1
            reply = _refusal(fault) or await self._forward(request, body)
            if fault is Fault.LOST_AFTER:
                return
            if fault is Fault.SILENT_AFTER:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), _LONGEST_SILENCE_SECONDS)
                return
            await _send(connection, writer, _spoilt(reply, fault), truncated=fault is Fault.TRUNCATED_AFTER)
            if fault is Fault.TRUNCATED_AFTER or connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _forward(self, request: h11.Request, body: bytes) -> _Reply:
        headers = [(name, value) for name, value in request.headers if name not in _HOP_BY_HOP]
        url = self._upstream.copy_with(raw_path=request.target)
        sent = self._client.build_request(request.method.decode(), url, headers=headers, content=body)
        response = await self._client.send(sent, stream=True)
        try:
            raw = b"".join([chunk async for chunk in response.aiter_raw()])
        finally:
            await response.aclose()
        kept = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _HOP_BY_HOP]
        return _Reply(response.status_code, kept, raw)


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """The next whole request on a connection; None when the caller closed it."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            return None


def _refusal(fault: Fault | None) -> _Reply | None:
    """The proxy's own answer to a request that never reaches the system."""
    status = {Fault.THROTTLED: 429, Fault.UNAVAILABLE: 503}.get(fault) if fault else None
    if status is None:
        return None
    body = b'{"title": "Injected by the conformance kit"}'
    wait = str(RETRY_AFTER_SECONDS).encode()
    return _Reply(status, [(b"retry-after", wait), (b"content-type", b"application/problem+json")], body)


def _spoilt(reply: _Reply, fault: Fault | None) -> _Reply:
    if fault is Fault.ERROR_AFTER:
        return _Reply(500, [(b"content-type", b"text/plain")], b"Injected by the conformance kit")
    if fault is Fault.GARBAGE_AFTER:
        return _Reply(200, [(b"content-type", b"application/json")], b'<html>\xff\xfe{"items": [')
    return reply


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, reply: _Reply, *, truncated: bool) -> None:
    length = (b"content-length", str(len(reply.body)).encode())
    writer.write(connection.send(h11.Response(status_code=reply.status, headers=[*reply.headers, length])) or b"")
    body = reply.body[: len(reply.body) // 2] if truncated else reply.body
    writer.write(connection.send(h11.Data(data=body)) or b"")
    if not truncated:
        writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    if truncated:
        await asyncio.sleep(0.05)  # let the half go out before the connection is cut
