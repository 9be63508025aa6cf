"""`tallystick keys`: make, list and revoke API keys, straight in the database; the first admin's key is made here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tallystick.cli.application import SettingsFile, app, with_settings
from tallystick.control.access import PERMISSIONS
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.keys import NewKey, create_key, list_keys, revoke_key
from tallystick.settings import Settings, SettingsError
from tallystick.store.embedded import database_url
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import open_pool

commands = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(commands, name="keys")
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="The principal the key is for, such as webshop or jane.doe.")],
    role: Annotated[list[str], typer.Option(help=f"One or more of: {', '.join(sorted(PERMISSIONS))}.")],
    entity: Annotated[list[str] | None, typer.Option(help="Entities it acts for; default all.")] = None,
    valid_days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")] = 365,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. The secret is shown once, on stdout, and kept nowhere."""

    async def action(loaded: Settings) -> NewKey:
        url = database_url(loaded)
        await upgrade_schema(url)
        pool = await open_pool(url, size=2)
        try:
            async with pool.acquire() as connection, connection.transaction():
                expires_at = datetime.now(UTC) + timedelta(days=valid_days)
                made = await create_key(connection, name, role, entity or ["*"], expires_at=expires_at)
                detail = {"roles": role, "entities": entity or ["*"]}
                await write_audit(connection, [AuditEntry("command line", "key.create", "key", made.id, detail=detail)])
                return made
        except ValueError as error:
            raise SettingsError(str(error)) from None
        finally:
            await pool.close()

    made = with_settings(settings, action)
    if as_json:
        typer.echo(json.dumps({"id": made.id, "key": made.secret, "expires_at": str(made.expires_at)}))
    else:
        typer.echo(made.secret)


@commands.command("list")
def list_all(settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """List keys without their secrets."""

    async def action(loaded: Settings) -> list[dict[str, Any]]:
        pool = await open_pool(database_url(loaded), size=2)
        try:
            async with pool.acquire() as connection:
                return await list_keys(connection)
        finally:
            await pool.close()

    found = with_settings(settings, action)
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    table = Table("id", "principal", "roles", "entities", "expires", "revoked", "last used")
    for each in found:
        table.add_row(
            each["id"],
            each["principal"],
            ", ".join(each["roles"]),
            ", ".join(each["entities"]),
            f"{each['expires_at']:%Y-%m-%d}" if each["expires_at"] else "never",
            f"{each['revoked_at']:%Y-%m-%d %H:%M}" if each["revoked_at"] else "",
            f"{each['last_used_at']:%Y-%m-%d %H:%M}" if each["last_used_at"] else "never",
        )
    Console().print(table)


@commands.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id in `keys list`.")], settings: SettingsFile = None
) -> None:
    """Revoke a key; it stops working within five seconds."""

    async def action(loaded: Settings) -> bool:
        pool = await open_pool(database_url(loaded), size=2)
        try:
            async with pool.acquire() as connection, connection.transaction():
                entry = AuditEntry("command line", "key.revoke", "key", key_id)
                await write_audit(connection, [entry])
                return await revoke_key(connection, key_id)
        finally:
            await pool.close()

    if not with_settings(settings, action):
        typer.echo(f"there is no valid key {key_id!r}", err=True)
        raise typer.Exit(1)
