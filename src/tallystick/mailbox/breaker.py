"""Whether a system may be called now: paused by a person, broken open by failures, throttled, or free. Shared by all workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.mailbox.answers import Answer
from tallystick.settings import SystemSettings
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure, Rejected, Throttled

SYSTEMS_CHANNEL = "tallystick_systems"
_DEFAULTS = SystemSettings(kind="unknown")
_PROBE_SECONDS = 30.0
"""So long a worker that won the probe has for it; then another may try."""
_THROTTLED_SECONDS = 1.0
_LONGEST_THROTTLED_SECONDS = 3_600.0


@dataclass(slots=True)
class Gate:
    """What this worker knows of one system; instants are of the monotonic clock."""

    paused: bool = False
    breaker: str = "closed"
    breaker_until: float = 0.0
    failures: int = 0
    throttled_until: float = 0.0
    out_of_tokens_until: float = 0.0

    def wait_seconds(self, now: float) -> float | None:
        """How long until the system may be tried: 0 is now, None is until somebody resumes it."""
        if self.paused:
            return None
        broken_until = 0.0 if self.breaker == "closed" else self.breaker_until
        return max(0.0, max(self.throttled_until, self.out_of_tokens_until, broken_until) - now)


@dataclass(slots=True)
class Breakers:
    """The gates of all systems, kept in `system_states`, learnt anew when somebody changes them."""

    pool: Pool
    systems: Mapping[str, SystemSettings]
    _gates: dict[str, Gate] = field(default_factory=dict)

    async def learn(self, connection: Connection) -> None:
        """Read all states; rows of systems never seen are made."""
        rows = await connection.fetch(
            """
            select system, paused, breaker, consecutive_failures,
                   coalesce(extract(epoch from breaker_until - now())::float8, 0) as breaker_seconds,
                   coalesce(extract(epoch from throttled_until - now())::float8, 0) as throttled_seconds
            from system_states
            """
        )
        unseen = sorted(set(self.systems) - {row["system"] for row in rows})
        if unseen:
            await connection.execute(
                "insert into system_states (system) select unnest($1::text[]) on conflict do nothing", unseen
            )
        now = time.monotonic()
        for row in rows:
            gate = self._gate(row["system"])
            gate.paused = row["paused"]
            gate.breaker = row["breaker"]
            gate.failures = row["consecutive_failures"]
            gate.breaker_until = now + row["breaker_seconds"]
            gate.throttled_until = now + row["throttled_seconds"]

    def _gate(self, system: str) -> Gate:
        return self._gates.setdefault(system, Gate())

    async def _learn(self) -> None:
        async with self.pool.acquire() as connection:
            await self.learn(connection)

    def wait_seconds(self, system: str) -> float | None:
        """How long until the system may be tried: 0 is now, None is until somebody resumes it."""
        return self._gate(system).wait_seconds(time.monotonic())

    def is_closed(self, system: str) -> bool:
        """Whether the system counts as up; a breaker that is not closed lets one message through to find out."""
        return self._gate(system).breaker == "closed"

    def is_unlimited(self, system: str) -> bool:
        """Whether any number of messages may go to the system now, without asking anybody."""
        gate = self._gate(system)
        clean = gate.breaker == "closed" and not gate.failures and gate.wait_seconds(time.monotonic()) == 0.0
        return clean and self._rate(system) is None

    async def admit(self, system: str, limit: int) -> int:
        """How many messages may go to the system now: none, one as the probe of an open breaker, or up to `limit`.

        What is admitted and not used is to be told to `return_unused`.
        """
        if self.wait_seconds(system) != 0.0:
            return 0
        if not self.is_closed(system) and not await self._probe(system):
            return 0
        rate = self._rate(system)
        limit = limit if self.is_closed(system) else 1
        return limit if rate is None else await self._take_tokens(system, limit, rate)

    def _rate(self, system: str) -> float | None:
        return self.systems.get(system, _DEFAULTS).calls_per_second

    async def _probe(self, system: str) -> bool:
        """Only the worker whose update wins may send the one message that tries an open breaker."""
        won = await self.pool.fetchval(
            """
            update system_states set breaker = 'half_open', breaker_until = now() + make_interval(secs => $2), updated_at = now()
            where system = $1 and not paused and breaker <> 'closed' and breaker_until <= now()
            returning true
            """,
            system,
            _PROBE_SECONDS,
        )
        if not won:
            await self._learn()
        return bool(won)

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
            update system_states s set
                tokens = filled - least($4::int, floor(filled)::int), tokens_at = greatest(s.tokens_at, now())
            from bucket where s.system = bucket.system
            returning least($4::int, floor(filled)::int)
            """,
            system,
            rate,
            max(1.0, rate),
            limit,
        )
        if not granted:
            self._gate(system).out_of_tokens_until = time.monotonic() + 1.0 / rate
        return int(granted or 0)

    async def return_unused(self, system: str, admitted: int, used: int) -> None:
        """Give back what was admitted beyond the messages found: their tokens, and a probe that had nothing to send."""
        rate = self._rate(system)
        if rate is not None and used < admitted:
            await self.pool.execute(
                "update system_states set tokens = least($2::float8, tokens + $3) where system = $1",
                system,
                max(1.0, rate),
                float(admitted - used),
            )
        if not used and not self.is_closed(system):
            await self._change(
                system,
                "breaker = 'open', breaker_until = now() + interval '1 second'",
                "and breaker = 'half_open'",
            )

    async def report(self, system: str, answers: Sequence[Answer]) -> None:
        """Tell how a batch went. Writes only when something changes, so a healthy system costs nothing.

        A system that does what it is asked, or says no or not now, is up. One that gives a whole batch nothing but trouble, be it
        no connection, no answer in time or a server's error, may be away: how it fails is for the messages to know.
        """
        gate = self._gate(system)
        told = [each for each in answers if each.asked]
        failures = [each for each in told if isinstance(each, Failure)]
        throttled = [each for each in failures if isinstance(each, Throttled)]
        if not told:
            await self.return_unused(system, 0, 0)
        elif len(failures) < len(told) or any(isinstance(each, Rejected | Throttled) for each in failures):
            if gate.failures or gate.breaker != "closed":
                await self._change(
                    system,
                    "breaker = 'closed', consecutive_failures = 0, breaker_until = null, last_success_at = now()",
                )
        else:
            await self._count_failure(system, failures[-1])
        if throttled:
            seconds = max(each.retry_after or _THROTTLED_SECONDS for each in throttled)
            await self._change(
                system,
                "throttled_until = greatest(throttled_until, now() + make_interval(secs => $3))",
                "",
                min(seconds, _LONGEST_THROTTLED_SECONDS),
            )

    async def _count_failure(self, system: str, failure: Failure) -> None:
        settings = self.systems.get(system, _DEFAULTS)
        await self._change(
            system,
            """
            consecutive_failures = consecutive_failures + 1, last_failure_at = now(), last_failure = $5,
            breaker = case when breaker <> 'closed' or consecutive_failures + 1 >= $3 then 'open' else breaker end,
            breaker_until = case when breaker <> 'closed' or consecutive_failures + 1 >= $3
                                 then now() + make_interval(secs => $4) else breaker_until end
            """,
            "",
            settings.breaker_failures,
            float(failure.retry_after or settings.breaker_seconds),
            failure.message,
        )

    async def _change(self, system: str, assignments: str, condition: str = "", *values: object) -> None:
        """Change a system's state, tell all workers, and learn it here."""
        await self.pool.execute(
            f"""
            with changed as (
                update system_states set {assignments}, updated_at = now() where system = $1 {condition} returning system)
            select pg_notify($2, system) from changed
            """,
            system,
            SYSTEMS_CHANNEL,
            *values,
        )
        await self._learn()


async def pause_system(connection: Connection, system: str, *, by: str, reason: str | None) -> bool:
    """Stop deliveries to a system until it is resumed; returns whether anything changed."""
    return await _set_paused(connection, system, True, by, reason)


async def resume_system(connection: Connection, system: str, *, by: str, reason: str | None = None) -> bool:
    """Let deliveries flow again, also past an open breaker or a system's wish to wait; returns whether it was paused."""
    return await _set_paused(connection, system, False, by, reason)


async def _set_paused(connection: Connection, system: str, paused: bool, by: str, reason: str | None) -> bool:
    changed = await connection.fetchval(
        """
        with previous as (select paused from system_states where system = $1),
        changed as (
            insert into system_states as s (system, paused, paused_by, paused_reason) values ($1, $2, $3, $4)
            on conflict (system) do update set paused = $2, paused_by = $3, paused_reason = $4, updated_at = now(),
                breaker = case when $2 then s.breaker else 'closed' end,
                breaker_until = case when $2 then s.breaker_until end,
                throttled_until = case when $2 then s.throttled_until end,
                consecutive_failures = case when $2 then s.consecutive_failures else 0 end
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
