"""What a simulated system does later: entries fall due by the wall clock and are handled in batches."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Entry = TypeVar("Entry")
_MAXIMUM_BATCH = 200  # keeps the event loop free for requests in between


class Schedule(Generic[Entry]):
    """Entries by due time (seconds of the wall clock, so that they survive a restart), first due first."""

    def __init__(self, handle: Callable[[list[Entry]], None]) -> None:
        """`handle` gets every batch that is due; it must not wait."""
        self._handle = handle
        self._heap: list[tuple[float, int, Entry]] = []
        self._added = 0
        self._wake = asyncio.Event()

    def add(self, due: float, entry: Entry) -> None:
        """Have `entry` handled at `due`, or at once when that has passed."""
        self._added += 1
        heapq.heappush(self._heap, (due, self._added, entry))
        if self._heap[0][1] == self._added:
            self._wake.set()

    def __len__(self) -> int:
        return len(self._heap)

    async def run(self) -> None:
        """Handle entries as they fall due, until cancelled."""
        while True:
            due = self._take_due()
            if due:
                self._handle(due)
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            wait = self._heap[0][0] - time.time() if self._heap else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if wait is None else max(0.0, wait))

    def _take_due(self) -> list[Entry]:
        now = time.time()
        due: list[Entry] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _MAXIMUM_BATCH:
            due.append(heapq.heappop(self._heap)[2])
        return due
