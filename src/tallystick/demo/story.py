"""The demo from the first line to the last: data, systems, hub, orders, faults, quiet, tie-out."""

from __future__ import annotations

import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tallystick.demo.driving import Standing, drive
from tallystick.demo.erp import repeated
from tallystick.demo.evidence import gather_sides
from tallystick.demo.hub import Hub
from tallystick.demo.report import Report
from tallystick.demo.surroundings import Injected, Surroundings
from tallystick.demo.tie_out import tie_out
from tallystick.demo.trade import make_trade
from tallystick.demo.wholesale import make_wholesale
from tallystick.store.embedded import new_folder

_TELL_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a person may choose: how many orders, `tryton` or `sandbox`, and the seed that makes a run again."""

    orders: int = 100
    erp: str = "tryton"
    seed: int = 1
    keep: bool = False
    """Leave the folder with settings, logs and database where it is."""


async def run_demo(options: DemoOptions, console: Console) -> Report:
    """Run it; progress goes to `console`. Everything it started has ended when it returns or raises DemoError."""
    started = time.monotonic()
    folder = new_folder("tallystick-demo-")
    failed = True
    try:
        with _progress(console) as progress:
            report = await _run(options, folder, progress, started)
        failed = not report.held_what_was_promised
        return report
    finally:
        if failed or options.keep:
            console.print(f"Settings, logs and data are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _run(options: DemoOptions, folder: Path, progress: Progress, started: float) -> Report:
    preparing = progress.add_task("Making TPC-H data", total=None)
    trade = make_trade(make_wholesale(folder / "tpch", options.orders, options.seed), options.seed)
    hub = Hub(folder)
    surroundings = Surroundings(folder, hub, options.erp, options.seed)
    injected = Injected()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(surroundings.stop)
        progress.update(preparing, description=f"Starting {surroundings.erp.title} and loading its masters")
        await surroundings.start(trade)
        progress.update(preparing, description="Starting Tallystick")
        stack.push_async_callback(hub.stop)
        await hub.start(surroundings.connections)
        progress.update(preparing, description="Everything runs", total=1, completed=1)
        bars = _Bars(progress, options.orders)
        submissions, clerk = await drive(hub, surroundings, trade, injected, bars.show)
        tying = progress.add_task("Reading all books for the tie-out", total=None)
        sides = await gather_sides(hub, surroundings)
        duplicates = repeated(await surroundings.erp.references())
        open_exceptions = [each async for each in hub.every("exceptions", state="open", sort="money")]
        dead_letters = sum(each["dead"] for each in (await hub.show("messages:depths"))["items"])
        progress.update(tying, total=1, completed=1)
    states = [(each["intake"], each["commitment"]) for each in sides.transactions]
    return Report(
        erp=options.erp,
        erp_title=surroundings.erp.title,
        submissions=submissions,
        injected=injected,
        worked=clerk.worked,
        open_exceptions=open_exceptions,
        dead_letters=dead_letters,
        committed=sum(commitment == "committed" for _, commitment in states),
        held=sum(intake == "held" for intake, _ in states),
        rejected=sum(intake == "rejected" for intake, _ in states),
        result=tie_out(sides),
        duplicates=duplicates,
        seconds=time.monotonic() - started,
    )


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


class _Bars:
    """One bar a stage; what is held or rejected is taken off the later stages' goal. Without a terminal, a line at times."""

    def __init__(self, progress: Progress, orders: int) -> None:
        self._progress = progress
        self._orders = orders
        self._told_at = 0.0
        self._tasks = {
            name: progress.add_task(title, total=orders)
            for name, title in (
                ("submitted", "Orders submitted"),
                ("committed", "  committed in the ERP"),
                ("shipped", "  shipped"),
                ("invoiced", "  invoiced"),
                ("settled", "  paid in full"),
            )
        }

    def show(self, standing: Standing) -> None:
        """Move all bars."""
        going_on = self._orders - standing.rejected - standing.held
        for name, task in self._tasks.items():
            total = self._orders if name == "submitted" else going_on
            self._progress.update(task, completed=getattr(standing, name), total=total)
        if not self._progress.console.is_terminal and time.monotonic() - self._told_at >= _TELL_EVERY_SECONDS:
            self._told_at = time.monotonic()
            far = ", ".join(f"{getattr(standing, name)} {name}" for name in self._tasks)
            self._progress.console.print(f"{far}; {standing.held} held, {standing.rejected} rejected")
