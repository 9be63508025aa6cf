"""The default carrier, on PostgreSQL: batch claims with SKIP LOCKED, leases that fence, one statement a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from tallystick.mailbox.carrier import Deferral, Route
from tallystick.mailbox.messages import Delivery, Message
from tallystick.store.pool import Connection, encode_json

OFFERS_CHANNEL = "tallystick_offers"

_DELIVERY_COLUMNS = (
    "id, position, entity, stage, system, kind, lane, transaction_id, payload, deliveries, attempts, created_at"
)


class PostgresCarrier:
    """Messages as rows of one table that holds live ones only, so a claim's cost grows with what waits, not with history."""

    async def offer(self, connection: Connection, messages: Sequence[Message]) -> None:
        """Insert messages and wake each route once when the caller's transaction commits."""
        if not messages:
            return
        await connection.execute(
            """
            insert into messages (id, entity, stage, system, kind, lane, transaction_id, payload, available_at)
            select id, entity, stage, system, kind, lane, transaction_id, payload, coalesce(available_at, now())
            from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::jsonb[],
                        $9::timestamptz[]) with ordinality
                as m (id, entity, stage, system, kind, lane, transaction_id, payload, available_at, place)
            order by place
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
        )
        await self._wake(connection, {f"{each.stage}/{each.system}" for each in messages})

    async def _wake(self, connection: Connection, routes: set[str]) -> None:
        await connection.execute(
            "select pg_notify($1, route) from unnest($2::text[]) as route", OFFERS_CHANNEL, sorted(routes)
        )

    async def claim(
        self, connection: Connection, route: Route, *, limit: int, worker: str, lease: timedelta
    ) -> list[Delivery]:
        """Claim the heads of lanes in one statement. The fence is the delivery count, which only a claim moves.

        A message is its lane's head when no earlier live message of the same (lane, stage, system) exists, whatever
        its state: a dead head keeps its followers back, in their own lane only.
        """
        rows = await connection.fetch(
            f"""
            with heads as (
                select m.position from messages m
                where m.state = 'ready' and m.stage = $1 and m.system = $2 and m.available_at <= now()
                    and not exists (
                        select 1 from messages earlier
                        where earlier.lane = m.lane and earlier.stage = m.stage and earlier.system = m.system
                            and earlier.position < m.position)
                order by m.available_at, m.position
                limit $3
                for update of m skip locked
            )
            update messages set available_at = now() + $4::interval, deliveries = deliveries + 1, claimed_by = $5
            from heads where messages.position = heads.position
            returning {", ".join(f"messages.{column}" for column in _DELIVERY_COLUMNS.split(", "))}
            """,
            route.stage,
            route.system,
            limit,
            lease,
            worker,
        )
        return sorted((Delivery(*row.values()) for row in rows), key=lambda each: each.position)

    async def extend(self, connection: Connection, deliveries: Sequence[Delivery], lease: timedelta) -> set[UUID]:
        """Renew leases of deliveries that are still the latest."""
        rows = await connection.fetch(
            """
            update messages m set available_at = now() + $3::interval
            from unnest($1::uuid[], $2::int[]) as held (id, deliveries)
            where m.id = held.id and m.deliveries = held.deliveries and m.claimed_by is not null
            returning m.id
            """,
            [each.id for each in deliveries],
            [each.delivery for each in deliveries],
            lease,
        )
        return {row["id"] for row in rows}

    async def finish(self, connection: Connection, deliveries: Sequence[Delivery], worker: str) -> set[UUID]:
        """Move messages to the log, fenced; wakes lanes' followers that a dead head had parked."""
        if not deliveries:
            return set()
        rows = await connection.fetch(
            """
            with finished as (
                delete from messages m using unnest($1::uuid[], $2::int[]) as held (id, deliveries)
                where m.id = held.id and m.deliveries = held.deliveries and m.claimed_by is not null
                returning m.*
            )
            insert into message_log (id, entity, stage, system, kind, lane, transaction_id, payload, outcome, deliveries,
                                     attempts, worker, created_at)
            select id, entity, stage, system, kind, lane, transaction_id, payload, 'done', deliveries, attempts, $3, created_at
            from finished
            returning id
            """,
            [each.id for each in deliveries],
            [each.delivery for each in deliveries],
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
            where m.id = held.id and m.deliveries = held.deliveries and m.claimed_by is not null
            returning m.id
            """,
            [each.delivery.id for each in deferrals],
            [each.delivery.delivery for each in deferrals],
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
        await self._park_followers(connection, [each.delivery for each in kept if each.dead])
        return held

    async def _keep_attempts(self, connection: Connection, kept: Sequence[Deferral], worker: str) -> None:
        await connection.execute(
            """
            insert into message_attempts (message_id, delivery, at, duration_ms, worker, failure, code, error, request, response)
            select id, delivery, now(), duration, $3, failure, code, error, request::jsonb, response::jsonb
            from unnest($1::uuid[], $2::int[], $4::real[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
                as a (id, delivery, duration, failure, code, error, request, response)
            """,
            [each.delivery.id for each in kept],
            [each.delivery.delivery for each in kept],
            worker,
            [each.duration_ms for each in kept],
            [each.failure.kind for each in kept],
            [each.failure.code for each in kept],
            [each.failure.message for each in kept],
            [encode_json(each.failure.request) for each in kept],
            [encode_json(each.failure.response) for each in kept],
        )

    async def _park_followers(self, connection: Connection, dead: Sequence[Delivery]) -> None:
        # Parked rows are outside the claim's index: followers of a dead head cost a claim nothing.
        await connection.execute(
            """
            update messages follower set state = 'parked'
            from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) as head (lane, stage, system, position)
            where follower.lane = head.lane and follower.stage = head.stage and follower.system = head.system
                and follower.position > head.position and follower.state = 'ready'
            """,
            [each.lane for each in dead],
            [each.stage for each in dead],
            [each.system for each in dead],
            [each.position for each in dead],
        )

    async def give_back(self, connection: Connection, deliveries: Sequence[Delivery]) -> None:
        """Release claims at once; the delivery count stays, so the next delivery verifies."""
        await connection.execute(
            """
            update messages m set available_at = now(), claimed_by = null
            from unnest($1::uuid[], $2::int[]) as held (id, deliveries)
            where m.id = held.id and m.deliveries = held.deliveries
            """,
            [each.id for each in deliveries],
            [each.delivery for each in deliveries],
        )
        await self._wake(connection, {f"{each.stage}/{each.system}" for each in deliveries})

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
