"""`tallystick sandbox`: a small distributor's systems to play with, and the settings that connect Tallystick to them."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

from tallystick.cli.application import START, app
from tallystick.cli.failure import CommandFailed, WrongUse
from tallystick.cli.hub import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE
from tallystick.cli.sandbox_goods import ORDERS, stock_shelves
from tallystick.cli.terminal import AsJson, print_heading, print_json, print_rows, tell
from tallystick.sandbox.launch import LaunchError, RunningServer, Sandbox, ServerPlan, new_secret, new_token

_EXPORT = re.compile(r"export (TALLYSTICK_SANDBOX_\w+)=(\S+)")


class System(StrEnum):
    """The sandbox's systems, in the order of their ports."""

    CRM = "crm"
    WMS = "wms"
    TAX = "tax"
    PAYMENTS = "payments"
    ERP = "erp"


@app.command(rich_help_panel=START)
def sandbox(
    systems: Annotated[
        list[System] | None, typer.Argument(help="Which of them; default: all.", show_default=False)
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(
            help="Their state, logs, secrets and settings; with the same folder they take up where they were."
        ),
    ] = Path("tallystick-data/sandbox"),
    first_port: Annotated[
        int, typer.Option(min=0, max=65_000, help="Five ports from here on; 0 takes any free ones.")
    ] = 9101,
    hub_url: Annotated[str, typer.Option(help="Where Tallystick will be; their events go there.")] = DEFAULT_URL,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same choices for the same orders.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Start a CRM, a warehouse, a tax service, a payment gateway and an ERP to play with, until Ctrl-C.

    It says where they are, with their tokens and their docs pages, and how to connect Tallystick to them. The ERP starts with
    three customers and five products; orders.csv in the folder has orders for them.

    What can be done with each, and the faults that can be switched on, stand in docs/sandbox.md.
    """
    folder = folder.absolute()
    if urlsplit(hub_url).scheme not in ("http", "https"):
        raise WrongUse(f"--hub-url: {hub_url!r} is not an http:// or https:// address")
    try:
        plans = _Plans(tuple(systems or System), first_port, seed)
        asyncio.run(_play(_Playground(folder, hub_url), plans, as_json))
    except (LaunchError, httpx.HTTPError) as error:
        raise CommandFailed(f"{error}; stop what is in the way, or say --first-port or --folder") from None
    except OSError as error:
        raise WrongUse(f"--folder: {folder} cannot be written ({error.strerror})") from None


@dataclass(frozen=True, slots=True)
class _Plans:
    """What is to be started."""

    systems: tuple[System, ...]
    first_port: int
    seed: int

    def servers(self, secrets: Mapping[str, str]) -> list[ServerPlan]:
        """Each always at the same port of the five, whichever are started."""
        return [
            ServerPlan(
                system.value,
                port=self.first_port + index if self.first_port else 0,
                token=secrets[_variable(system, "token")],
                event_secret=secrets[_variable(system, "event_secret")],
            )
            for index, system in enumerate(System)
            if system in self.systems
        ]


class _Playground:
    """The sandbox's folder: secrets that outlive a restart, and the files that connect Tallystick."""

    def __init__(self, folder: Path, hub_url: str) -> None:
        self.folder = folder
        self.hub_url = hub_url
        self.environment = folder / "environment"
        self.settings = folder / "tallystick.toml"
        self.orders = folder / "orders.csv"

    def secrets(self) -> dict[str, str]:
        """By environment variable: those of the last time, and new ones for what had none."""
        kept = dict(_EXPORT.findall(self.environment.read_text())) if self.environment.exists() else {}
        made = {}
        for system in System:
            made[_variable(system, "token")] = new_token()
            made[_variable(system, "event_secret")] = new_secret()
        return {name: kept.get(name, secret) for name, secret in made.items()}

    def write(self, secrets: Mapping[str, str], servers: Mapping[str, RunningServer]) -> None:
        """The environment for its owner's eyes only, the settings that name it, and orders to try."""
        lines = [f"export {name}={secret}" for name, secret in secrets.items()]
        lines.append(f"export TALLYSTICK_SETTINGS={shlex.quote(str(self.settings))}")
        lines.append(f"export {URL_VARIABLE}={shlex.quote(self.hub_url)}")
        with open(os.open(self.environment, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
        self.settings.write_text(_settings_text(self.hub_url, servers), encoding="utf-8")
        self.orders.write_text(ORDERS, encoding="utf-8")


async def _play(playground: _Playground, plans: _Plans, as_json: bool) -> None:
    playground.folder.mkdir(parents=True, exist_ok=True)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopping.set)
    secrets = playground.secrets()
    new = not (playground.folder / "erp.jsonl").exists()
    async with Sandbox(playground.folder, seed=plans.seed, hub_url=playground.hub_url) as sandbox:
        started = await sandbox.start(*plans.servers(secrets))
        servers = {system.value: started[system] for system in System if system in started}
        if new and System.ERP in plans.systems:
            await stock_shelves(sandbox)
        playground.write(secrets, servers)
        _announce(playground, servers, as_json)
        await stopping.wait()


def _announce(playground: _Playground, servers: Mapping[str, RunningServer], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "servers": [
                    {
                        "name": each.name,
                        "url": each.url,
                        "docs": f"{each.url}/docs",
                        "token": each.token,
                        "event_source": each.event_source,
                        "pid": each.pid,
                    }
                    for each in servers.values()
                ],
                "settings": str(playground.settings),
                "environment": str(playground.environment),
                "orders": str(playground.orders),
            }
        )
        return
    print_rows(
        ("system", "where", "docs", "token"),
        [(each.name, each.url, f"{each.url}/docs", each.token) for each in servers.values()],
    )
    print_heading(f"What connects Tallystick to them ({playground.settings})")
    typer.echo(playground.settings.read_text(encoding="utf-8"))
    environment = f"  . {shlex.quote(str(playground.environment))}"
    tell("In a second terminal, in this folder:")
    tell(environment)
    tell("  tallystick run")
    tell("In a third:")
    tell(environment)
    tell(f"  export {KEY_VARIABLE}=$(tallystick keys create me --role admin)")
    tell(f"  tallystick orders submit {shlex.quote(str(playground.orders))}")
    tell("Ctrl-C stops the sandbox.")


def _settings_text(hub_url: str, servers: Mapping[str, RunningServer]) -> str:
    port = urlsplit(hub_url).port
    lines = [
        "# Written by tallystick sandbox at each start. The variables it names are in the file environment beside it."
    ]
    if port:
        lines += ["", "[server]", f"port = {port}"]
    for server in servers.values():
        lines += ["", f"[systems.{server.name}]", f'kind = "sandbox_{server.system}"', f'url = "{server.url}"']
        lines += [f'token = {{ env = "{_variable(server.system, "token")}" }}']
        lines += [f'event_source = "{server.event_source}"']
        lines += [f'event_secret = {{ env = "{_variable(server.system, "event_secret")}" }}']
        lines += ["poll_seconds = 5"] if server.system == "erp" else []
    if System.ERP in servers:
        lines += ["", "[entities.default]", *(f'{server.system} = "{server.name}"' for server in servers.values())]
    return "\n".join(lines) + "\n"


def _variable(system: str, secret: str) -> str:
    return f"TALLYSTICK_SANDBOX_{system}_{secret}".upper()
