"""Clocks that can be moved while a process runs, by libfaketime (Debian's package `faketime`); without it the fault is left out.

Only the time of day jumps, as when a clock is set; the monotonic clock goes on, as it does then.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LIBRARIES = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
)


def find_library() -> Path | None:
    """The library, where it is installed."""
    found = [file for pattern in _LIBRARIES for file in Path("/").glob(pattern.lstrip("/"))]
    return found[0] if found else None


class MovableClocks:
    """A file a process says how many seconds its clock is off; the library reads it every second."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self._folder = folder
        self._library = library

    @property
    def available(self) -> bool:
        """Whether clocks can be moved here."""
        return self._library is not None

    def environment(self, program: str) -> Mapping[str, str]:
        """What a process needs in its environment for its clock to be movable."""
        if self._library is None:
            return {}
        self.move(program, 0)
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(program)),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, program: str, seconds: int) -> None:
        """Set how far a process's clock is off."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file(program).write_text(f"{seconds:+d}\n", encoding="ascii")

    def _file(self, program: str) -> Path:
        return self._folder / f"clock-{program}"
