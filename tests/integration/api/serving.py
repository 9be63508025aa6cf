"""The installation behind a real server on a port of its own, for what only sockets show."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from tests.integration.api.installation import Served


@asynccontextmanager
async def listening(installation: Served) -> AsyncIterator[str]:
    """Yields the server's URL."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, so that asyncio sends small answers at once
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(installation.app, lifespan="off", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await running


async def exchange(url: str, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Write raw bytes piece by piece, and return all that the server says until it closes; at most ten seconds."""
    host, port = url.removeprefix("http://").split(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass  # cut off in the middle: what was said before that is what counts
        answer = await reader.read()
        writer.close()
        return answer
