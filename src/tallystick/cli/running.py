"""`tallystick run`, `api` and `worker`: what they say when they start, so that nobody has to guess what they serve."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
from rich.text import Text

import tallystick
from tallystick.cli.application import OPERATE, START, SettingsFile, app
from tallystick.cli.terminal import errors
from tallystick.settings import Settings, load_settings

if TYPE_CHECKING:
    from tallystick.stages.flow import Flow

_log = structlog.get_logger("tallystick")
Host = Annotated[str | None, typer.Option(help="Address to listen on; default: server.host.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one; default: server.port.")
]


@app.command(rich_help_panel=START)
def run(settings: SettingsFile = None, host: Host = None, port: Port = None) -> None:
    """Serve the API and a worker on one port, until Ctrl-C. Without settings the database is embedded.

    Everything needed at the start is said on stderr: where it listens, which database and entities it has, what to do next.
    """
    _serve(load_settings(settings), host, port, with_worker=True)


@app.command(rich_help_panel=OPERATE)
def api(settings: SettingsFile = None, host: Host = None, port: Port = None) -> None:
    """Serve the API only, until Ctrl-C; run workers beside it."""
    _serve(load_settings(settings), host, port, with_worker=False)


@app.command(rich_help_panel=OPERATE)
def worker(settings: SettingsFile = None) -> None:
    """Run a worker only, until Ctrl-C; any number may share one database."""
    from tallystick.cli.serving import run_worker

    loaded = load_settings(settings)

    async def started(flow: Flow) -> None:
        _say("tallystick", f"{tallystick.__version__}, a worker")
        _say_installation(loaded)
        _log.info("worker_started", systems=sorted(flow.systems))

    run_worker(loaded, started)


def _serve(loaded: Settings, host: str | None, port: int | None, *, with_worker: bool) -> None:
    from tallystick.cli.serving import bind, serve

    server = loaded.server
    listener = bind(host or server.host, server.port if port is None else port)

    async def started(flow: Flow) -> None:
        url = _url_of(listener)
        parts = "API and worker" if with_worker else "API without a worker"
        _say(
            "tallystick",
            f"{tallystick.__version__}, {parts} on {url}" + (f", docs at {url}/docs" if server.docs else ""),
        )
        _say_installation(loaded)
        if not await _has_valid_key(flow):
            _say("next", "there is no API key yet: tallystick keys create NAME --role admin")
        _log.info("server_started", url=url, worker=with_worker)

    serve(loaded, listener, with_worker=with_worker, started=started)


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say_installation(loaded: Settings) -> None:
    if loaded.database.url is None:
        _say("database", f"embedded in {loaded.database.data_folder.absolute()}")
    else:
        from sqlalchemy.engine import make_url

        url = make_url(loaded.database.url.get_secret_value())
        _say("database", f"{url.database} at {url.host or 'a local socket'}")
    if loaded.entities:
        _say("entities", ", ".join(f"{name} (erp {each.erp})" for name, each in loaded.entities.items()))
    else:
        _say(
            "entities",
            "none, so every order is refused; write settings with 'tallystick init', or try 'tallystick sandbox'",
        )


def _say(subject: str, text: str) -> None:
    errors.print(Text.assemble((f"{subject:<10} ", "bold"), text))


async def _has_valid_key(flow: Flow) -> bool:
    from tallystick.control.keys import list_keys

    now = datetime.now(UTC)
    async with flow.pool.acquire() as connection:
        return any(
            each["revoked_at"] is None and (each["expires_at"] is None or each["expires_at"] > now)
            for each in await list_keys(connection)
        )
