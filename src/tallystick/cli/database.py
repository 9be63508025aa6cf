"""`tallystick db`: bring the schema up to date, or say where it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import typer

from tallystick.cli.application import OPERATE, SettingsFile, app, with_settings
from tallystick.cli.terminal import AsJson, print_json
from tallystick.settings import Settings

if TYPE_CHECKING:
    from tallystick.store.migrate import SchemaStatus

commands = typer.Typer(help="The database's schema.", no_args_is_help=True)
app.add_typer(commands, name="db", rich_help_panel=OPERATE)


@commands.command()
def upgrade(settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """Bring the schema to this version. Safe while the system runs, and from many machines at once."""
    from tallystick.store.migrate import upgrade_schema

    _show(with_settings(settings, _asking(upgrade_schema)), as_json)


@commands.command()
def status(settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """Say which revision the schema has and which is needed; exit 1 when they differ."""
    from tallystick.store.migrate import schema_status

    found = with_settings(settings, _asking(schema_status))
    _show(found, as_json)
    raise typer.Exit(0 if found.up_to_date else 1)


def _asking(ask: Callable[[str], Awaitable[SchemaStatus]]) -> Callable[[Settings], Awaitable[SchemaStatus]]:
    from tallystick.installation import database_answers
    from tallystick.store.embedded import database_url

    async def asked(loaded: Settings) -> SchemaStatus:
        url = database_url(loaded)
        with database_answers(loaded):
            return await ask(url)

    return asked


def _show(found: SchemaStatus, as_json: bool) -> None:
    if as_json:
        print_json({"current": found.current, "needed": found.needed, "up_to_date": found.up_to_date})
    else:
        typer.echo(f"schema at {found.current or 'nothing'}, needed {found.needed}")
