"""Processes that do the same work side by side: each says that it is ready, begins when told to, and ends with its stdin."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager


@asynccontextmanager
async def ready_processes(command: Sequence[str], count: int) -> AsyncIterator[list[Process]]:
    """So many processes of a command that are ready; they end when left. Raises RuntimeError when one does not come up."""
    processes = [await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE) for _ in range(count)]
    try:
        for each in processes:
            if each.stdout is None or await each.stdout.readline() != b"ready\n":
                raise RuntimeError(f"a process did not come up: {' '.join(command)}")
        yield processes
    finally:
        for each in processes:
            _stdin(each).close()
            await each.wait()


def tell_to_go(processes: Sequence[Process]) -> None:
    """Let processes that are ready begin."""
    for each in processes:
        _stdin(each).write(b"go\n")


def _stdin(process: Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise RuntimeError("the process has no stdin")
    return process.stdin


def say_ready_and_wait() -> None:
    """In such a process: until it is told to begin."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def wait_for_end() -> None:
    """In such a process: until its stdin ends."""
    sys.stdin.readline()
