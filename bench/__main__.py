"""`python -m bench`: Tallystick beside the bare limits of what it stands on. Exit code 1 when a promise is broken."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from bench.report import report, surroundings, table
from bench.row import Place
from bench.rows import ROWS
from bench.surroundings import scratch_folder, scratch_server

_RESULTS = Path(__file__).parent / "results"


async def _run(names: Sequence[str], smoke: bool) -> tuple[str, dict[str, Any]]:
    """The table and the report."""
    measured_at = datetime.now(UTC)
    with scratch_folder() as folder, scratch_server(folder) as server:
        where = await surroundings(server)
        rows = []
        for name in names:
            print(f"{name}: measuring", file=sys.stderr)
            rows.append(await ROWS[name](Place(server, folder, smoke)))
    return table(rows, where, smoke), report(rows, where, measured_at, smoke)


async def _until_told(names: Sequence[str], smoke: bool) -> tuple[str, dict[str, Any]]:
    """The same; SIGTERM ends it as Ctrl-C does, with everything it started."""
    measuring = asyncio.ensure_future(_run(names, smoke))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, measuring.cancel)
    return await measuring


def main() -> None:
    """Measure, print, keep the result, and say by the exit code whether every promise is kept."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="only these rows")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes: shows that it runs; nothing is judged, nothing kept"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of the table")
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # stdout is the result's alone
        text, data = asyncio.run(_until_told(options.rows, options.smoke))
    encoded = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
    print(encoded if options.json else text)
    if not options.smoke:
        _RESULTS.mkdir(exist_ok=True)
        kept = _RESULTS / f"{data['measured_at'].replace(':', '-')}.json"
        kept.write_text(encoded + "\n")
        print(f"kept in {kept}", file=sys.stderr)
    sys.exit(0 if data["met"] else 1)


if __name__ == "__main__":
    main()
