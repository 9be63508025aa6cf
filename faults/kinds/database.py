"""Faults of the hub's PostgreSQL: stopped hard, cut off, its disk full, its schema migrated under traffic."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import asyncpg
from faults.kinds.fault import Fault, NotStruck
from faults.world import World

from tallystick.store.pool import Connection

_TABLES = ("transactions", "documents", "messages", "inbox", "exceptions", "lineage", "system_states", "promises")
_LOCK_TRIES = 20


async def stop_hard(world: World, chance: Random, how: str) -> str:
    """No checkpoint, no goodbye; it comes back after a while and recovers from its log."""
    world.database.held_down = True
    try:
        await world.database.stop_hard(signal.Signals[how])
        await asyncio.sleep(chance.uniform(0.2, 3))
        await world.database.start()
    finally:
        world.database.held_down = False
    return how


async def cut_connections(world: World, chance: Random, _: str) -> str:
    """Every connection is ended by the server, three times."""
    cut = 0
    for _again in range(3):
        cut += await world.database.cut_connections()
        await asyncio.sleep(chance.uniform(0.1, 0.8))
    return f"{cut} connections"


async def fill_disk(world: World, chance: Random, _: str) -> str:
    """Not a byte is left on the database's disk, for a while."""
    if world.disk is None:
        raise NotStruck(f"the database has no disk of its own: {world.no_disk}")
    taken = world.disk.fill()
    try:
        await asyncio.sleep(chance.uniform(2, 4))
    finally:
        world.disk.free()
    if not await world.database.is_up():
        await world.database.start()
    return f"{taken // 1_000_000} MB"


async def migrate(world: World, _chance: Random, _: str) -> str:
    """A newer version upgrades the schema while this one works: columns and an index more, the revision unknown to us.

    `tallystick db upgrade` runs first, as it does at each start. At the end all is taken back, for the next start to find.
    """
    program = str(Path(sys.executable).with_name("tallystick"))
    command = [program, "db", "upgrade", "-c", str(world.hub.settings_file)]
    done = await asyncio.to_thread(subprocess.run, command, env=world.hub.environment, capture_output=True, timeout=60)
    if done.returncode:
        raise NotStruck(f"tallystick db upgrade: {done.stderr.decode()[-300:]}")
    async with world.database.connected() as connection:
        revision = await connection.fetchval("select version_num from alembic_version")
        try:
            for table in _TABLES:
                await _patiently(connection, f"alter table {table} add column rehearsal text")
            await connection.execute("create index concurrently rehearsal_index on messages (kind)")
            await connection.execute("update alembic_version set version_num = 'rehearsal'")
            await asyncio.sleep(2)
        finally:
            await connection.execute("update alembic_version set version_num = $1", revision)
            await connection.execute("drop index concurrently if exists rehearsal_index")
            for table in _TABLES:
                await _patiently(connection, f"alter table {table} drop column if exists rehearsal")
    return f"{len(_TABLES)} columns and an index"


async def _patiently(connection: Connection, statement: str) -> None:
    """Run a statement that locks a table, giving way to who has it, as a careful migration does."""
    await connection.execute("set lock_timeout = '500ms'")
    for tries_left in reversed(range(_LOCK_TRIES)):
        try:
            await connection.execute(statement)
            break
        except asyncpg.LockNotAvailableError:
            if not tries_left:
                raise
            await asyncio.sleep(0.2)
    await connection.execute("set lock_timeout = 0")


FAULTS = (
    Fault("PostgreSQL stopped hard", stop_hard, ("SIGQUIT", "SIGKILL")),
    Fault("connections cut", cut_connections),
    Fault("disk full", fill_disk),
    Fault("migration under traffic", migrate),
)
