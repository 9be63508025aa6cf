"""Prometheus metrics: what waits and what is wrong, by a few set-based queries now and then, and what this process did."""

from __future__ import annotations

import asyncio
import time

import asyncpg
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from tallystick.store.pool import Pool

METRICS_TYPE = CONTENT_TYPE_LATEST
_FRESH_SECONDS = 10.0
_LONGEST_READ_SECONDS = 5.0
_LATENCIES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One server's metrics. The counters are this process's own; the gauges are the installation's, from the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._registry = registry = CollectorRegistry()
        self.requests = Histogram(
            "tallystick_http_request_seconds",
            "Requests by operation and status",
            ["method", "operation", "status"],
            buckets=_LATENCIES,
            registry=registry,
        )
        self.orders = Counter(
            "tallystick_orders", "Orders answered, by decision, conflict or repetition", ["answer"], registry=registry
        )
        self.events = Counter("tallystick_events", "Events answered, by code", ["code"], registry=registry)
        self._database = Gauge("tallystick_database_up", "1 when the database answered", registry=registry)
        self._messages = Gauge("tallystick_messages", "Live messages", ["stage", "system", "state"], registry=registry)
        self._oldest = Gauge(
            "tallystick_oldest_message_seconds",
            "Age of the oldest waiting message",
            ["stage", "system"],
            registry=registry,
        )
        self._exceptions = Gauge("tallystick_exceptions_open", "Open exceptions", ["type"], registry=registry)
        self._at_risk = Gauge(
            "tallystick_money_at_risk", "Minor units at risk in open exceptions", ["currency"], registry=registry
        )
        self._past_due = Gauge(
            "tallystick_exceptions_past_due", "Open exceptions past their due time", registry=registry
        )
        self._systems = Gauge(
            "tallystick_system_available", "1 unless paused or its breaker is open", ["system"], registry=registry
        )
        self._replicas = Gauge(
            "tallystick_replica_age_seconds",
            "Since the feed last said that a replica is whole",
            ["system"],
            registry=registry,
        )

    async def render(self) -> bytes:
        """The exposition text. Four bounded queries, at most every ten seconds however often it is scraped.

        While the database is away it still answers: `tallystick_database_up` is 0 and the gauges are gone.
        """
        async with self._reading:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                await self._read()
                self._read_at = time.monotonic()
        return generate_latest(self._registry) + generate_latest(REGISTRY)

    async def _read(self) -> None:
        for gauge in (self._messages, self._oldest, self._exceptions, self._at_risk, self._systems, self._replicas):
            gauge.clear()
        try:
            async with asyncio.timeout(_LONGEST_READ_SECONDS), self._pool.acquire() as connection:
                messages = await connection.fetch(_MESSAGES)
                exceptions = await connection.fetch(_EXCEPTIONS)
                systems = await connection.fetch("select system, paused or breaker = 'open' as away from system_states")
                replicas = await connection.fetch(
                    "select system, extract(epoch from now() - refreshed_at)::float8 as seconds from replica_feeds where complete"
                )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._database.set(0)
            return
        self._database.set(1)
        for row in messages:
            self._messages.labels(row["stage"], row["system"], row["state"]).set(row["count"])
            if row["state"] == "waiting":
                self._oldest.labels(row["stage"], row["system"]).set(row["seconds"])
        self._past_due.set(sum(row["past_due"] for row in exceptions))
        for row in exceptions:
            self._exceptions.labels(row["type"]).inc(row["count"])
            if row["currency"]:
                self._at_risk.labels(row["currency"]).inc(row["money"])
        for row in systems:
            self._systems.labels(row["system"]).set(0 if row["away"] else 1)
        for row in replicas:
            self._replicas.labels(row["system"]).set(row["seconds"])


_MESSAGES = """
    select stage, system, case when state = 'dead' then 'dead' when claimed_by is null then 'waiting' else 'in_flight' end
        as state, count(*) as count, extract(epoch from now() - min(created_at))::float8 as seconds
    from messages group by 1, 2, 3
"""
_EXCEPTIONS = """
    select type, currency, count(*) as count, count(*) filter (where due_at < now()) as past_due,
           sum(money_at_risk)::float8 as money
    from exceptions where state = 'open' group by type, currency
"""
