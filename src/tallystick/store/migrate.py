"""Bring a database's schema to this version, one process at a time, and say where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from tallystick.settings import SettingsError

# Any fixed number: whoever migrates holds this advisory lock, so two starting processes never migrate at once.
_MIGRATION_LOCK = 7_411_571_163


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The schema's revision in the database and the one this program needs."""

    current: str | None
    needed: str

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is left to upgrade."""
        return self.current == self.needed


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """All revisions this program knows, the oldest first; the last is the one it needs."""
    return tuple(each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def _status(connection: Connection) -> SchemaStatus:
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    return SchemaStatus(MigrationContext.configure(connection).get_current_revision(), needed or "")


def _upgrade(connection: Connection) -> SchemaStatus:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    found = _status(connection)
    if found.current is not None and found.current not in known_revisions():
        raise SettingsError(
            f"database: its schema is at {found.current!r}, which this version does not know (it needs {found.needed!r}); "
            "run the version that upgraded it, or a newer one"
        )
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return _status(connection)


async def _ask(url: str, act: Callable[[Connection], SchemaStatus]) -> SchemaStatus:
    """Act in one transaction, on a connection that is opened as the pool opens its own: one URL means the same to both."""
    try:
        opened = await asyncpg.connect(url)
    except asyncpg.InterfaceError:
        raise
    except ValueError as error:  # a port that is no number
        raise asyncpg.ClientConfigurationError(f"invalid URL: {error}") from error

    async def hand_over() -> asyncpg.Connection[asyncpg.Record]:
        return opened

    engine = create_async_engine("postgresql+asyncpg://", async_creator=hand_over, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(act)
    finally:
        await engine.dispose()
        await opened.close()


async def upgrade_schema(url: str) -> SchemaStatus:
    """Upgrade to the newest revision in one transaction; a no-op when there. Safe to call from many processes at once.

    Raises SettingsError when a newer version has upgraded it already; OSError, asyncpg.PostgresError or
    asyncpg.InterfaceError when the database can't be reached.
    """
    return await _ask(url, _upgrade)


async def schema_status(url: str) -> SchemaStatus:
    """Where the schema stands, without changing it. Raises what `upgrade_schema` does when the database can't be reached."""
    return await _ask(url, _status)
