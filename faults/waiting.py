"""Waiting for something to come about, for so long and no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_EVERY_SECONDS = 0.05


async def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        if holds():
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY_SECONDS)
