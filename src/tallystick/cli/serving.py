"""`tallystick run` and `tallystick worker`: the server with a worker in it, and workers of their own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
import uvicorn

from tallystick.api.app import create_app
from tallystick.installation import open_flow
from tallystick.settings import Settings
from tallystick.stages.flow import Flow
from tallystick.stages.worker import keep_replicas_fresh, make_dispatcher

_log = structlog.get_logger("tallystick")
_STOP_SECONDS = 20.0


async def work(flow: Flow, stopping: asyncio.Event) -> None:
    """Run a worker on the flow until `stopping` is set; batches in hand are finished first."""
    dispatcher = make_dispatcher(flow, flow.pool)
    refreshing = asyncio.create_task(keep_replicas_fresh(flow))
    running = asyncio.create_task(dispatcher.run())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    dispatcher.stop()
    refreshing.cancel()
    waiting.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(running, _STOP_SECONDS)


def _opener(settings: Settings, with_worker: bool) -> Callable[[], AbstractAsyncContextManager[Flow]]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Flow]:
        async with open_flow(settings) as flow:
            stopping = asyncio.Event()
            worker = asyncio.create_task(work(flow, stopping)) if with_worker else None
            try:
                yield flow
            finally:
                stopping.set()
                if worker:
                    await worker

    return opened


def serve(settings: Settings, *, with_worker: bool = True) -> None:
    """Serve HTTP until a signal; with a worker in the same process unless told otherwise."""
    app = create_app(settings.server, _opener(settings, with_worker))
    uvicorn.run(
        app,
        host=settings.server.host,
        port=settings.server.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(_STOP_SECONDS),
        server_header=False,
    )


def run_worker(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM."""

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stopping.set)
        async with open_flow(settings) as flow:
            _log.info("worker_started", systems=sorted(flow.systems))
            await work(flow, stopping)

    asyncio.run(main())
