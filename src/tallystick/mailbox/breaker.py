"""Whether a system may be called now: paused by a person, broken open by failures, throttled, or free. Shared by all workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.settings import SystemSettings
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure, Throttled, Unavailable

SYSTEMS_CHANNEL = "tallystick_systems"
_PROBE_SECONDS = 30.0


@dataclass(slots=True)
class _Gate:
    """What this worker knows of one system; instants are of the monotonic clock."""

    paused: bool = False
    breaker: str = "closed"
    closed_until: float = 0.0
    failures: int = 0
    throttled_until: float = 0.0


@dataclass(slots=True)
class Breakers:
    """The gates of all systems, kept in `system_states`, learnt anew when somebody changes them."""

    pool: Pool
    systems: Mapping[str, SystemSettings]
    _gates: dict[str, _Gate] = field(default_factory=dict)

    async def learn(self) -> None:
        """Read all states; rows of systems never seen are made."""
        async with self.pool.acquire() as connection:
            await connection.execute(
                "insert into system_states (system) select unnest($1::text[]) on conflict do nothing",
                sorted(self.systems),
            )
            rows = await connection.fetch(
                """
                select system, paused, breaker, consecutive_failures,
                       coalesce(extract(epoch from breaker_until - now())::float8, 0) as seconds
                from system_states
                """
            )
        now = time.monotonic()
        for row in rows:
            gate = self._gates.setdefault(row["system"], _Gate())
            gate.paused = row["paused"]
            gate.breaker = row["breaker"]
            gate.closed_until = now + row["seconds"]
            gate.failures = row["consecutive_failures"]

    def wait_seconds(self, system: str) -> float | None:
        """How long until the system may be tried: 0 is now, None is until somebody resumes it."""
        gate = self._gates.setdefault(system, _Gate())
        if gate.paused:
            return None
        now = time.monotonic()
        wait = gate.throttled_until - now
        if gate.breaker != "closed":
            wait = max(wait, gate.closed_until - now)
        return max(0.0, wait)

    async def admit(self, system: str, limit: int) -> int:
        """How many messages may go to the system now: none, one as the probe of an open breaker, or up to `limit`."""
        if self.wait_seconds(system) != 0.0:
            return 0
        if self._gates[system].breaker != "closed":
            return await self._probe(system)
        rate = self.systems[system].calls_per_second if system in self.systems else None
        return limit if rate is None else await self._take_tokens(system, limit, rate)

    async def _probe(self, system: str) -> int:
        """Only the worker whose update wins may send the one message that tries an open breaker."""
        won = await self.pool.fetchval(
            """
            update system_states set breaker = 'half_open', breaker_until = now() + make_interval(secs => $2), updated_at = now()
            where system = $1 and breaker <> 'closed' and breaker_until <= now()
            returning true
            """,
            system,
            _PROBE_SECONDS,
        )
        if not won:
            await self.learn()
        return 1 if won else 0

    async def _take_tokens(self, system: str, limit: int, rate: float) -> int:
        """A token bucket in the database, so that all workers together keep to the system's rate."""
        granted = await self.pool.fetchval(
            """
            with bucket as (
                select system, least($3::float8, tokens
                    + extract(epoch from greatest(interval '0', now() - tokens_at)) * $2::float8) as filled
                from (select system, tokens, greatest(tokens_at, now() - interval '1 hour') as tokens_at
                      from system_states where system = $1 for update) held
            )
            update system_states s set tokens = filled - least($4::int, floor(filled)::int), tokens_at = now()
            from bucket where s.system = bucket.system
            returning least($4::int, floor(filled)::int)
            """,
            system,
            rate,
            max(1.0, rate),
            limit,
        )
        if not granted:
            self._gates[system].throttled_until = time.monotonic() + 1.0 / rate
        return int(granted or 0)

    async def report(self, system: str, failures: Sequence[Failure], successes: int) -> None:
        """Tell how a batch went. Writes only when something changes, so a healthy system costs nothing."""
        gate = self._gates.setdefault(system, _Gate())
        for failure in failures:
            if isinstance(failure, Throttled):
                gate.throttled_until = time.monotonic() + (failure.retry_after or 1.0)
        unavailable = [each for each in failures if isinstance(each, Unavailable)]
        if unavailable and not successes:
            await self._count_failure(system, unavailable[-1])
        elif (gate.failures or gate.breaker != "closed") and (successes or any(_answered(each) for each in failures)):
            await self._close(system)

    async def _count_failure(self, system: str, failure: Unavailable) -> None:
        settings = self.systems.get(system)
        seconds = failure.retry_after or (settings.breaker_seconds if settings else 10.0)
        await self.pool.execute(
            """
            with changed as (
                update system_states set
                    consecutive_failures = consecutive_failures + 1, last_failure_at = now(), last_failure = $3,
                    breaker = case when breaker <> 'closed' or consecutive_failures + 1 >= $2 then 'open' else breaker end,
                    breaker_until = case when breaker <> 'closed' or consecutive_failures + 1 >= $2
                                         then now() + make_interval(secs => $4) else breaker_until end,
                    updated_at = now()
                where system = $1 returning system)
            select pg_notify($5, system) from changed
            """,
            system,
            settings.breaker_failures if settings else 5,
            failure.message,
            seconds,
            SYSTEMS_CHANNEL,
        )
        await self.learn()

    async def _close(self, system: str) -> None:
        await self.pool.execute(
            """
            with changed as (
                update system_states set breaker = 'closed', consecutive_failures = 0, breaker_until = null,
                    last_success_at = now(), updated_at = now()
                where system = $1 returning system)
            select pg_notify($2, system) from changed
            """,
            system,
            SYSTEMS_CHANNEL,
        )
        await self.learn()


def _answered(failure: Failure) -> bool:
    """A system that rejects or throttles is up."""
    return not isinstance(failure, Unavailable) and failure.kind in ("rejected", "throttled")


async def pause_system(connection: Connection, system: str, *, by: str, reason: str | None) -> bool:
    """Stop deliveries to a system until it is resumed; returns whether anything changed."""
    return await _set_paused(connection, system, True, by, reason)


async def resume_system(connection: Connection, system: str, *, by: str, reason: str | None = None) -> bool:
    """Let deliveries flow again, and give an open breaker a fresh start; returns whether anything changed."""
    return await _set_paused(connection, system, False, by, reason)


async def _set_paused(connection: Connection, system: str, paused: bool, by: str, reason: str | None) -> bool:
    changed = await connection.fetchval(
        """
        with previous as (select paused from system_states where system = $1),
        changed as (
            insert into system_states (system, paused, paused_by, paused_reason) values ($1, $2, $3, $4)
            on conflict (system) do update set paused = $2, paused_by = $3, paused_reason = $4, updated_at = now(),
                breaker = case when $2 then system_states.breaker else 'closed' end, consecutive_failures = 0
            returning system),
        told as (select pg_notify($5, system) from changed)
        select coalesce((select paused from previous), false) is distinct from $2 from told
        """,
        system,
        paused,
        by,
        reason,
        SYSTEMS_CHANNEL,
    )
    return bool(changed)


async def read_system_states(connection: Connection) -> list[dict[str, Any]]:
    """What is known of every system, for people."""
    rows = await connection.fetch(
        """
        select system, paused, paused_by, paused_reason, breaker, breaker_until, consecutive_failures,
               last_success_at, last_failure_at, last_failure, updated_at
        from system_states order by system
        """
    )
    return [dict(row) for row in rows]
