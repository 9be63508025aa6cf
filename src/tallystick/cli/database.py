"""`tallystick db`: bring the schema up to date, or say where it stands."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tallystick.cli.application import SettingsFile, app, with_settings
from tallystick.settings import Settings
from tallystick.store.embedded import database_url
from tallystick.store.migrate import SchemaStatus, schema_status, upgrade_schema

commands = typer.Typer(help="The database's schema.", no_args_is_help=True)
app.add_typer(commands, name="db")


@commands.command()
def upgrade(settings: SettingsFile = None) -> None:
    """Bring the schema to this version. Safe while the system runs, and from many machines at once."""

    async def action(loaded: Settings) -> SchemaStatus:
        return await upgrade_schema(database_url(loaded))

    status = with_settings(settings, action)
    typer.echo(f"schema at {status.current}")


@commands.command()
def status(
    settings: SettingsFile = None, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Say which revision the schema has and which is needed; exit 1 when they differ."""

    async def action(loaded: Settings) -> SchemaStatus:
        return await schema_status(database_url(loaded))

    found = with_settings(settings, action)
    if as_json:
        typer.echo(json.dumps({"current": found.current, "needed": found.needed, "up_to_date": found.up_to_date}))
    else:
        typer.echo(f"schema at {found.current or 'nothing'}, needed {found.needed}")
    raise typer.Exit(0 if found.up_to_date else 1)
