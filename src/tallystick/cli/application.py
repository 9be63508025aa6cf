"""The Typer application and what all commands share: settings and the installation's database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

import tallystick
from tallystick.logs import configure_logs
from tallystick.settings import Settings, load_settings

if TYPE_CHECKING:
    from tallystick.store.pool import Pool

Answer = TypeVar("Answer")
HELP = """
Tallystick keeps what sales promised and what finance booked in agreement.

Start here: `tallystick sandbox` gives you systems to try it on, `tallystick init` a settings file for your own,
`tallystick keys create` a key, and `tallystick run` serves it all.

`orders`, `transactions`, `exceptions`, `messages` and `systems` talk to a running Tallystick at `--url`
(or TALLYSTICK_URL), with the API key in TALLYSTICK_KEY. `--json` prints JSON for programs, and nothing else, on stdout.

Exit codes: **0** done, **1** refused or something did not hold, **2** wrong use, wrong settings or nobody answers,
**130** interrupted. `run`, `api`, `worker` and `sandbox` end with 0 when Ctrl-C or SIGTERM stopped them.
"""
START, WORK, OPERATE, BOOKS = "Start", "Work with a running Tallystick", "Operate", "Books"
"""How --help groups the commands."""
app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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


def with_settings(path: Path | None, action: Callable[[Settings], Awaitable[Answer]]) -> Answer:
    """Run one asynchronous command with its settings."""
    settings = load_settings(path)

    async def main() -> Answer:
        return await action(settings)

    return asyncio.run(main())


def with_database(path: Path | None, action: Callable[[Pool], Awaitable[Answer]]) -> Answer:
    """Run one asynchronous command on the installation's database, with its schema brought up to date."""
    # Here and in other commands: what takes long to import is imported by who needs it, so that the rest start at once.
    from tallystick.installation import open_database

    async def main(settings: Settings) -> Answer:
        async with open_database(settings, size=2) as pool:
            return await action(pool)

    return with_settings(path, main)
