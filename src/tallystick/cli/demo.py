"""`tallystick demo`: the main job shown, with real processes, a real ERP and faults, tied out at the end."""

from __future__ import annotations

import asyncio
import json
import signal
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from tallystick.cli.application import START, app
from tallystick.cli.failure import CommandFailed
from tallystick.demo.failure import DemoError
from tallystick.demo.report import Report
from tallystick.demo.story import DemoOptions, run_demo


class _Erp(StrEnum):
    TRYTON = "tryton"
    SANDBOX = "sandbox"


@app.command(rich_help_panel=START)
def demo(
    orders: Annotated[int, typer.Option(min=1, max=15_000, help="How many orders.")] = 100,
    erp: Annotated[_Erp, typer.Option(help="A real Tryton, or the sandbox's fast ERP.")] = _Erp.TRYTON,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same orders and troubles.")] = 1,
    keep: Annotated[bool, typer.Option(help="Keep the folder with settings, logs and data.")] = False,
) -> None:
    """Drive orders from a channel to the paid invoice in a real ERP, through faults, and tie sales out against its books.

    Exit 0 only when no difference is unexplained and the ERP holds nothing twice. The last line of stdout is one JSON object.
    """
    try:
        report = asyncio.run(_run(DemoOptions(orders, erp.value, seed, keep)))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
    except DemoError as error:
        raise CommandFailed(str(error)) from None
    report.print(Console())
    typer.echo(json.dumps(report.summary()))
    raise typer.Exit(0 if report.held_what_was_promised else 1)


async def _run(options: DemoOptions) -> Report:
    """The demo; SIGTERM ends it as Ctrl-C does, with everything it started."""
    demo = asyncio.ensure_future(run_demo(options, Console(stderr=True)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, demo.cancel)
    return await demo
