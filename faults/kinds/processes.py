"""Faults of the hub's own processes: killed at any moment or at a named point, stopped past a lease, restarted in turn."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from random import Random

from faults.kinds.fault import Fault, NotStruck
from faults.kinds.provoking import provoke
from faults.waiting import eventually
from faults.world import APIS, MOVABLE_CLOCKS, WORKERS, World

from tallystick.store.crash_points import CRASH_POINTS, WRITES

_PROGRAMS = tuple(
    f"{program}-{number}" if number > 1 else program
    for program, count in (("api", APIS), ("worker", WORKERS))
    for number in range(1, count + 1)
)
_TAKING_SECONDS = 40.0
"""Beyond its lease; the database ends a transaction in which a process was stopped after half a minute."""
_FENCED_SECONDS = 15.0
_ENDING_SECONDS = 35.0
_NAPS_AT = (
    "commitment.commit_order",
    "fulfilment.record_shipment",
    "invoicing.invoice_shipment",
    "publication.publish",
)


async def kill(world: World, chance: Random, program: str) -> str:
    """kill -9, whatever it is at; the supervisor starts it again."""
    await asyncio.sleep(chance.uniform(0, 0.5))
    world.supervisor.send(program, signal.SIGKILL)
    return program


async def kill_all_workers(world: World, _chance: Random, _: str) -> str:
    """kill -9 of every worker at once."""
    for program in _PROGRAMS:
        if program.startswith("worker"):
            world.supervisor.send(program, signal.SIGKILL)
    return "all workers"


async def kill_at_point(world: World, chance: Random, point: str) -> str:
    """kill -9 of whoever comes by a named crash point first."""
    armed = world.crash_folder / point
    armed.write_text("SIGKILL", encoding="ascii")
    provoking = asyncio.create_task(provoke(world, chance, point))
    try:
        if not await eventually(lambda: not armed.exists(), world.options.armed_seconds):
            raise NotStruck(f"{point}: nobody came by in {world.options.armed_seconds:.0f} s")
    finally:
        armed.unlink(missing_ok=True)
        world.under_way.add(provoking)
        provoking.add_done_callback(world.under_way.discard)
    world.struck_points[point] += 1
    return point


async def pause(world: World, chance: Random, program: str) -> str:
    """SIGSTOP in the middle of anything, longer than a lease, then SIGCONT."""
    world.supervisor.send(program, signal.SIGSTOP)
    try:
        await asyncio.sleep(world.options.lease_seconds + chance.uniform(0.5, 2))
    finally:
        world.supervisor.send(program, signal.SIGCONT)
    return program


async def nap_with_work_in_hand(world: World, _chance: Random, write: str) -> str:
    """A worker is stopped after its outside write and before its commit, till another has taken its messages; then woken."""
    armed = world.crash_folder / f"{write}.after_write"
    armed.write_text("SIGSTOP", encoding="ascii")
    try:
        program = await _who_stops(world)
    finally:
        armed.unlink(missing_ok=True)
    process = world.hub.process(program)
    try:
        held = await _held_by(world, process.pid)
        taken = bool(held) and await _taken_by_others(world, held, process.pid)
        warned = _fenced(world, program)
    finally:
        world.supervisor.send(program, signal.SIGCONT)
    if not taken:
        raise NotStruck(f"{program} slept at {write}, but nobody took its messages meanwhile")
    if not await eventually(lambda: _fenced(world, program) > warned or process.poll() is not None, _FENCED_SECONDS):
        world.unfenced.append(f"{program} woke at {write} with {len(held)} messages that others had taken, unfenced")
    world.naps += 1
    return f"{program} after {write}"


async def _who_stops(world: World) -> str:
    def stopped() -> list[str]:
        return [program for program in _PROGRAMS if world.supervisor.is_stopped(program)]

    if not await eventually(lambda: bool(stopped()), world.options.armed_seconds):
        raise NotStruck(f"no worker came by in {world.options.armed_seconds:.0f} s")
    return stopped()[0]


async def _held_by(world: World, pid: int) -> list[str]:
    async with world.database.connected() as connection:
        rows = await connection.fetch("select id from messages where claimed_by like $1", f"%:{pid}")
    return [str(row["id"]) for row in rows]


async def _taken_by_others(world: World, held: list[str], pid: int) -> bool:
    """Whether everything it held is finished by or in the hands of others before too long."""
    deadline = time.monotonic() + world.options.lease_seconds + _TAKING_SECONDS
    while time.monotonic() < deadline:
        async with world.database.connected() as connection:
            left = await connection.fetchval(
                "select count(*) from messages where id = any($1::uuid[]) and claimed_by like $2", held, f"%:{pid}"
            )
        if not left:
            return True
        await asyncio.sleep(0.2)
    return False


def _fenced(world: World, program: str) -> int:
    return world.hub.log_file(program).read_text(encoding="utf-8", errors="replace").count("fenced")


async def restart_in_turn(world: World, _chance: Random, _: str) -> str:
    """A rolling restart: each process is told to end (SIGTERM), ends in good order, and is there again before the next."""
    for program in _PROGRAMS:
        process = world.hub.process(program)
        world.supervisor.send(program, signal.SIGTERM)
        await eventually(partial(_is_replaced, world, program, process.pid), _ENDING_SECONDS)
        await world.supervisor.until_ready(30)
        if process.poll() not in (0, None):
            world.rough_endings.append(f"{program} ended with {process.poll()} when it was told to stop")
    return "each in turn"


def _is_replaced(world: World, program: str, pid: int) -> bool:
    return world.hub.process(program).pid != pid


async def jump_clock(world: World, chance: Random, program: str) -> str:
    """The time of day of one process jumps, and jumps back."""
    if not world.clocks.available:
        raise NotStruck("libfaketime is not installed (Debian: faketime)")
    seconds = chance.choice((-86_400, -3_600, -90, 90, 3_600, 86_400))
    world.clocks.move(program, seconds)
    try:
        await asyncio.sleep(5)
    finally:
        world.clocks.move(program, 0)
    await asyncio.sleep(1.1)  # the library reads its file once a second
    return f"{program} by {seconds:+d} s"


FAULTS = (
    Fault("process killed with -9", kill, _PROGRAMS),
    Fault("all workers killed with -9", kill_all_workers),
    Fault("process stopped past a lease", pause, _PROGRAMS),
    Fault("worker asleep with work in hand", nap_with_work_in_hand, _NAPS_AT),
    Fault("rolling restart", restart_in_turn),
    Fault("clock jumps", jump_clock, MOVABLE_CLOCKS),
)
AT_POINTS = Fault("killed with -9 at a crash point", kill_at_point, CRASH_POINTS)
assert set(_NAPS_AT) <= set(WRITES)  # noqa: S101 - both are data
