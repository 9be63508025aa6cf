"""Opens an installation from its settings: the database with its schema, the connected systems, and the flow over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tallystick.settings import Settings, SettingsError
from tallystick.stages.flow import Flow
from tallystick.store.embedded import database_url
from tallystick.store.migrate import schema_status, upgrade_schema
from tallystick.store.pool import open_pool
from tallystick.systems.ports import Operation, Role, System
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


def connect_systems(settings: Settings) -> dict[str, System]:
    """All configured systems; none is called yet. Raises SettingsError in one line."""
    systems = {name: connect(name, each.kind, each.options) for name, each in settings.systems.items()}
    for name, entity in settings.entities.items():
        needs = (
            (entity.erp, _ERP_NEEDS, Role.ERP),
            (entity.tax, (Operation.CALCULATE_TAX,), Role.TAX),
            (entity.wms, (Operation.REQUEST_SHIPMENT,), Role.WMS),
            (entity.payments, (Operation.REQUEST_PAYMENT,), Role.PAYMENTS),
            (entity.crm, (Operation.PUBLISH_STATUS,), Role.CRM),
        )
        for system, operations, role in needs:
            if system is None:
                continue
            if system not in systems:
                raise SettingsError(f"entities.{name}.{role}: there is no [systems.{system}]")
            require(systems[system], operations)
    return systems


@asynccontextmanager
async def open_flow(settings: Settings, *, upgrade: bool = True) -> AsyncIterator[Flow]:
    """The flow of an installation; with `upgrade` the schema is brought up to date first.

    Raises SettingsError in one line when the database can't be reached or its schema is another version's.
    """
    systems = connect_systems(settings)
    url = database_url(settings)
    try:
        status = await (upgrade_schema(url) if upgrade else schema_status(url))
        if not status.up_to_date:
            raise SettingsError(
                f"database: its schema is at {status.current or 'nothing'}, this version needs {status.needed}; "
                "run 'tallystick db upgrade'"
            )
        pool = await open_pool(url, size=settings.database.pool_size)
    except (OSError, asyncpg.PostgresError) as error:
        where = (settings.database.url and "TALLYSTICK_DATABASE_URL or database.url") or "database.data_folder"
        raise SettingsError(
            f"{where}: the database does not answer ({error}); start it or correct the setting"
        ) from error
    try:
        yield Flow(pool, settings, systems)
    finally:
        for system in systems.values():
            await system.close()
        await pool.close()
