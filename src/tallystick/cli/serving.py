"""The server with a worker in it, and workers of their own: opened first, told to stop by a signal, ended in good order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn

from tallystick.api.app import create_app
from tallystick.cli.failure import CommandFailed
from tallystick.control.retention import keep_retention
from tallystick.installation import open_flow
from tallystick.settings import Settings, SettingsError
from tallystick.stages.flow import Flow
from tallystick.stages.worker import keep_replicas_fresh, make_dispatcher

_log = structlog.get_logger("tallystick")
_STOP_SECONDS = 20.0

Started = Callable[[Flow], Awaitable[None]]
"""Called once the work has begun."""


async def work(flow: Flow, stopping: asyncio.Event) -> None:
    """Run a worker on the flow until `stopping` is set; batches in hand are finished first."""
    dispatcher = make_dispatcher(flow, flow.pool)
    beside = (
        asyncio.create_task(keep_replicas_fresh(flow)),
        asyncio.create_task(keep_retention(flow.pool, flow.settings.retention)),
    )
    running = asyncio.create_task(dispatcher.run())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    dispatcher.stop()
    for each in (*beside, waiting):
        each.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(running, _STOP_SECONDS)


class _Server(uvicorn.Server):
    """A server that leaves signals to us. Uvicorn raises the signal it caught once more when it has stopped, which would end the
    process before the worker has finished its batches and the embedded database is stopped."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.when_started: Callable[[], Awaitable[None]] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Called by uvicorn around its life."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn to listen."""
        await super().startup(sockets)
        _collect_garbage_seldom()
        if self.started and self.when_started:
            await self.when_started()

    def stop(self) -> None:
        """Finish the requests in hand and end; at once when asked a second time."""
        self.force_exit = self.should_exit
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one. Raises SettingsError in one line when it can't be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"server: cannot listen on {host}:{port} ({error.strerror or error}); "
            "stop what listens there, or set server.port (or --port) to another"
        ) from None
    return bound


def serve(settings: Settings, listener: socket.socket, *, with_worker: bool, started: Started) -> None:
    """Serve HTTP until SIGINT or SIGTERM, with a worker in the same process if asked for. Raises SettingsError in one line."""

    config = uvicorn.Config(
        app="",  # made once its flow is open
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(_STOP_SECONDS),
        server_header=False,
    )

    async def main() -> None:
        server = _Server(config)
        with _signals(server.stop):
            async with open_flow(settings) as flow:
                config.app = create_app(settings.server, _handing(flow))
                server.when_started = functools.partial(started, flow)
                await _serve_and_work(server, listener, flow, with_worker)

    _run_fast(main())


async def _serve_and_work(server: _Server, listener: socket.socket, flow: Flow, with_worker: bool) -> None:
    """Both until the server is told to stop; the worker ends last. A worker that dies takes the server with it: a supervisor
    starts both again, while half an installation would look alive."""
    stopping = asyncio.Event()
    worker = asyncio.create_task(work(flow, stopping)) if with_worker else None
    if worker:
        worker.add_done_callback(lambda _: server.stop() if not stopping.is_set() else None)
    try:
        await server.serve([listener])
    finally:
        early = worker is not None and worker.done()
        stopping.set()
        if worker:
            await worker
    if early:
        raise CommandFailed("the worker stopped by itself; see the log above")


def _collect_garbage_seldom() -> None:
    """What is loaded by now stays for good, and is not gone through again; of the rest, what has been set free by its last user
    needs no collector. By Python's own measure it would stop every request for a tenth of a second, several times a minute."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _handing(flow: Flow) -> Callable[[], contextlib.AbstractAsyncContextManager[Flow]]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Flow]:
        yield flow

    return opened


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)
    try:
        yield
    finally:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)


def run_worker(settings: Settings, started: Started) -> None:
    """Work until SIGINT or SIGTERM. Raises SettingsError in one line."""

    async def main() -> None:
        stopping = asyncio.Event()
        with _signals(stopping.set):
            async with open_flow(settings) as flow:
                _collect_garbage_seldom()
                await started(flow)
                await work(flow, stopping)

    _run_fast(main())


def _run_fast(main: Coroutine[Any, Any, None]) -> None:
    """Run it on the loop that uvicorn takes for its servers: uvloop, where there is one."""
    # Without its logs: it sets them up for the whole process, and would undo what the server's own configuration says.
    with asyncio.Runner(loop_factory=uvicorn.Config(app="", log_config=None).get_loop_factory()) as runner:
        runner.run(main)
