"""An append-only state file: what a server answered survives its death, and a line torn by the death is dropped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson


class Journal:
    """Records as JSON lines. `append` hands them to the operating system before it returns: enough for kill -9.

    It does not wait for the disk (no fsync): a sandbox need not survive a power cut. Without a path it keeps nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def replay(self) -> Iterator[dict[str, Any]]:
        """Every record in the order it was appended; an unfinished last line is cut off. Call before `append`.

        Raises ValueError when a line within the file is not a record (then the file is not ours, or was edited), or when
        another process has the file.
        """
        if self._path is None:
            return
        self._open(self._path)
        sound = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise ValueError(f"{self._path}: line {number} is not a journal record ({error})") from None
                sound += len(line)
                yield record
        os.truncate(self._path, sound)

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records with one call, before what they say is answered."""
        if self._path is None:
            return
        file = self._open(self._path)
        file.write(b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, path: Path) -> BinaryIO:
        """The file, open as long as the server lives, and its alone: two servers would tear each other's lines."""
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab", buffering=0)  # unbuffered, so that nothing waits in a process that dies
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise ValueError(f"{path}: another server has this state file; give each its own") from None
            self._file = file
        return self._file
