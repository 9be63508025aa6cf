"""Makes the traffic that leads a process past a crash point which orders alone seldom reach."""

from __future__ import annotations

from random import Random

from faults.world import World


async def provoke(_world: World, _chance: Random, _point: str) -> None:
    """Do what leads past the point."""
