"""An answer that streams out while its request still streams in, at whatever pace the client reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_IN_MEMORY = 4_000_000
_PART = 65_536


class _Spool:
    """Bytes written by one task and read by another; in memory up to a bound, on disk beyond it."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by close()
        self._written = self._read = 0
        self._ended = False
        self._more = asyncio.Event()

    def write(self, part: bytes) -> None:
        self._file.seek(self._written)
        self._file.write(part)
        self._written += len(part)
        self._more.set()

    def end(self) -> None:
        self._ended = True
        self._more.set()

    async def read(self) -> bytes:
        """The next part; empty at the end."""
        while self._read == self._written and not self._ended:
            self._more.clear()
            await self._more.wait()
        self._file.seek(self._read)
        part = self._file.read(_PART)
        self._read += len(part)
        return part

    def close(self) -> None:
        self._file.close()


class Conversation(Response):
    """Sends what `answers` yields. Many clients write their whole request before they read the first answer, so answers
    are spooled and never hold up the reading: else both sides would wait for each other with full buffers for ever.

    (Starlette's own streaming response reads the request itself, to notice a client that leaves, and swallows what it reads.)
    """

    def __init__(self, answers: AsyncIterator[bytes], media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        spool = _Spool()
        working = asyncio.create_task(self._work(spool))
        try:
            while part := await spool.read():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await working
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            working.cancel()
            await asyncio.wait([working])
            spool.close()

    async def _work(self, spool: _Spool) -> None:
        try:
            async for part in self._answers:
                spool.write(part)
        finally:
            spool.end()
