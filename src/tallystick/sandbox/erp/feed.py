"""The change feed: which master changed last, under a cursor that only grows, in memory bounded by the number of masters."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Touched:
    """A master that changed: its kind, its key, and its place in the feed."""

    position: int
    kind: str
    key: str
    at: datetime


class Feed:
    """A master that changes again moves to the end, so that a reader sees the latest state once and misses nothing."""

    def __init__(self) -> None:
        self._entries: list[Touched] = []
        self._latest: dict[tuple[str, str], int] = {}
        self._position = 0

    def touch(self, kind: str, key: str, at: datetime) -> None:
        """Note that a master changed now."""
        self._position += 1
        self._latest[kind, key] = self._position
        self._entries.append(Touched(self._position, kind, key, at))
        if len(self._entries) > 2 * len(self._latest) + 10_000:
            self._entries = [each for each in self._entries if self._current(each)]

    def after(self, cursor: int, limit: int) -> tuple[list[Touched], int, bool]:
        """At most `limit` changes after a cursor (0: from the start), the next cursor, and whether there are more."""
        start = bisect_right(self._entries, cursor, key=lambda each: each.position)
        found: list[Touched] = []
        for index in range(start, len(self._entries)):
            entry = self._entries[index]
            if not self._current(entry):
                continue
            if len(found) == limit:
                return found, found[-1].position, True
            found.append(entry)
        return found, self._position, False

    def _current(self, entry: Touched) -> bool:
        return self._latest[entry.kind, entry.key] == entry.position
