"""Settling a batch: outcomes, attempts and dead letters in one transaction, and what can't be written fails alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from tallystick.mailbox.answers import Answer, bug
from tallystick.mailbox.carrier import Carrier, Route
from tallystick.mailbox.handler import Handler
from tallystick.mailbox.messages import Delivery, Done
from tallystick.mailbox.retry import plan_retry
from tallystick.settings import Worker
from tallystick.store.crash_points import committing
from tallystick.store.outage import is_passing
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure

Answered = Sequence[tuple[Delivery, Answer]]
ClaimNext = Callable[[Connection], Awaitable[list[Delivery]]]

_log = structlog.get_logger("tallystick.mailbox")


@dataclass(frozen=True, slots=True)
class Settled:
    """What is to be done after a batch was settled."""

    due_in: frozenset[float] = frozenset()
    """Seconds, in tenths, after which messages that were given back are due."""
    following: list[Delivery] | None = None
    """The next batch where it was claimed with the settlement; None: it was not asked for, or not given."""


class Settlement:
    """Settles what one worker holds. `answers` tells whether a system is known to answer at all."""

    def __init__(
        self, pool: Pool, carrier: Carrier, settings: Worker, worker: str, answers: Callable[[str], bool]
    ) -> None:
        self._pool = pool
        self._carrier = carrier
        self._settings = settings
        self._worker = worker
        self._answers = answers

    async def settle(
        self,
        handler: Handler,
        route: Route,
        answered: Answered,
        duration_ms: float,
        claim_next: ClaimNext | None = None,
    ) -> Settled:
        """Write the batch's outcomes, and claim the next batch in the same transaction, which saves a commit.

        If an outcome can't be written, each message gets a transaction of its own, so that only that one fails.
        Raises only what is the database's trouble; calling again is then safe, for what was settled is fenced. If it was
        the commit's answer that got lost, the next batch is claimed by nobody who knows it, and is left to its lease.
        """
        try:
            return await self._write(handler, route, answered, duration_ms, claim_next=claim_next)
        except Exception as error:
            if is_passing(error):
                raise
            if claim_next:  # it may have been the claim
                return await self.settle(handler, route, answered, duration_ms)
            if len(answered) == 1:
                return await self._fail(handler, route, answered[0], duration_ms, error)
        settled = [await self.settle(handler, route, [each], duration_ms) for each in answered]
        return Settled(frozenset().union(*(each.due_in for each in settled)))

    async def _fail(
        self, handler: Handler, route: Route, answered: tuple[Delivery, Answer], duration_ms: float, error: Exception
    ) -> Settled:
        """A message whose outcome can't be written has failed by a bug of ours; in the end it is dead even if no exception
        can be opened for it, and the log says so."""
        delivery, _ = answered
        _log.error("settling_failed", route=str(route), message=str(delivery.id), exc_info=error)
        failed = [(delivery, bug(error, route))]
        for bury in (True, False):
            try:
                return await self._write(handler, route, failed, duration_ms, bury=bury)
            except Exception as again:
                if is_passing(again):
                    raise
                _log.error("burying_failed", route=str(route), message=str(delivery.id), exc_info=again)
        return Settled()  # not even that: its lease ends, and it is tried again

    async def _write(
        self,
        handler: Handler,
        route: Route,
        answered: Answered,
        duration_ms: float,
        *,
        bury: bool = True,
        claim_next: ClaimNext | None = None,
    ) -> Settled:
        system_answers = self._answers(route.system)
        async with self._pool.acquire() as connection, committing(connection, "settlement"):
            finished = await self._finish(connection, handler, answered)
            deferrals = [
                plan_retry(delivery, answer, self._settings, duration_ms, system_answers=system_answers)
                for delivery, answer in answered
                if isinstance(answer, Failure)
            ]
            given = await self._carrier.defer(connection, deferrals, self._worker)
            dead = [(each.delivery, each.failure) for each in deferrals if each.dead and each.delivery.id in given]
            if dead and bury:
                await handler.bury(connection, dead)
            following = await claim_next(connection) if claim_next else None
        fenced = len(answered) - finished - len(given)
        if fenced:
            _log.warning("fenced", route=str(route), messages=fenced)
        due_in = frozenset(round(each.delay.total_seconds() + 0.05, 1) for each in deferrals if not each.dead)
        return Settled(due_in, following)

    async def _finish(self, connection: Connection, handler: Handler, answered: Answered) -> int:
        done = [(delivery, answer.outcome) for delivery, answer in answered if isinstance(answer, Done)]
        finished = await self._carrier.finish(connection, [delivery for delivery, _ in done], self._worker)
        held = [(delivery, outcome) for delivery, outcome in done if delivery.id in finished]
        if held:
            await handler.record(connection, held)
        return len(held)
