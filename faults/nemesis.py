"""The nemesis: draws faults by the seed, two at a time, strikes, and measures how long a fresh order takes to go through."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple, TypeVar

import asyncpg
import httpx
from faults.kinds import database, processes, systems, traffic
from faults.kinds.fault import Fault, NotStruck
from faults.world import World

from tallystick.demo.failure import DemoError

Thing = TypeVar("Thing")
LANES: dict[str, tuple[tuple[Fault, ...], ...]] = {
    "hub": ((*processes.FAULTS, *database.FAULTS), (processes.AT_POINTS,)),
    "outside": ((*systems.FAULTS, *traffic.FAULTS),),
}
"""What strikes at the same time: one of each lane. Of a lane's groups each has its turn after the other."""
_STRIKE_SECONDS = 120.0
_LONGEST_REST_SECONDS = 12.0
"""So long a lane waits for the recovery before its next fault; it is measured on."""
_LOOK_EVERY_SECONDS = 0.1
# What the campaign itself meets while it breaks things: the fault counts as struck all the same.
_BROKEN_WITH_IT = (OSError, TimeoutError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Draw(NamedTuple):
    """One entry of the schedule."""

    fault: Fault
    particular: str


@dataclass(frozen=True, slots=True)
class Struck:
    """What came of one draw. Seconds; `at` since the beginning."""

    kind: str
    at: float
    lasted: float
    recovered: float | None
    """From the fault's end until an order sent then was committed in the ERP, whatever else was broken meanwhile; None: it took
    longer than `recovery_seconds`."""
    note: str
    missed: bool = False
    """It found nothing to strike."""


def schedule(seed: int, lane: str, only: Collection[str] = ()) -> Iterator[Draw]:
    """The endless schedule of a lane, the same for the same seed: of each group every fault once, shuffled, then again.

    `only` leaves out all kinds but those; a lane that has none of them has an empty schedule.
    """
    chance = Random(f"{seed}:{lane}")
    groups = [[fault for fault in group if not only or fault.name in only] for group in LANES[lane]]
    decks = [_deck(chance, group) for group in groups if group]
    while decks:
        for deck in decks:
            yield next(deck)


def _deck(chance: Random, faults: Sequence[Fault]) -> Iterator[Draw]:
    particulars = {fault.name: _shuffled(chance, fault.particulars) for fault in faults}
    for fault in _shuffled(chance, faults):
        yield Draw(fault, next(particulars[fault.name]))


def _shuffled(chance: Random, things: Sequence[Thing]) -> Iterator[Thing]:
    while True:
        yield from chance.sample(things, len(things))


class Nemesis:
    """Breaks a world until a deadline; `struck` is what it did."""

    def __init__(self, world: World, tell: Callable[[Struck], None]) -> None:
        self._world = world
        self._tell = tell
        self.struck: list[Struck] = []
        self._began = time.monotonic()

    async def run(self, seconds: float) -> None:
        """Strike in all lanes for so long, then wait for the last recoveries."""
        async with asyncio.TaskGroup() as group:
            for lane in LANES:
                group.create_task(self._run_lane(lane, time.monotonic() + seconds, group))

    async def _run_lane(self, lane: str, deadline: float, measured: asyncio.TaskGroup) -> None:
        options = self._world.options
        for number, draw in enumerate(schedule(options.seed, lane, options.only)):
            if time.monotonic() > deadline:
                return
            chance = Random(f"{self._world.options.seed}:{lane}:{number}")
            began = time.monotonic()
            note, missed = await self._strike(draw, chance)
            struck = Struck(draw.fault.name, began - self._began, time.monotonic() - began, None, note, missed)
            measuring = measured.create_task(self._measure(struck))
            await asyncio.wait([measuring], timeout=_LONGEST_REST_SECONDS)
            await asyncio.sleep(chance.uniform(0.2, 1.5))

    async def _strike(self, draw: Draw, chance: Random) -> tuple[str, bool]:
        """What it did, and whether it found nothing to strike."""
        try:
            async with asyncio.timeout(_STRIKE_SECONDS):
                return await draw.fault.strike(self._world, chance, draw.particular), False
        except NotStruck as why:
            return str(why), True
        except _BROKEN_WITH_IT as error:
            return f"{draw.particular}: the campaign's own {type(error).__name__} {error}"[:200], False

    async def _measure(self, struck: Struck) -> None:
        recovered = None if struck.missed else await self._canary()
        self.struck.append(replace(struck, recovered=recovered))
        self._tell(self.struck[-1])

    async def _canary(self) -> float | None:
        """Send a sound order now; seconds until the ERP has it."""
        began = time.monotonic()
        try:
            transaction_id = await self._world.channels.submit(self._world.channels.take(sound=True))
        except DemoError:
            return None
        while time.monotonic() - began < self._world.options.recovery_seconds:
            with contextlib.suppress(httpx.HTTPError):
                if (await self._world.hub.show(f"transactions/{transaction_id}"))["commitment"] == "committed":
                    return time.monotonic() - began
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return None
