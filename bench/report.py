"""What a run says: a table for people, JSON for programs, and on which machine with which versions it was."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import asyncpg
from bench.rows import Row

_PACKAGES = ("tallystick", "asyncpg", "fastapi", "httptools", "orjson", "pydantic", "starlette", "uvicorn", "uvloop")
_SERVER_SETTINGS = ("fsync", "synchronous_commit", "shared_buffers", "max_connections")


async def surroundings(server: str) -> dict[str, Any]:
    """The machine and the versions."""
    connection = await asyncpg.connect(server)
    try:
        postgresql = await connection.fetchval("show server_version")
        settings = {name: await connection.fetchval(f"show {name}") for name in _SERVER_SETTINGS}
    finally:
        await connection.close()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "machine": f"{platform.system()} {platform.machine()}",
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "python": platform.python_version(),
        "postgresql": postgresql,
        "postgresql_settings": settings,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def report(rows: Sequence[Row], where: dict[str, Any], measured_at: datetime, smoke: bool) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "measured_at": measured_at.astimezone(UTC).isoformat(timespec="seconds"),
        "smoke": smoke,
        "surroundings": where,
        "rows": [asdict(row) | {"ratio": round(row.ratio, 3), "met": row.met} for row in rows],
        "met": all(row.met for row in rows),
    }


def table(rows: Sequence[Row], where: dict[str, Any], smoke: bool) -> str:
    """The table, each row with what it is measured beside and what a sceptic asks next."""
    busy, fsync = where["load_average"][0], where["postgresql_settings"]["fsync"]
    versions = f"Python {where['python']}, PostgreSQL {where['postgresql']} with fsync {fsync}"
    lines = [
        f"{where['cores']} cores, {busy:g} of them busy before the run; {versions}",
        "both sides in turn on the same database server, medians of the rounds; only the ratio means anything elsewhere",
        *(["TINY SIZES: this shows that it runs, not how fast it is"] if smoke else []),
        "",
        f"{'row':<10} {'tallystick':>12} {'bare':>12} {'unit':<11} {'ratio':>6} {'target':>7}  met",
    ]
    for row in rows:
        met = "yes" if row.met else "NO"
        figures = f"{row.ours:>12,.0f} {row.bare:>12,.0f} {row.unit:<11} {row.ratio:>6.2f} {row.target:>6.2f}+  {met}"
        lines += [f"{row.name:<10} {figures}", f"           {row.what}", f"           bare: {row.beside}"]
        lines += [f"           {note}" for note in row.notes]
    return "\n".join(lines)
