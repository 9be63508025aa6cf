"""Faults of the systems around the hub: killed, slow, throttling, in error, talking nonsense, telling things thrice or late."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import httpx
from faults.kinds.fault import Fault, Strike
from faults.world import World

from tallystick.demo.erp import NAME as ERP

SYSTEMS = ("erp", "wms", "payments", "crm", "tax")
_TELLERS = ("wms", "payments")
_HEAL_TRIES = 50


async def _for_a_while(world: World, system: str, plan: Mapping[str, Any], seconds: float) -> None:
    await world.put_faults(system, plan)
    try:
        await asyncio.sleep(seconds)
    finally:
        await heal(world, system)


async def heal(world: World, system: str) -> None:
    """Switch everything off at one system, as soon as it can be reached."""
    for _ in range(_HEAL_TRIES):
        with contextlib.suppress(httpx.HTTPError):
            await world.put_faults(system, {})
            return
        await asyncio.sleep(0.2)


def _switch(name: str, **settings: Any) -> Strike:
    """A fault that turns one switch on, for some or all of the requests."""

    async def strike(world: World, chance: Random, system: str) -> str:
        rate = chance.choice((0.3, 0.6, 1.0))
        switch = {"rate": rate, "path_prefix": "/v1" if world.gate is None or system != ERP else "/", **settings}
        seconds = chance.uniform(2, 4)
        plan = {"seed": chance.randrange(2**31), name: switch}
        await _for_a_while(world, system, plan, seconds)
        return f"{system}, {rate:.0%} of its calls"

    return strike


async def late_answers(world: World, chance: Random, system: str) -> str:
    """The work is done, and the answer comes when the hub has given up on it."""
    patience = world.options.patience if system == ERP else 3.0
    prefix = "/v1" if world.gate is None or system != ERP else "/"
    switch = {"every": chance.choice((1, 2)), "limit": 4, "seconds": patience + 1, "path_prefix": prefix}
    await _for_a_while(world, system, {"late_answers": switch}, patience + 1)
    return system


async def _kill_erp(world: World, seconds: float) -> None:
    erp = world.surroundings.erp
    await erp.kill()
    await asyncio.sleep(seconds)
    await erp.come_back()


async def kill_system(world: World, chance: Random, system: str) -> str:
    """kill -9, away for a while, back with everything it had acknowledged."""
    seconds = chance.uniform(0.5, 4)
    if system == ERP:
        await _kill_erp(world, seconds)
    else:
        await world.surroundings.sandbox.kill(system)
        await asyncio.sleep(seconds)
        await world.surroundings.sandbox.restart(system)
    return f"{system}, away {seconds:.1f} s"


def _events(switch: Mapping[str, Any], name: str) -> Callable[[World, Random, str], Awaitable[str]]:
    async def strike(world: World, chance: Random, system: str) -> str:
        plan = {"seed": chance.randrange(2**31), name: {"rate": 0.7, **switch}}
        await _for_a_while(world, system, plan, chance.uniform(4, 6))
        return system

    return strike


FAULTS = (
    Fault("system killed with -9", kill_system, SYSTEMS),
    Fault("answer after the timeout, work done", late_answers, SYSTEMS),
    Fault("429 with Retry-After", _switch("throttles", retry_after_seconds=2), SYSTEMS),
    Fault("500 answered", _switch("errors", status=500), SYSTEMS),
    Fault("503 answered", _switch("errors", status=503), SYSTEMS),
    Fault("garbage answered, work done", _switch("garbage"), SYSTEMS),
    Fault("half an answer, work done", _switch("half_answers"), SYSTEMS),
    Fault("answer drips out slowly, work done", _switch("slow_drip", seconds=8.0), SYSTEMS),
    Fault("connection cut, work done", _switch("drops"), SYSTEMS),
    Fault("events thrice", _events({"copies": 2, "gap_seconds": 0.2}, "duplicates"), _TELLERS),
    Fault("events overtaken", _events({"hold_seconds": 1.5}, "reordering"), _TELLERS),
)
