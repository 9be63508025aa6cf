"""`make fuzz`: atheris on every parser, one after the other, for some seconds each; exits with 1 where one broke a promise."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from fuzz.targets import TARGETS

_FOLDER = Path(".cache/fuzz")


def main() -> int:
    """Run the named targets, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="for each target (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices; 0: another each time (default)")
    parser.add_argument("targets", nargs="*", metavar="target", help=f"some of: {', '.join(TARGETS)}")
    wanted = parser.parse_args()
    if unknown := set(wanted.targets) - set(TARGETS):
        parser.error(f"there is no target {min(unknown)!r}")
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: it has no package for this Python and machine. The tests try the same targets")
        print("by hypothesis: make test TEST_ARGS=tests/unit/fuzz")
        return 2
    names = wanted.targets or list(TARGETS)
    broken = [name for name in names if not _holds(name, wanted.seconds, wanted.seed)]
    print(f"{len(names)} targets tried, {len(broken)} broke a promise", *broken)
    return 1 if broken else 0


def _holds(name: str, seconds: int, seed: int) -> bool:
    """Whether the target stood it; what broke it is left in its folder, and its story is printed."""
    corpus = _FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz.driven", name, f"-max_total_time={seconds}", f"-seed={seed}", "-timeout=10"]
    command += ["-rss_limit_mb=2048", "-max_len=20000", f"-artifact_prefix={corpus}-", str(corpus)]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    done = next((line for line in reversed(run.stderr.splitlines()) if line.startswith("Done ")), "stopped")
    print(f"{name:15} {done if run.returncode == 0 else 'BROKEN'}", flush=True)
    if run.returncode != 0:
        print(run.stdout[-4_000:] + run.stderr[-2_000:])
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
