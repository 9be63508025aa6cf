"""`python -m bench`: Tallystick beside the bare limits of what it stands on.

Exit code 1 when a promise is broken or a row could not be measured. It ends after twenty-five minutes,
whatever is measured by then.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from bench.report import report, surroundings, table
from bench.row import Place, Row, unmeasured
from bench.rows import ROWS
from bench.surroundings import scratch_folder, scratch_server

_RESULTS = Path(__file__).parent / "results"
_MOST_SECONDS = 1_500.0
_MOST_SECONDS_A_ROW = 300.0


async def _run(names: Sequence[str], smoke: bool) -> tuple[str, dict[str, Any]]:
    """The table and the report."""
    measured_at = datetime.now(UTC)
    with scratch_folder() as folder, scratch_server(folder) as server:
        where = await surroundings(server)
        place, end = Place(server, folder, smoke), time.monotonic() + _MOST_SECONDS
        rows = [await _measure(name, place, end) for name in names]
    return table(rows, where, smoke), report(rows, where, measured_at, smoke)


async def _measure(name: str, place: Place, end: float) -> Row:
    """One row. What fails or takes too long leaves its name in the table, and the rows behind it their time."""
    print(f"{name}: measuring", file=sys.stderr)
    started = time.monotonic()
    try:
        async with asyncio.timeout(min(_MOST_SECONDS_A_ROW, end - started)):
            row = await ROWS[name](place)
    except Exception as error:
        traceback.print_exc()
        row = unmeasured(name, f"{type(error).__name__}: {error}" if str(error) else "it took too long")
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return row


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
