"""One target driven by atheris, in a process of its own: `python -m fuzz.driven TARGET [libFuzzer's arguments] CORPUS`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tallystick"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Begin from the target's seeds, and go on until the time is over or a promise is broken."""
    target = TARGETS[sys.argv.pop(1)]
    for seed in target.seeds:
        (Path(sys.argv[-1]) / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup(sys.argv, target.attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
