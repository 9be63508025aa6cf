"""The Typer application and what all commands share: settings, the flow for one command, and how errors end a command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

import tallystick
from tallystick.cli.serving import run_worker, serve
from tallystick.logs import configure_logs
from tallystick.settings import Settings, SettingsError, load_settings

Answer = TypeVar("Answer")
HELP = """
Tallystick keeps what sales promised and what finance booked in agreement.

Exit codes: 0 done, 1 something did not hold or was refused, 2 wrong use or wrong settings.
"""
app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
errors = Console(stderr=True)
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", "-c", help="Settings file; default: $TALLYSTICK_SETTINGS or ./tallystick.toml"),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tallystick {tallystick.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    configure_logs()


@app.command()
def run(settings: SettingsFile = None) -> None:
    """Serve the API with a worker on one port, until Ctrl-C. Without settings the database is embedded."""
    loaded = load_settings(settings)
    errors.print(
        f"tallystick {tallystick.__version__} on http://{loaded.server.host}:{loaded.server.port} (docs at /docs)"
    )
    serve(loaded)


@app.command()
def api(settings: SettingsFile = None) -> None:
    """Serve the API only; run workers beside it."""
    serve(load_settings(settings), with_worker=False)


@app.command()
def worker(settings: SettingsFile = None) -> None:
    """Run a worker only; any number may share one database."""
    run_worker(load_settings(settings))


def main() -> None:
    """The program's entry point; every expected error is one line on stderr."""
    from tallystick.cli import database, keys  # noqa: F401 - they register their commands

    try:
        app()
    except SettingsError as error:
        errors.print(f"[red]tallystick:[/red] {error}", highlight=False)
        sys.exit(2)


def with_settings(path: Path | None, action: Callable[[Settings], Awaitable[Answer]]) -> Answer:
    """Run one asynchronous command with its settings."""
    settings = load_settings(path)

    async def main() -> Answer:
        return await action(settings)

    return asyncio.run(main())
