"""The default carrier, on PostgreSQL: batch claims with SKIP LOCKED, leases that fence, one statement a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from tallystick.mailbox.carrier import Deferral, Route
from tallystick.mailbox.messages import Delivery, Message
from tallystick.store.pool import Connection

OFFERS_CHANNEL = "tallystick_offers"


# The deliveries ($1, $2) that are still the latest of their messages. `is true` keeps the pairs a table to look up in: taken
# for a join, they would be compared each with each where the planner expects few rows.
_HELD = """m.id = any($1::uuid[]) and m.claimed_by is not null
    and ((m.id, m.deliveries) in (select * from unnest($1::uuid[], $2::int[]))) is true"""


class PostgresCarrier:
    """Messages as rows of one table that holds live ones only, so a claim's cost grows with what waits, not with history.

    The table is empty one moment and holds a hundred thousand messages the next, so every statement is written to have one
    plan that is good for both: `= any($1)` beside a join keeps it to the rows that are asked for, however they are joined.
    """

    async def offer(self, connection: Connection, messages: Sequence[Message]) -> None:
        """Insert messages and wake each route once when the caller's transaction commits.

        What comes behind a dead letter is parked at once. The share lock keeps that dead letter from being replayed or
        discarded without freeing what is parked here; one that is being replayed is skipped, for it holds nothing up.
        """
        if not messages:
            return
        await connection.execute(
            """
            with offered as (
                insert into messages (id, entity, stage, system, kind, lane, transaction_id, payload, available_at, state)
                select id, entity, m.stage, m.system, kind, m.lane, transaction_id, payload, coalesce(available_at, now()),
                       coalesce(behind.state, 'ready')
                from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::jsonb[],
                            $9::timestamptz[]) with ordinality
                    as m (id, entity, stage, system, kind, lane, transaction_id, payload, available_at, place)
                left join lateral (
                    select 'parked' as state from messages head
                    where head.id = (select started.id from messages started
                                     where started.lane = m.lane and started.stage = m.stage and started.system = m.system
                                         and started.deliveries > 0)
                        and head.state = 'dead'
                    for key share skip locked) behind on true
                order by place)
            select pg_notify($10, route) from unnest($11::text[]) as route
            """,
            [each.id for each in messages],
            [each.entity for each in messages],
            [each.stage for each in messages],
            [each.system for each in messages],
            [each.kind for each in messages],
            [each.lane for each in messages],
            [each.transaction_id for each in messages],
            [each.payload for each in messages],
            [each.available_at for each in messages],
            OFFERS_CHANNEL,
            sorted({str(Route(each.stage, each.system)) for each in messages}),
        )

    async def wake(self, connection: Connection, routes: Iterable[Route]) -> None:
        """Notify all workers once the caller's transaction commits."""
        await wake_routes(connection, {str(route) for route in routes})

    async def claim(
        self, connection: Connection, route: Route, *, limit: int, worker: str, lease: timedelta
    ) -> list[Delivery]:
        """Claim the heads of lanes in one statement. The fence is the delivery count, which only a claim moves.

        A lane's head is the message that was started, whatever its state (a dead one keeps its followers back, in their
        own lane only); where none was, the earliest. Two offers into one lane can commit the other way round than they
        were numbered, so that of two workers one sees only the later message and the other takes the earlier one for the
        head: then the unique index on started messages lets one of the two claims through, and the other looks again.
        """
        for looks_left in (2, 1, 0):
            try:
                rows = await connection.fetch(_CLAIM, route.stage, route.system, limit, lease, worker)
                break
            except asyncpg.UniqueViolationError:
                if connection.is_in_transaction() or not looks_left:
                    raise
        return sorted((Delivery(*row) for row in rows), key=lambda each: each.position)

    async def extend(self, connection: Connection, deliveries: Sequence[Delivery], lease: timedelta) -> set[UUID]:
        """Renew leases of deliveries that are still the latest."""
        rows = await connection.fetch(
            f"""
            update messages m set available_at = now() + $3::interval where {_HELD} returning m.id
            """,
            *_fences(deliveries),
            lease,
        )
        return {row["id"] for row in rows}

    async def finish(self, connection: Connection, deliveries: Sequence[Delivery], worker: str) -> set[UUID]:
        """Move messages to the log, fenced. Their followers head their lanes with the same commit."""
        if not deliveries:
            return set()
        rows = await connection.fetch(
            f"""
            with finished as (delete from messages m where {_HELD} returning m.*)
            insert into message_log (id, entity, stage, system, kind, lane, transaction_id, payload, outcome, deliveries,
                                     attempts, worker, created_at)
            select id, entity, stage, system, kind, lane, transaction_id, payload, 'done', deliveries, attempts, $3, created_at
            from finished
            returning id
            """,
            *_fences(deliveries),
            worker,
        )
        return {row["id"] for row in rows}

    async def defer(self, connection: Connection, deferrals: Sequence[Deferral], worker: str) -> set[UUID]:
        """Reschedule or bury, fenced, and keep the attempt with its request and response."""
        if not deferrals:
            return set()
        rows = await connection.fetch(
            """
            update messages m set
                state = case when held.dead then 'dead' else 'ready' end,
                available_at = now() + held.delay,
                attempts = m.attempts + held.burnt,
                claimed_by = null,
                last_failure = held.failure
            from unnest($1::uuid[], $2::int[], $3::bool[], $4::interval[], $5::int[], $6::jsonb[])
                as held (id, deliveries, dead, delay, burnt, failure)
            where m.id = any($1) and m.id = held.id and m.deliveries = held.deliveries and m.claimed_by is not null
            returning m.id
            """,
            *_fences([each.delivery for each in deferrals]),
            [each.dead for each in deferrals],
            [each.delay for each in deferrals],
            [int(each.burn_attempt) for each in deferrals],
            [
                {"kind": each.failure.kind, "code": each.failure.code, "message": each.failure.message}
                for each in deferrals
            ],
        )
        held = {row["id"] for row in rows}
        kept = [each for each in deferrals if each.delivery.id in held]
        await self._keep_attempts(connection, kept, worker)
        await self._hold_followers(connection, kept)
        return held

    async def _keep_attempts(self, connection: Connection, kept: Sequence[Deferral], worker: str) -> None:
        await connection.execute(
            """
            insert into message_attempts (message_id, delivery, at, duration_ms, worker, failure, code, error, request, response)
            select id, delivery, now(), duration, $3, failure, code, error, request, response
            from unnest($1::uuid[], $2::int[], $4::real[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[])
                as a (id, delivery, duration, failure, code, error, request, response)
            """,
            *_fences([each.delivery for each in kept]),
            worker,
            [each.duration_ms for each in kept],
            [each.failure.kind for each in kept],
            [each.failure.code for each in kept],
            [each.failure.message for each in kept],
            [each.failure.request for each in kept],
            [each.failure.response for each in kept],
        )

    async def _hold_followers(self, connection: Connection, kept: Sequence[Deferral]) -> None:
        # What waits behind a dead letter leaves the claim's index, and behind one that is tried again later it moves back
        # in it as far: however many heads fail, a claim does not wade through their followers.
        # (The state is compared in a way that fits no index: the lanes name few, and the claim's index may hold many.)
        await connection.execute(
            """
            update messages follower set
                state = case when head.dead then 'parked' else 'ready' end,
                available_at = case when head.dead then follower.available_at
                                    else greatest(follower.available_at, now() + head.delay) end
            from unnest($1::uuid[], $2::text[], $3::text[], $4::bool[], $5::interval[])
                as head (lane, stage, system, dead, delay)
            where follower.lane = any($1) and follower.lane = head.lane and follower.stage = head.stage
                and follower.system = head.system and follower.deliveries = 0 and follower.state || '' = 'ready'
            """,
            [each.delivery.lane for each in kept],
            [each.delivery.stage for each in kept],
            [each.delivery.system for each in kept],
            [each.dead for each in kept],
            [each.delay for each in kept],
        )

    async def give_back(self, connection: Connection, deliveries: Sequence[Delivery], delay: timedelta) -> None:
        """Release claims; the delivery count stays, so the next delivery verifies."""
        await connection.execute(
            f"update messages m set available_at = now() + $3::interval, claimed_by = null where {_HELD}",
            *_fences(deliveries),
            delay,
        )

    async def next_due(self, connection: Connection, routes: Sequence[Route]) -> Mapping[Route, float]:
        """One index probe a route."""
        rows = await connection.fetch(
            """
            select r.stage, r.system, extract(epoch from due.available_at - now())::float8 as seconds
            from unnest($1::text[], $2::text[]) as r (stage, system)
            cross join lateral (
                select m.available_at from messages m
                where m.state = 'ready' and m.stage = r.stage and m.system = r.system
                order by m.available_at limit 1) due
            """,
            [each.stage for each in routes],
            [each.system for each in routes],
        )
        return {Route(row["stage"], row["system"]): max(0.0, row["seconds"]) for row in rows}


# The row that is locked is the row that is updated, by its place: one changed since the statement began is left for the next.
_CLAIM = """
    update messages m set available_at = now() + $4::interval, deliveries = m.deliveries + 1, claimed_by = $5
    where m.ctid = any(array(
        select head.ctid from messages head
        where head.state = 'ready' and head.stage = $1 and head.system = $2 and head.available_at <= now()
            and (head.deliveries > 0
                 or not exists (
                        select from messages started
                        where started.lane = head.lane and started.stage = head.stage and started.system = head.system
                            and started.deliveries > 0 and started.id <> head.id)
                    and not exists (
                        select from messages earlier
                        where earlier.lane = head.lane and earlier.stage = head.stage and earlier.system = head.system
                            and earlier.deliveries = 0 and earlier.position < head.position))
        order by head.available_at, head.position
        limit $3
        for no key update of head skip locked))
    returning m.id, m.position, m.entity, m.stage, m.system, m.kind, m.lane, m.transaction_id, m.payload, m.deliveries,
              m.attempts, m.created_at, m.deliveries > 1 as verify
"""


async def wake_routes(connection: Connection, routes: Iterable[str]) -> None:
    """Notify the workers of routes, each as "stage/system", once the caller's transaction commits."""
    await connection.execute(
        "select pg_notify($1, route) from unnest($2::text[]) as route", OFFERS_CHANNEL, sorted(routes)
    )


def _fences(deliveries: Sequence[Delivery]) -> tuple[list[UUID], list[int]]:
    return [each.id for each in deliveries], [each.delivery for each in deliveries]
