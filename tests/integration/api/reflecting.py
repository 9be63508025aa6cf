"""Servers of somebody else's, for the tests of what we send out: one that notes all that it is told, one that nobody may call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI, Request, Response
from tests.integration.systems.sandbox_servers import serving


@dataclass(slots=True)
class Canary:
    """Nobody may call it; every connection is one too many."""

    url: str
    calls: list[str] = field(default_factory=list)


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    """A canary on a port of its own."""
    found = Canary("")

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.calls.append((await reader.read(1_000)).decode("latin-1"))
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    async with server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found


@dataclass(slots=True)
class Front:
    """A connected system: `answer` makes its answers, `asked` notes method, path and headers with body of each call."""

    answer: Callable[[Request, bytes], Response]
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Until it is asked once more."""
        self._came.clear()
        await self._came.wait()

    async def take(self, request: Request) -> Response:
        body = await request.body()
        told = "\n".join(f"{name}: {value}" for name, value in request.headers.items()) + "\n\n" + body.decode()
        self.asked.append((request.method, request.url.path, told))
        self._came.set()
        return self.answer(request, body)


@asynccontextmanager
async def front(answer: Callable[[Request, bytes], Response]) -> AsyncIterator[Front]:
    """A system on a port of its own that answers so."""
    found = Front(answer)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/{path:path}", found.take, methods=["GET", "POST", "PUT", "DELETE"])
    async with serving(app) as found.url:
        yield found
