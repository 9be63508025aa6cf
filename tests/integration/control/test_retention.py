"""Retention: what is past its time goes, each kind after its own, and what is not stays."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from tallystick.control import retention
from tallystick.control.retention import apply_retention, keep_retention
from tallystick.mailbox.inbox import Entry, accept_entries, find_entries
from tallystick.settings import Retention
from tallystick.store.pool import Pool

SETTINGS = Retention(messages_days=30, lineage_days=400, audit_days=800, idempotency_days=7)


async def _write(pool: Pool, days_ago: int) -> None:
    """A row of each kind, so old."""
    at = datetime.now(UTC) - timedelta(days=days_ago)
    await pool.execute(
        """
        insert into message_log (id, entity, stage, system, kind, lane, payload, outcome, deliveries, attempts, created_at,
                                 finished_at)
        values (gen_random_uuid(), 'default', 'commitment', 'erp', 'commit_order', gen_random_uuid(), '{}', 'done', 1, 0, $1, $1)
        """,
        at,
    )
    await pool.execute(
        """
        insert into message_attempts (message_id, delivery, at, duration_ms, worker, failure, code, error)
        values (gen_random_uuid(), 1, $1, 0, 'w', 'transient', 'c', 'e')
        """,
        at,
    )
    await pool.execute(
        """
        insert into lineage (id, transaction_id, at, stage, fact)
        values (gen_random_uuid(), gen_random_uuid(), $1, 'intake', 'received')
        """,
        at,
    )
    await pool.execute(
        """
        insert into audit_entries (id, at, principal, action, object_type, object_id)
        values (gen_random_uuid(), $1, 'ann', 'system.pause', 'system', 'erp')
        """,
        at,
    )
    await pool.execute(
        "insert into inbox (source, key, payload_hash, status, received_at) values ('web', $1, '', 201, $2)",
        f"key-{days_ago}",
        at,
    )


async def _counts(pool: Pool) -> dict[str, int]:
    tables = ("message_log", "message_attempts", "lineage", "audit_entries", "inbox")
    return {table: await pool.fetchval(f"select count(*) from {table}") for table in tables}


async def test_each_kind_is_kept_for_its_own_time(pool: Pool) -> None:
    for days_ago in (0, 5, 100, 500, 1_000):
        await _write(pool, days_ago)
    kept = await apply_retention(pool, SETTINGS)
    assert await _counts(pool) == {
        "message_log": 2,
        "message_attempts": 2,
        "lineage": 3,
        "audit_entries": 4,
        "inbox": 2,
    }
    assert kept.forgotten == 3
    again = await apply_retention(pool, SETTINGS)
    assert (again.made, again.dropped, again.forgotten) == ((), (), 0)


async def test_a_key_past_its_time_may_be_used_anew(pool: Pool) -> None:
    await _write(pool, 8)
    entry = Entry("web", "key-8", b"other", status=201)
    async with pool.acquire() as connection:
        assert await accept_entries(connection, [entry]) == set()
        await apply_retention(pool, SETTINGS)
        assert await accept_entries(connection, [entry]) == {("web", "key-8")}
        assert (await find_entries(connection, [("web", "key-8")]))["web", "key-8"].payload_hash == b"other"


async def test_trouble_is_tried_again_and_ends_nothing(pool: Pool, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "_AGAIN_SECONDS", 0.05)
    await _write(pool, 100)
    await pool.execute("alter table inbox rename to inbox_elsewhere")
    with capture_logs() as logged:
        keeping = asyncio.create_task(keep_retention(pool, SETTINGS))
        await asyncio.sleep(0.3)
        await pool.execute("alter table inbox_elsewhere rename to inbox")
        await asyncio.sleep(0.5)
        keeping.cancel()
    events = [each["event"] for each in logged]
    assert events[0] == "retention_not_applied"
    assert events[-1] == "retention_applied"
    assert (await _counts(pool))["inbox"] == 0
