"""What a run says: a table for people, JSON for programs, and on which machine with which versions it was."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import asyncpg
from bench.row import Promise, Row, figure

_PACKAGES = (
    *("tallystick", "asyncpg", "fastapi", "httptools", "orjson", "pydantic", "starlette", "uvicorn", "uvloop"),
    *("dbos", "procrastinate", "psycopg", "sqlalchemy"),
)
_SERVER_SETTINGS = ("fsync", "synchronous_commit", "shared_buffers", "max_connections")
_WORDS = {True: "yes", False: "NO", None: "-"}


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
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def report(rows: Sequence[Row], where: Mapping[str, Any], measured_at: datetime, smoke: bool) -> dict[str, Any]:
    """Everything as plain data. `met` is false where any promise is broken or any row is missing; a promise that can't be judged
    here breaks nothing."""
    told = [asdict(row) | {"promises": [_told(each, where["cores"], smoke) for each in row.promises]} for row in rows]
    return {
        "measured_at": measured_at.astimezone(UTC).isoformat(timespec="seconds"),
        "smoke": smoke,
        "surroundings": where,
        "rows": told,
        "met": all(row.trouble is None for row in rows)
        and all(each["met"] is not False for row in told for each in row["promises"]),
    }


def _told(promise: Promise, cores: int, smoke: bool) -> dict[str, Any]:
    return asdict(promise) | {"met": promise.met(cores, smoke)}


def table(rows: Sequence[Row], where: Mapping[str, Any], smoke: bool) -> str:
    """The table: each promise with what was seen, and under each row what it is measured beside and what a sceptic asks next."""
    busy, fsync = where["load_average"][0], where["postgresql_settings"]["fsync"]
    cores = where["cores"]
    lines = [
        f"{cores} cores, {busy:g} of them busy before the run; Python {where['python']}, "
        f"PostgreSQL {where['postgresql']} with fsync {fsync}",
        "both sides of a row in turn on the same database server, medians of the rounds; only ratios mean anything elsewhere",
        *(["TINY SIZES: this shows that it runs, not how fast it is; no promise is judged"] if smoke else []),
        "",
        f"{'row':<13} {'promise':<60} {'seen':>9} {'bound':>9}  met",
    ]
    for row in rows:
        if row.trouble is not None:
            lines.append(f"{row.name:<13} NOT MEASURED: {row.trouble}")
            continue
        for name, promise in zip([row.name, *[""] * len(row.promises)], row.promises, strict=False):
            word = _WORDS[promise.met(cores, smoke)]
            lines.append(f"{name:<13} {promise.what:<60} {figure(promise.seen):>9} {promise.bound:>9}  {word}")
        others = "".join(f"; {each.name}: {figure(each.seen)}" for each in row.beside)
        lines += [f"    {row.what}", f"    {row.unit}: tallystick {figure(row.ours)}{others}"]
        lines += [f"    {note}" for note in row.notes]
    unjudged = sum(promise.met(cores, smoke) is None for row in rows for promise in row.promises)
    if unjudged and not smoke:
        lines += ["", f"-: promised for a machine with more cores than these {cores}, and not reached on this one"]
    return "\n".join(lines)
