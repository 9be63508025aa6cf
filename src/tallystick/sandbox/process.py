"""Runs one sandbox server in this process: a port of its own that faults can close, and an end when its parent is gone."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallystick.sandbox.fault_middleware import ABORT
from tallystick.sandbox.faults import Faults, OutageMode


class CuttableProtocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with an ASGI extension that cuts the connection; ASGI itself has no way to say that."""

    def on_message_begin(self) -> None:
        """Called by the parser at the start of each request."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"call": self.transport.abort}}


class FaultyServer(uvicorn.Server):
    """A server that stops listening while an outage window says `refused`, and listens again on the same port after."""

    def __init__(self, config: uvicorn.Config, faults: Faults, listener: socket.socket) -> None:
        super().__init__(config)
        self._faults = faults
        self._address: tuple[str, int] = listener.getsockname()[:2]
        self._listening = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        refusing = self._faults.outage() is OutageMode.REFUSED
        if refusing and self._listening:
            self._stop_listening()
        elif not refusing and not self._listening:
            await self._listen_again()
        return await super().on_tick(counter)

    def _stop_listening(self) -> None:
        self._listening = False
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpToolsProtocol):
                connection.transport.abort()

    async def _listen_again(self) -> None:
        config = self.config

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = CuttableProtocol(config, self.server_state, self.lifespan.state)
            return made

        listening = await asyncio.get_running_loop().create_server(protocol, sock=listen(*self._address))
        self.servers = [listening]
        self._listening = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    listener.setblocking(False)
    return listener


def serve(app: FastAPI, listener: socket.socket, *, stop_with_parent: bool, announce: str) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is written to stdout as one line once the server listens.

    With `stop_with_parent`, stdin is a pipe from the parent; when it closes, however the parent died, this server stops.
    """
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        backlog=512,
    )
    server = FaultyServer(config, app.state.faults, listener)
    if stop_with_parent:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    sys.stdout.write(announce + "\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    while sys.stdin.buffer.read(1):
        pass
    server.should_exit = True
