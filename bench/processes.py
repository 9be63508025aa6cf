"""What processes use, as the kernel counts it: CPU time and memory, a database server's with all that it started."""

from __future__ import annotations

import os
from pathlib import Path

import asyncpg

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 11, 12, 13, 14
"""Places behind the name in /proc/PID/stat (proc(5) has them as 14 to 17)."""


def _stat(pid: int) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(each) for each in (fields[1], *fields[1:])]  # the state, a letter, is not asked for


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used until now, its own and the kernel's for it."""
    stat = _stat(pid)
    return (stat[_USER] + stat[_SYSTEM]) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Memory that a process has now, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1_000_000


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had, shared pages included."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1_000_000


async def server_process(url: str) -> int:
    """The first process of the PostgreSQL server at `url`, on this machine: the parent of whoever answers."""
    connection = await asyncpg.connect(url)
    try:
        return _stat(await connection.fetchval("select pg_backend_pid()"))[1]
    finally:
        await connection.close()


def server_cpu_seconds(pid: int) -> float:
    """CPU time of a PostgreSQL server: its own, that of the processes it has now, and that of those which ended."""
    stat = _stat(pid)
    ended = (stat[_CHILDREN_USER] + stat[_CHILDREN_SYSTEM]) / _TICKS
    return cpu_seconds(pid) + ended + sum(_cpu_or_nothing(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_or_nothing(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except OSError:  # it ended meanwhile
        return 0.0
