"""Metrics tell what waits and what is wrong, readiness whether this server can work; both answer without a database."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from tests.integration.control.conftest import MakeTransaction

from tallystick.control.exceptions import ExceptionOpening, open_exceptions
from tallystick.control.health import check_readiness
from tallystick.control.metrics import Metrics
from tallystick.mailbox.messages import Message
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.store.pool import Pool, open_pool


def value(text: str, series: str) -> float | None:
    """A series' value in the exposition text."""
    lines = [line for line in text.splitlines() if line.startswith(series + " ")]
    return float(lines[0].rsplit(" ", 1)[1]) if lines else None


async def test_what_waits_and_what_is_wrong_is_measured(pool: Pool, make_transaction: MakeTransaction) -> None:
    transaction_id = await make_transaction()
    late = timedelta(hours=-1)
    async with pool.acquire() as connection, connection.transaction():
        message = Message("commitment", "erp", "commit_order", transaction_id, {}, transaction_id=transaction_id)
        await PostgresCarrier().offer(
            connection, [message, message.__class__("commitment", "erp", "x", transaction_id, {})]
        )
        await open_exceptions(
            connection,
            [
                ExceptionOpening("east", "order.held", "intake", "a", money_at_risk=700, currency="USD"),
                ExceptionOpening("east", "order.held", "intake", "b", money_at_risk=50, currency="EUR", due_in=late),
            ],
        )
        await connection.execute("insert into system_states (system, paused) values ('erp', true), ('wms', false)")
        await connection.execute("insert into replica_feeds (system, complete) values ('erp', true), ('new', false)")
    text = (await Metrics(pool).render()).decode()
    assert value(text, 'tallystick_messages{stage="commitment",state="waiting",system="erp"}') == 2
    assert value(text, 'tallystick_exceptions_open{type="order.held"}') == 2
    assert value(text, "tallystick_exceptions_past_due") == 1
    assert value(text, 'tallystick_money_at_risk{currency="USD"}') == 700
    assert value(text, 'tallystick_money_at_risk{currency="EUR"}') == 50
    assert value(text, 'tallystick_system_available{system="erp"}') == 0
    assert value(text, 'tallystick_system_available{system="wms"}') == 1
    assert value(text, 'tallystick_replica_age_seconds{system="erp"}') is not None
    assert value(text, 'tallystick_replica_age_seconds{system="new"}') is None
    assert value(text, "tallystick_database_up") == 1


async def test_a_server_is_ready_with_the_schema_it_needs(pool: Pool) -> None:
    assert (await check_readiness(pool)).ready
    await pool.execute("update alembic_version set version_num = '0001'")
    assert await readiness(pool) == ("ok", "older", False)
    await pool.execute("update alembic_version set version_num = '9999'")
    assert await readiness(pool) == ("ok", "newer", True)
    await pool.execute("drop table alembic_version")
    assert await readiness(pool) == ("ok", "missing", False)


async def readiness(pool: Pool) -> tuple[str, str, bool]:
    found = await check_readiness(pool)
    return found.database, found.schema, found.ready


async def test_without_a_database_both_answer_and_say_so(database: str) -> None:
    pool = await open_pool(database, size=2)
    metrics = Metrics(pool)
    pool.terminate()
    assert await readiness(pool) == ("no answer", "unknown", False)
    assert value((await metrics.render()).decode(), "tallystick_database_up") == 0
    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetchval("select 1")
