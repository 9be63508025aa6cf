"""Opens an installation from its settings: the database with its schema, the connected systems, and the flow over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from sqlalchemy.exc import ArgumentError, DBAPIError

from tallystick.settings import Settings, SettingsError
from tallystick.stages.flow import Flow
from tallystick.store.embedded import database_url, embedded_folder, keep_embedded
from tallystick.store.migrate import schema_status, upgrade_schema
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.ports import Operation, System
from tallystick.systems.registry import connect, require

_ERP_NEEDS = (
    Operation.READ_CUSTOMERS,
    Operation.READ_PRICES,
    Operation.READ_STOCK,
    Operation.READ_CREDIT,
    Operation.COMMIT_ORDER,
    Operation.RECORD_SHIPMENT,
    Operation.INVOICE_SHIPMENT,
    Operation.RECORD_PAYMENT,
)
# Nobody there, not let in, no such database, or an address that is none.
_NO_DATABASE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ArgumentError, DBAPIError)


def connect_systems(settings: Settings) -> dict[str, System]:
    """All configured systems; none is called yet. Raises SettingsError in one line."""
    systems = {name: connect(name, each.kind, each.options) for name, each in settings.systems.items()}
    for entity in settings.entities.values():
        needs = (
            (entity.erp, _ERP_NEEDS),
            (entity.tax, (Operation.CALCULATE_TAX,)),
            (entity.wms, (Operation.REQUEST_SHIPMENT,)),
            (entity.payments, (Operation.REQUEST_PAYMENT,)),
            (entity.crm, (Operation.PUBLISH_STATUS,)),
            *((listener, (Operation.PUBLISH_STATUS,)) for listener in entity.channels.values()),
        )
        for system, operations in needs:
            if system is not None:
                require(systems[system], operations)
    return systems


@contextmanager
def database_answers(settings: Settings) -> Iterator[None]:
    """Whatever fails inside because the database can't be reached raises SettingsError in one line."""
    try:
        yield
    except _NO_DATABASE as error:
        where = "TALLYSTICK_DATABASE_URL or database.url" if settings.database.url else "database.data_folder"
        said = str(error.__cause__ if isinstance(error, DBAPIError) else error) or type(error).__name__
        raise SettingsError(
            f"{where}: the database does not answer ({said}); start it or correct the setting"
        ) from error


@asynccontextmanager
async def open_database(settings: Settings, *, upgrade: bool = True, size: int | None = None) -> AsyncIterator[Pool]:
    """A pool on the installation's database; with `upgrade` its schema is brought up to date first.

    Raises SettingsError in one line when the database can't be reached or its schema is another version's.
    """
    url = database_url(settings)
    with database_answers(settings):
        status = await (upgrade_schema(url) if upgrade else schema_status(url))
        if not status.up_to_date:
            raise SettingsError(
                f"database: its schema is at {status.current or 'nothing'}, this version needs {status.needed}; "
                "run 'tallystick db upgrade'"
            )
        pool = await open_pool(url, size=size or settings.database.pool_size)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def _database_kept(settings: Settings) -> AsyncIterator[None]:
    """An embedded server is started again when it ends by whatever cause; another one is somebody else's care."""
    if settings.database.url is not None:
        yield
        return
    keeping = asyncio.create_task(keep_embedded(embedded_folder(settings)))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@asynccontextmanager
async def open_flow(settings: Settings, *, upgrade: bool = True) -> AsyncIterator[Flow]:
    """The flow of an installation: its database, as `open_database` gives it, and its connected systems.

    Raises SettingsError in one line.
    """
    systems = connect_systems(settings)
    async with open_database(settings, upgrade=upgrade) as pool, _database_kept(settings):
        try:
            yield Flow(pool, settings, systems)
        finally:
            for system in systems.values():
                await system.close()
