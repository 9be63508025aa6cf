"""`python -m faults`: real processes, orders flowing, everything broken, all books compared. Exit 0 when every promise held."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from faults.campaign import Result, run_campaign
from faults.report import print_report, summary
from faults.small_disk import enter_own_mounts
from faults.world import Options
from rich.console import Console

from tallystick.demo.failure import DemoError
from tallystick.demo.surroundings import ERPS

_WIDTH = 132
"""Columns of the tables where they go to no terminal."""


def _options() -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long things break (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same orders and faults")
    parser.add_argument(
        "--erp", choices=ERPS, default="tryton", help="a real Tryton (default), or the sandbox's fast ERP"
    )
    parser.add_argument("--rate", type=float, default=0.0, help="orders a second (default: 0.25 for Tryton, 2 else)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="KIND", help="only these kinds of faults, as the table names them"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with settings, logs and data")
    parser.add_argument("--json", action="store_true", help="no tables, the JSON object alone")
    given = parser.parse_args()
    options = Options(given.minutes, given.seed, given.erp, given.rate, given.keep, tuple(given.only))
    return options, given.json


async def _until_told(options: Options, no_disk: str | None, console: Console) -> Result:
    """The campaign; SIGTERM ends it as Ctrl-C does, with everything it started."""
    running = asyncio.ensure_future(run_campaign(options, no_disk, console))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await running


def main() -> None:
    """Run a campaign, print what came out, and say by the exit code whether every promise held."""
    options, only_json = _options()
    no_disk = enter_own_mounts()
    try:
        result = asyncio.run(_until_told(options, no_disk, Console(stderr=True)))
    except DemoError as error:
        sys.exit(f"the campaign could not be run: {error}")
    except asyncio.CancelledError:
        sys.exit(130)
    if not only_json:
        print_report(result, Console(width=None if sys.stdout.isatty() else _WIDTH))
    print(json.dumps(summary(result)))
    sys.exit(0 if result.held else 1)


if __name__ == "__main__":
    main()
