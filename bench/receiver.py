"""A subscriber in this process: listens in the CRM's place, takes every piece of news, and knows when each came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import orjson

_LENGTH = b"content-length:"


@dataclass(slots=True)
class Receiver:
    """What came when: moments of `time.perf_counter` by order number and type of news."""

    url: str = ""
    came_at: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, body: bytes) -> bytes:
        """Keep when each item came; the answer to the request."""
        now = time.perf_counter()
        items = orjson.loads(body or b"{}").get("items", ())
        for each in items:
            self.came_at.setdefault((each["order_number"], each["event_type"]), now)
        return orjson.dumps({"items": [{"status": 201, "body": {"reference": each["event_id"]}} for each in items]})


class _Answering(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0] or 0):
            return
        self._received = b""
        answer = self._receiver.take(body)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        self._transport.write(head + answer)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A subscriber that listens until left."""
    receiver = Receiver()
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(receiver), "127.0.0.1", 0)
    async with server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield receiver
