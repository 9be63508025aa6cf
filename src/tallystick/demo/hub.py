"""Tallystick as an installation runs it: one settings file, keys made at the command line, API and worker as processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tallystick.demo.erp import Connection
from tallystick.demo.failure import DemoError
from tallystick.documents.order import Order
from tallystick.sandbox.loopback import free_port
from tallystick.settings import SettingsError
from tallystick.store.embedded import leave_embedded, start_embedded

_START_SECONDS = 60.0
_STOP_SECONDS = 25.0
_PAGE = 200
_TRIES = 5
# A worker that was killed holds its messages until their lease ends; a living one renews it.
_WORKER = {"lease_seconds": 15}
_ROLES = {"channels": "system", "clerk": "operator"}
_POLICY = """
[entities.default]
erp = "erp"
tax = "tax"
wms = "wms"
payments = "payments"
crm = "crm"

[entities.default.policy]
backorders = "hold"
tax = { source = "live", when_unavailable = "hold" }
"""


class Hub:
    """One installation in `folder`, connected to these systems by name.

    Its processes are `api`, `api-2`, … and `worker`, `worker-2`, …; `environment_of` says what each has in its environment
    beside ours, `worker` what the settings say of workers.
    """

    def __init__(
        self,
        folder: Path,
        *,
        apis: int = 1,
        workers: int = 1,
        worker: Mapping[str, float] = _WORKER,
        environment_of: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self._folder = folder
        self._ports = {_numbered("api", each): free_port() for each in range(1, apis + 1)}
        self.programs = (*self._ports, *(_numbered("worker", each) for each in range(1, workers + 1)))
        self._worker = worker
        self.environment = dict(os.environ)
        """What all its processes have in theirs, secrets too."""
        self._environment_of = environment_of
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: dict[str, list[httpx.AsyncClient]] = {}
        self._turns: dict[str, Iterator[httpx.AsyncClient]] = {}

    @property
    def url(self) -> str:
        """Where its first API will listen; known before it starts, so that the systems can be told."""
        return f"http://127.0.0.1:{self._ports['api']}"

    @property
    def settings_file(self) -> Path:
        """Its tallystick.toml."""
        return self._folder / "tallystick.toml"

    async def start(self, connections: Mapping[str, Connection]) -> None:
        """Write the settings, make the keys, start API and worker, wait until it is ready. Raises DemoError."""
        self._write_settings(connections)
        try:
            # Held by this process too, so that it outlives each command and each kill of a hub's process.
            await asyncio.to_thread(start_embedded, self.data_folder / "postgresql")
        except SettingsError as error:
            raise DemoError(str(error)) from error
        for name, role in _ROLES.items():
            key = await asyncio.to_thread(self._make_key, name, role)
            self._clients[name] = [
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"authorization": f"Bearer {key}"},
                    trust_env=False,
                    timeout=60,
                )
                for port in self._ports.values()
            ]
            self._turns[name] = itertools.cycle(self._clients[name])
        for program in self.programs:
            self.spawn(program)
        await self._until_ready()

    @property
    def data_folder(self) -> Path:
        """Where its database is."""
        return self._folder / "data"

    def _write_settings(self, connections: Mapping[str, Connection]) -> None:
        """The file that an integration engineer would write; its secrets stand in the processes' environment."""
        lines = ["# Written by the demo.", "[database]", f"data_folder = {_toml(str(self.data_folder))}"]
        lines += ["", "[worker]", *(f"{name} = {value}" for name, value in self._worker.items())]
        for name, connection in connections.items():
            lines += ["", f"[systems.{name}]", f"kind = {_toml(connection.kind)}"]
            lines += [f"{option} = {_toml(value)}" for option, value in connection.options.items()]
            for option, secret in connection.secrets.items():
                variable = f"TALLYSTICK_DEMO_{name}_{option}".upper()
                self.environment[variable] = secret
                lines.append(f'{option} = {{ env = "{variable}" }}')
        self.settings_file.write_text("\n".join(lines) + "\n" + _POLICY, encoding="utf-8")

    def _make_key(self, name: str, role: str) -> str:
        command = [_program(), "keys", "create", name, "--role", role, "--json", "-c", str(self.settings_file)]
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=_START_SECONDS
        )
        if done.returncode:
            raise DemoError(f"no key could be made: {done.stderr.strip()[-500:]}")
        return str(json.loads(done.stdout)["key"])

    def spawn(self, program: str) -> None:
        """Start one of its processes, without waiting for it."""
        port = ["--port", str(self._ports[program])] if program in self._ports else []
        with self.log_file(program).open("ab") as log:
            self._processes[program] = subprocess.Popen(  # noqa: S603 - our own program
                [_program(), program.partition("-")[0], "-c", str(self.settings_file), *port],
                env={**self.environment, **self._environment_of(program)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log_file(self, program: str) -> Path:
        """What a process said on stdout and stderr."""
        return self._folder / f"{program}.log"

    def process(self, program: str) -> subprocess.Popen[bytes]:
        """One of its processes as it was started last."""
        return self._processes[program]

    async def kill(self, program: str) -> None:
        """End one of its processes with -9."""
        process = self._processes[program]
        process.kill()
        await asyncio.to_thread(process.wait)

    async def come_back(self, program: str) -> None:
        """Start a killed process again and wait until the installation is ready."""
        self.spawn(program)
        await self._until_ready()

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not any(each.poll() is not None for each in self._processes.values()):
            if await self.is_ready():
                return
            await asyncio.sleep(0.1)
        raise DemoError(f"Tallystick did not start; see the logs in {self._folder}")

    async def is_ready(self) -> bool:
        """Whether each of its APIs says that it can do its work."""
        try:
            answers = [await client.get("/health/ready", timeout=5) for client in self._clients["clerk"]]
        except httpx.HTTPError:
            return False
        return all(answer.is_success for answer in answers)

    async def stop(self) -> None:
        """Stop all its processes politely, then with -9."""
        for client in itertools.chain(*self._clients.values()):
            await client.aclose()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                await asyncio.to_thread(process.wait, _STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        if self._clients:  # it was started
            await asyncio.to_thread(leave_embedded, self.data_folder / "postgresql")

    def client(self, name: str) -> httpx.AsyncClient:
        """Signed in as `channels` or `clerk`, at one of its APIs in turn."""
        return next(self._turns[name])

    async def submit(self, order: Order) -> httpx.Response:
        """Submit one order as its channel does, under its number as the key."""
        headers = {"idempotency-key": order.order_number, "content-type": "application/json"}
        content = order.model_dump_json()
        return await _ask(lambda: self.client("channels").post("/v1/orders", content=content, headers=headers))

    async def show(self, path: str, **parameters: Any) -> Any:
        """What the API shows under a path. Raises httpx.HTTPError."""
        response = await _ask(lambda: self.client("clerk").get(f"/v1/{path}", params=parameters))
        response.raise_for_status()
        return response.json()

    async def every(self, path: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            turned = {"cursor": cursor} if cursor else {}
            page = await self.show(path, limit=_PAGE, **parameters, **turned)
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if not cursor:
                return

    async def work_exception(self, exception: Mapping[str, Any], action: str, body: Mapping[str, Any]) -> bool:
        """Do something with an open exception; False when somebody was faster or it could not be done."""
        response = await self.client("clerk").post(
            f"/v1/exceptions/{exception['id']}:{action}",
            json=dict(body),
            headers={"if-match": f'"{exception["version"]}"'},
        )
        return response.is_success


async def _ask(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Ask something that may be asked twice, again where a connection was closed under the question."""
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except httpx.TransportError:
            await asyncio.sleep(0.2)
    return await call()


def _numbered(program: str, number: int) -> str:
    return program if number == 1 else f"{program}-{number}"


def _program() -> str:
    return str(Path(sys.executable).with_name("tallystick"))


def _toml(value: object) -> str:
    """A string or number as TOML writes it; JSON's strings are TOML's basic strings."""
    return json.dumps(value)
