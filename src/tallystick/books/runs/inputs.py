"""What a run read: each file with its SHA-256, so that a changed input shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tallystick.books.runs.refusal import RunNotPossible


@dataclass(frozen=True, slots=True)
class Input:
    """A file of a side, or a source that is none (a database, the hub), which has no hash."""

    side: str
    name: str
    rows: int
    sha256: str | None = None
    size: int | None = None
    """In bytes."""


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_input(side: str, path: Path, rows: int, started_at: datetime) -> Input:
    """A file as it was read. Raises RunNotPossible when it was written to since the run began."""
    found = path.stat()
    if datetime.fromtimestamp(found.st_mtime, UTC) > started_at:
        raise RunNotPossible("run.input_changed", f"{path} was changed while it was read; run the reconciliation again")
    return Input(side, path.name, rows, hash_of(path), found.st_size)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of an input of a run, or that a file was none of it."""

    side: str
    name: str
    verdict: str
    """same, changed, missing (not among the files), unhashed (not a file), or unknown (no input of the run)."""
    kept: str | None = None
    now: str | None = None


def compare(inputs: Sequence[Mapping[str, Any]], files: Iterable[Path]) -> list[Comparison]:
    """Each input of a run beside the file that has its name, or its content under another. Raises OSError."""
    hashes = {path: hash_of(path) for path in dict.fromkeys(files)}
    left = dict(hashes)
    found: list[Comparison] = []
    # Whole equals first, so that of two files of one name each finds its own.
    waiting = []
    for each in inputs:
        same = next((path for path, digest in left.items() if digest == each["sha256"]), None)
        if each["sha256"] is None:
            found.append(Comparison(each["side"], each["name"], "unhashed"))
        elif same is not None:
            found.append(Comparison(each["side"], each["name"], "same", each["sha256"], left.pop(same)))
        else:
            waiting.append(each)
    for each in waiting:
        # A file that is both sides' is named once.
        again = next((digest for digest in hashes.values() if digest == each["sha256"]), None)
        named = next((path for path in left if path.name == each["name"]), None)
        now = again or (left.pop(named) if named else None)
        verdict = "same" if again else "changed" if now else "missing"
        found.append(Comparison(each["side"], each["name"], verdict, each["sha256"], now))
    return found + [Comparison("", str(path), "unknown", None, digest) for path, digest in left.items()]
