"""Starts sandbox servers as processes of their own, says where they are, and stops, kills or restarts them."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from tallystick.sandbox.faults import FaultPlan, FaultReport
from tallystick.sandbox.options import SECRET_VARIABLE, TOKEN_VARIABLE

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_TLS = ssl.create_default_context()
"""Loopback needs none, and a client makes one of its own in twenty milliseconds, for every call."""


class LaunchError(Exception):
    """A server did not start. The message names it and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One server to start: which system, under which name, where, with which settings of its own."""

    system: str
    name: str = ""
    """Its name towards the hub; empty: the system's."""
    port: int = 0
    """0 takes a free one."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    """Empty: a new one."""
    event_secret: str = field(default="", repr=False)
    """Empty: a new one."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a started server is, and what the hub needs to know of it."""

    system: str
    name: str
    url: str
    pid: int
    token: str = field(repr=False)
    event_source: str
    event_secret: str = field(repr=False)
    """Signs its events; the hub checks them with it (`event_secret` in the settings)."""
    state_file: Path
    log_file: Path

    @property
    def connection(self) -> dict[str, str]:
        """What the hub's settings say in `[systems.<name>]`, with the secrets as plain text: for code, not for a file."""
        return {
            "kind": f"sandbox_{self.system}",
            "url": self.url,
            "token": self.token,
            "event_source": self.event_source,
            "event_secret": self.event_secret,
        }


class Sandbox:
    """Any set of sandbox servers on loopback. Use it as `async with`, or call `start` and `stop`.

    State, logs and nothing else go into `folder`; with the same folder they take up where they were. They stop when this
    process ends, however it ends.
    """

    def __init__(self, folder: Path, *, seed: int = 0, hub_url: str | None = None) -> None:
        self._folder = folder
        self._seed = seed
        self._hub_url = hub_url
        self._started: dict[str, tuple[ServerPlan, RunningServer]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def servers(self) -> Mapping[str, RunningServer]:
        """All started servers by name."""
        return {name: server for name, (_, server) in self._started.items()}

    async def start(self, *plans: ServerPlan) -> Mapping[str, RunningServer]:
        """Start these servers at once and wait until all are healthy. Raises LaunchError; then all are stopped."""
        try:
            async with asyncio.TaskGroup() as group:
                for plan in plans:
                    group.create_task(self._start(plan, plan.token or new_token(), plan.event_secret or new_secret()))
        except BaseExceptionGroup as errors:
            await self.stop()
            raise errors.exceptions[0] from None
        except asyncio.CancelledError:
            await self.stop()
            raise
        return self.servers

    async def restart(self, name: str) -> RunningServer:
        """Start a server again that was killed or stopped: same port, token, secret and state file."""
        plan, server = self._started[name]
        await _end(self._processes[name])
        again = ServerPlan(plan.system, name, int(server.url.rsplit(":", 1)[1]), plan.settings)
        return await self._start(again, server.token, server.event_secret)

    async def kill(self, name: str) -> None:
        """Kill a server with -9; `restart` brings it back."""
        await _end(self._processes[name], kill=True)

    async def stop(self) -> None:
        """Stop all servers: politely, then with -9."""
        await asyncio.gather(*(_end(process) for process in self._processes.values()))

    async def put_faults(self, name: str, plan: FaultPlan | Mapping[str, Any]) -> FaultReport:
        """Put a fault plan in force at one server; `{}` heals it."""
        body = FaultPlan.model_validate(plan).model_dump(mode="json")
        return FaultReport.model_validate(await self.call(name, "PUT", "/faults", body))

    async def faults(self, name: str) -> FaultReport:
        """What one server injected since its plan was put."""
        return FaultReport.model_validate(await self.call(name, "GET", "/faults"))

    async def call(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Call one server as a person with its token would: plans, simulation, lists. Raises httpx.HTTPError."""
        server = self.servers[name]
        headers = {"authorization": f"Bearer {server.token}"}
        client = httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False, timeout=30, verify=_TLS)
        async with client:
            response = await client.request(method, path, json=body)
        response.raise_for_status()
        return response.json()

    async def _start(self, plan: ServerPlan, token: str, secret: str) -> RunningServer:
        name = plan.name or plan.system
        self._folder.mkdir(parents=True, exist_ok=True)
        state_file, log_file = self._folder / f"{name}.jsonl", self._folder / f"{name}.log"
        process = self._spawn(plan, name, state_file, log_file, {TOKEN_VARIABLE: token, SECRET_VARIABLE: secret})
        self._processes[name] = process
        announced = await _announcement(process)
        if announced is None:
            await _end(process)
            raise LaunchError(f"sandbox {name} did not start (exit {process.returncode}): {_end_of(log_file)}")
        server = RunningServer(
            system=plan.system,
            name=name,
            url=announced["url"],
            pid=process.pid,
            token=token,
            event_source=f"/systems/{name}",
            event_secret=secret,
            state_file=state_file,
            log_file=log_file,
        )
        self._started[name] = (plan, server)
        await _until_healthy(server, process)
        return server

    def _spawn(
        self, plan: ServerPlan, name: str, state_file: Path, log_file: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tallystick.sandbox", plan.system, "--name", name, "--stop-with-parent"]
        command += ["--port", str(plan.port), "--seed", str(self._seed), "--state-file", str(state_file)]
        command += ["--settings", orjson.dumps(dict(plan.settings)).decode()]
        command += ["--hub-url", self._hub_url] if self._hub_url else []
        with log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own module with arguments of our own
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
            )


async def _end(process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    if process.poll() is None:
        if kill:
            process.kill()
        else:
            process.terminate()
    try:
        await asyncio.to_thread(process.wait, _STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


async def _announcement(process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    """The line a server writes when it listens; None when it ended without one, or was too slow and killed for it."""
    if process.stdout is None:
        return None
    reading = asyncio.create_task(asyncio.to_thread(process.stdout.readline))
    if not (await asyncio.wait({reading}, timeout=_START_SECONDS))[0]:
        process.kill()
    line = await reading
    announced: dict[str, Any] | None = orjson.loads(line) if line else None
    return announced


async def _until_healthy(server: RunningServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if (await client.get("/health")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)
    raise LaunchError(f"sandbox {server.name} is not healthy at {server.url}: {_end_of(server.log_file)}")


def _end_of(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "its log is empty"


def new_token() -> str:
    """A bearer token that nobody guesses."""
    return secrets.token_urlsafe(24)


def new_secret() -> str:
    """A Standard Webhooks secret that nobody guesses."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
