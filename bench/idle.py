"""What an installation costs while nothing happens: `tallystick run`, which is API and worker in one process, with all systems.

CPU time is that process's and its PostgreSQL server's together. A query is a transaction that the server counted in our database
(`pg_stat_database`): all that an idle installation asks are single statements, which are a transaction each, and the server's
own visits, such as autovacuum's, are counted with them. Who counts is connected to another database.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import asyncpg
from bench.intake import SETTINGS
from bench.processes import cpu_seconds, server_cpu_seconds, server_process
from bench.row import Place, Promise, Row
from bench.surroundings import PROGRAM, execute, scratch_database, serving

from tallystick.sandbox.loopback import free_port
from tallystick.settings import DATABASE_URL

_SETTLING_SECONDS = 15.0
_MOST_PERCENT = 1.0
_MOST_QUERIES = 20.0
_DATABASE = "bench_idle"
_COUNT = "select xact_commit + xact_rollback from pg_stat_database where datname = $1"


@dataclass(frozen=True, slots=True)
class Used:
    """Totals until now."""

    at: float
    process_cpu: float
    server_cpu: float
    queries: int


async def row(place: Place) -> Row:
    """The row of the table."""
    settling, seconds = (1.0, 2.0) if place.smoke else (_SETTLING_SECONDS, 60.0)
    port, settings = free_port(), place.folder / "idle.toml"
    settings.write_text(SETTINGS)
    async with scratch_database(place.server, _DATABASE) as url:
        command = [PROGRAM, "run", "--settings", str(settings), "--port", str(port)]
        async with serving(command, port, place.folder / "idle.log", {DATABASE_URL: url}) as pid:
            await asyncio.sleep(settling)
            await execute(place.server, "checkpoint")  # what other rows left to be written is theirs
            before = await _used(place.server, pid)
            await asyncio.sleep(seconds)
            after = await _used(place.server, pid)
    passed = after.at - before.at
    process = (after.process_cpu - before.process_cpu) / passed * 100
    server = (after.server_cpu - before.server_cpu) / passed * 100
    queries = (after.queries - before.queries) / passed * 60
    return Row(
        name="idle",
        what=f"API and worker in one process with its database, nothing to do, {passed:.0f} seconds",
        unit="% of one core",
        ours=process + server,
        promises=(
            Promise("% of one core, process and database server together", process + server, most=_MOST_PERCENT),
            Promise("queries a minute", queries, most=_MOST_QUERIES),
        ),
        notes=(f"{process:.2f} % in the process, {server:.2f} % in the database server",),
        detail={"process_percent": process, "server_percent": server, "queries_a_minute": queries},
    )


async def _used(server: str, pid: int) -> Used:
    process = await server_process(server)
    connection = await asyncpg.connect(server)
    try:
        queries = await connection.fetchval(_COUNT, _DATABASE)
    finally:
        await connection.close()
    return Used(time.monotonic(), cpu_seconds(pid), server_cpu_seconds(process), queries)
