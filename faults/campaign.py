"""One campaign from the first line to the last: the world starts, orders flow, things break, all heals, books are compared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from faults.evidence import Evidence, gather
from faults.history import History
from faults.kinds.systems import SYSTEMS, heal
from faults.nemesis import Nemesis, Struck
from faults.promises import PROMISES
from faults.world import Options, World, running
from rich.console import Console

from tallystick.demo.driving import until_quiet
from tallystick.demo.failure import DemoError

_QUIET_SECONDS = {"sandbox": 150.0, "tryton": 400.0}
_READY_SECONDS = 60.0
_MOST_REPLAYS = 4
# What the hub's processes say when a bug of ours shows; a poison message is one on purpose.
_BUGS = ("stage_failed", "stage_hung", "settling_failed", "burying_failed", "route_failed", "request_failed")


RECOVERS = "a fresh order goes through after every fault"
FENCED = "a worker that slept past its lease is fenced"
NO_ERROR = "no error of our own"
TITLES = (*(promise.title for promise in PROMISES), RECOVERS, FENCED, NO_ERROR)
"""All promises, as docs/guarantees.md names them."""


@dataclass(slots=True)
class Result:
    """Everything that came out."""

    options: Options
    struck: list[Struck] = field(default_factory=list)
    broken: dict[str, list[str]] = field(default_factory=dict)
    """What breaks each promise, by its title; empty: it held."""
    history: History = field(default_factory=History)
    evidence: Evidence = field(default_factory=Evidence)
    points: Counter[str] = field(default_factory=Counter)
    endings: Counter[tuple[str, int]] = field(default_factory=Counter)
    naps: int = 0
    replayed: int = 0
    """Dead letters that a person replayed or gave up at the end."""
    bugs: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether every promise did."""
        return not any(self.broken.values())


async def run_campaign(options: Options, no_disk: str | None, console: Console) -> Result:
    """Run it. Everything it started has ended when it returns or raises DemoError."""
    began = time.monotonic()
    async with running(options, no_disk) as world:
        _say(console, f"Everything runs in {world.folder}; seed {options.seed}, {options.minutes:g} minutes of faults")
        result = Result(options, history=world.history)
        supervising = asyncio.create_task(world.supervisor.run())
        clerk = asyncio.create_task(world.clerk.work())
        try:
            await _break(world, result, console)
            trouble = await _come_to_rest(world, result, console)
        finally:
            clerk.cancel()
            supervising.cancel()
        result.evidence = await gather(world)
        _judge(world, result, trouble)
    result.seconds = time.monotonic() - began
    return result


async def _break(world: World, result: Result, console: Console) -> None:
    """Orders flow and the nemesis strikes."""
    nemesis = Nemesis(world, lambda struck: _tell(console, struck))
    stop = asyncio.Event()
    flowing = asyncio.create_task(world.channels.run(world.options.rate, stop))
    try:
        await nemesis.run(world.options.minutes * 60)
    finally:
        stop.set()
        await _heal(world)
    await flowing
    result.struck = sorted(nemesis.struck, key=lambda each: each.at)


def _tell(console: Console, struck: Struck) -> None:
    how = "missed" if struck.missed else "never recovered" if struck.recovered is None else f"{struck.recovered:.1f} s"
    _say(console, f"{struck.at:6.1f} s  {struck.kind}: {struck.note}  [{how}]")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


async def _heal(world: World) -> None:
    """Nothing is broken any more; what comes of it is the hub's own doing."""
    world.supervisor.wake_all()
    world.database.held_down = False
    for armed in world.crash_folder.iterdir():
        armed.unlink(missing_ok=True)
    for system in SYSTEMS:
        await heal(world, system)
    for program in world.hub.programs:
        world.clocks.move(program, 0)


async def _come_to_rest(world: World, result: Result, console: Console) -> list[str]:
    """Wait for quiet; then a person replays the dead letters, as the systems are well again, until none but poison is left."""
    _say(console, "All faults are over; waiting until everything is quiet")
    if not await world.supervisor.until_ready(_READY_SECONDS):
        return ["the hub is not ready though nothing is broken any more"]
    if world.under_way:
        await asyncio.wait(world.under_way, timeout=_READY_SECONDS)
    tries: Counter[str] = Counter()

    async def look() -> bool:
        result.replayed += await _work_off(world, tries)
        return await world.clerk.has_nothing_to_do()

    try:
        await until_quiet(world.hub, world.surroundings, _QUIET_SECONDS[world.options.erp], look)
    except (DemoError, httpx.HTTPError) as error:
        return [str(error)]
    return []


async def _work_off(world: World, tries: Counter[str]) -> int:
    """Replay each dead letter, a few times at most; what is poison is given up. Returns how many could be."""
    worked = 0
    async for each in world.hub.every("exceptions", state="open"):
        message = each["message_id"]
        if message is None or each["type"].endswith(".early") or tries[message] >= _MOST_REPLAYS:
            continue
        tries[message] += 1
        if message in world.poison:
            client = world.hub.client("clerk")
            answer = await client.post(f"/v1/messages/{message}:discard", json={"reason": "put there to poison"})
            worked += answer.is_success
        else:
            worked += await world.hub.work_exception(each, "retry", {})
    return worked


def _judge(world: World, result: Result, trouble: list[str]) -> None:
    broken = {promise.title: list(promise.breaks(result.evidence, result.history)) for promise in PROMISES}
    result.points, result.naps, result.endings = world.struck_points, world.naps, world.supervisor.endings
    result.bugs = Counter(
        entry["event"] for entry in _log_entries(world) if entry.get("event") in _BUGS and not _poisoned(entry, world)
    )
    longest = result.options.recovery_seconds
    broken[RECOVERS] = trouble + [
        f"{each.kind} ({each.note}) at {each.at:.0f} s: an order sent then was not committed in {longest:.0f} s"
        for each in result.struck
        if each.recovered is None and not each.missed
    ]
    broken[FENCED] = world.unfenced
    broken[NO_ERROR] = [
        *world.rough_endings,
        *result.history.unexpected,
        *(f"{event} {times} times in the logs" for event, times in result.bugs.items()),
    ]
    result.broken = broken


def _poisoned(entry: Mapping[str, Any], world: World) -> bool:
    return (
        bool(world.poison) and entry["event"] == "stage_failed" and "shipment_number" in str(entry.get("exception", ""))
    )


def _log_entries(world: World) -> Iterator[dict[str, Any]]:
    for program in world.hub.programs:
        for line in _lines(world.hub.log_file(program)):
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
