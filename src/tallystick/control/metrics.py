"""Prometheus metrics: what the business waits for, by set-based queries at most every ten seconds, and the process's own."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from tallystick.store.pool import Pool

METRICS_TYPE = CONTENT_TYPE_LATEST
_FRESH_SECONDS = 10.0

_registry = CollectorRegistry()
_messages = Gauge("tallystick_messages", "Live messages", ["stage", "system", "state"], registry=_registry)
_oldest = Gauge(
    "tallystick_oldest_message_seconds", "Age of the oldest live message", ["stage", "system"], registry=_registry
)
_exceptions = Gauge("tallystick_exceptions_open", "Open exceptions", ["type"], registry=_registry)
_past_due = Gauge("tallystick_exceptions_past_due", "Open exceptions past their due time", registry=_registry)
_systems = Gauge(
    "tallystick_system_available", "1 unless paused or its breaker is open", ["system"], registry=_registry
)
_read_at = 0.0


async def render_metrics(pool: Pool) -> bytes:
    """The exposition text. Four bounded queries, at most every ten seconds however often it is scraped."""
    global _read_at
    if time.monotonic() - _read_at > _FRESH_SECONDS:
        _read_at = time.monotonic()
        await _read(pool)
    return generate_latest(_registry) + generate_latest(REGISTRY)


async def _read(pool: Pool) -> None:
    async with pool.acquire() as connection:
        messages = await connection.fetch(
            """
            select stage, system, case when state = 'dead' then 'dead' when claimed_by is null then 'waiting' else 'in_flight' end
                as state, count(*) as count, extract(epoch from now() - min(created_at))::float8 as seconds
            from messages group by 1, 2, 3
            """
        )
        exceptions = await connection.fetch(
            """
            select type, count(*) as count, count(*) filter (where due_at < now()) as past_due
            from exceptions where state = 'open' group by type
            """
        )
        systems = await connection.fetch("select system, paused or breaker = 'open' as away from system_states")
    for gauge in (_messages, _oldest, _exceptions):
        gauge.clear()
    for row in messages:
        _messages.labels(row["stage"], row["system"], row["state"]).set(row["count"])
        if row["state"] == "waiting":
            _oldest.labels(row["stage"], row["system"]).set(row["seconds"])
    for row in exceptions:
        _exceptions.labels(row["type"]).set(row["count"])
    _past_due.set(sum(row["past_due"] for row in exceptions))
    for row in systems:
        _systems.labels(row["system"]).set(0 if row["away"] else 1)
