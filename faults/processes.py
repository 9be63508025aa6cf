"""The hub's processes under a supervisor that starts again whatever ends, as systemd would, and counts how they ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from faults.database import Database

from tallystick.demo.hub import Hub

_LOOK_EVERY_SECONDS = 0.1
_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Supervisor:
    """Keeps processes and database running. `endings` counts how processes ended, by program and exit status."""

    hub: Hub
    database: Database
    endings: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def run(self) -> None:
        """Look after them until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_database())
            group.create_task(self._run_programs())

    async def _run_database(self) -> None:
        while True:
            if self.database.postmaster is None and not self.database.held_down:
                self.endings["postgresql", 0] += 1
                await self.database.start()
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _run_programs(self) -> None:
        while True:
            for program in self.hub.programs:
                status = self.hub.process(program).poll()
                if status is not None:
                    self.endings[program.partition("-")[0], status] += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
                    self.hub.spawn(program)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def send(self, program: str, what: signal.Signals) -> None:
        """A signal to a process; nothing where it has ended already."""
        process = self.hub.process(program)
        if process.poll() is None:
            process.send_signal(what)

    def wake_all(self) -> None:
        """Let every stopped process go on."""
        for program in self.hub.programs:
            self.send(program, signal.SIGCONT)

    def is_stopped(self, program: str) -> bool:
        """Whether a process is stopped by a signal."""
        return process_state(self.hub.process(program).pid) == "T"

    async def until_ready(self, seconds: float) -> bool:
        """Whether all processes run and all APIs are ready within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            if all(self.hub.process(each).poll() is None for each in self.hub.programs) and await self.hub.is_ready():
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


def process_state(pid: int) -> str:
    """The kernel's letter for what a process does; empty when it is gone."""
    try:
        with open(os.path.join("/proc", str(pid), "stat"), encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
