"""Where the measurements take place: a PostgreSQL of their own, servers in processes of their own, all gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from tallystick.store.embedded import leave_embedded, new_folder, start_embedded, with_database

PROGRAM = str(Path(sys.executable).with_name("tallystick"))
_START_SECONDS = 30
_STOP_SECONDS = 20


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one run, outside of every home; it goes when left."""
    folder = new_folder("tallystick-bench-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_server(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server with its data in `folder`; it is stopped when left."""
    data = folder / "postgresql"
    try:
        yield start_embedded(data)
    finally:
        leave_embedded(data)


@asynccontextmanager
async def scratch_database(server: str, name: str) -> AsyncIterator[str]:
    """The URL of an empty database on the server; it is dropped when left, with all that is in it."""
    await execute(server, f"create database {name}")
    try:
        yield with_database(server, name)
    finally:
        await execute(server, f"drop database {name} with (force)")


async def execute(url: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def starting(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """The id of a process that writes to `log`; it is stopped when left."""
    process = await _start(command, log, environment)
    try:
        yield process.pid
    finally:
        await _stop(process)


@asynccontextmanager
async def serving(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """The same for a server, once it listens on `port`. Raises RuntimeError with the end of the log when it does not come up."""
    process = await _start(command, log, environment)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not await _listens(port):
            if process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not listen: {_end_of(log)}")
            await asyncio.sleep(0.05)
        yield process.pid
    finally:
        await _stop(process)


async def _start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    with log.open("wb") as written:
        return await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
