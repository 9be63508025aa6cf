"""`tallystick keys`: make, list and revoke API keys, straight in the database; the first admin's key is made here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.application import START, SettingsFile, app, with_database
from tallystick.cli.failure import CommandFailed, WrongUse
from tallystick.cli.terminal import AsJson, print_json, print_rows
from tallystick.control.access import PERMISSIONS

if TYPE_CHECKING:
    from tallystick.control.keys import NewKey
    from tallystick.store.pool import Pool

commands = typer.Typer(help="API keys, straight in the database of the settings.", no_args_is_help=True)
app.add_typer(commands, name="keys", rich_help_panel=START)


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="The principal the key is for, such as webshop or jane.doe.")],
    role: Annotated[list[str], typer.Option(help=f"One or more of: {', '.join(sorted(PERMISSIONS))}.")],
    entity: Annotated[list[str] | None, typer.Option(help="Entities it acts for; default all.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Permissions to narrow it to, such as orders.create; default: all of its roles."),
    ] = None,
    valid_days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")] = 365,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. The secret is shown once, on stdout, and kept nowhere.

    Example: `export TALLYSTICK_KEY=$(tallystick keys create jane.doe --role admin)`
    """
    from tallystick.control.audit import AuditEntry, write_audit
    from tallystick.control.keys import create_key

    entities = entity or ["*"]

    async def action(pool: Pool) -> NewKey:
        expires_at = datetime.now(UTC) + timedelta(days=valid_days)
        try:
            async with pool.acquire() as connection, connection.transaction():
                made = await create_key(connection, name, role, entities, scopes=scope or None, expires_at=expires_at)
                detail = {"principal": name, "roles": role, "entities": entities, "scopes": scope or None}
                await write_audit(connection, [AuditEntry("command line", "key.create", "key", made.id, detail=detail)])
                return made
        except ValueError as error:
            raise WrongUse(str(error)) from None

    made = with_database(settings, action)
    if as_json:
        print_json({"id": made.id, "key": made.secret, "expires_at": made.expires_at})
    else:
        typer.echo(made.secret)


@commands.command("list")
def list_all(settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """List keys without their secrets."""
    from tallystick.control.keys import list_keys

    async def action(pool: Pool) -> list[dict[str, Any]]:
        async with pool.acquire() as connection:
            return await list_keys(connection)

    found = with_database(settings, action)
    if as_json:
        print_json({"items": found})
        return
    print_rows(
        ("id", "principal", "roles", "entities", "expires", "revoked", "last used"),
        [
            (
                each["id"],
                each["principal"],
                ", ".join(each["roles"]),
                ", ".join(each["entities"]),
                f"{each['expires_at']:%Y-%m-%d}" if each["expires_at"] else "never",
                f"{each['revoked_at']:%Y-%m-%d %H:%M}Z" if each["revoked_at"] else "",
                f"{each['last_used_at']:%Y-%m-%d %H:%M}Z" if each["last_used_at"] else "never",
            )
            for each in found
        ],
        empty="no keys yet; make one: tallystick keys create NAME --role admin",
    )


@commands.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id in `keys list`.")],
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key; it stops working within five seconds."""
    from tallystick.control.audit import AuditEntry, write_audit
    from tallystick.control.keys import revoke_key

    async def action(pool: Pool) -> bool:
        async with pool.acquire() as connection, connection.transaction():
            revoked = await revoke_key(connection, key_id)
            if revoked:
                await write_audit(connection, [AuditEntry("command line", "key.revoke", "key", key_id)])
            return revoked

    if not with_database(settings, action):
        raise CommandFailed(f"there is no valid key {key_id!r}; see tallystick keys list")
    if as_json:
        print_json({"revoked": key_id})
