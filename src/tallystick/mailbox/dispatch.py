"""The worker's heart: for each route its own loop that claims a batch, lets the stage handle it, and settles it at once."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import structlog

from tallystick.mailbox.answers import Answer, answers_of
from tallystick.mailbox.breaker import Breakers
from tallystick.mailbox.carrier import Carrier, Route
from tallystick.mailbox.handler import Handler
from tallystick.mailbox.messages import Delivery
from tallystick.mailbox.settlement import Settled, Settlement
from tallystick.mailbox.waking import Waking
from tallystick.settings import SystemSettings, Worker
from tallystick.store.crash_points import crash_point
from tallystick.store.outage import is_passing
from tallystick.store.pool import Connection, Pool

_log = structlog.get_logger("tallystick.mailbox")
_PAUSE_SECONDS = 0.5
"""Between two tries to reach a database that is away."""
_LEAVING_SECONDS = 2.0


class Dispatcher:
    """Runs routes side by side; one that is slow, paused or broken never holds another up.

    `routes` maps each (stage, system) to the most messages one batch may have.
    """

    def __init__(
        self,
        pool: Pool,
        carrier: Carrier,
        handlers: Mapping[str, Handler],
        routes: Mapping[Route, int],
        settings: Worker,
        systems: Mapping[str, SystemSettings],
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._pool = pool
        self._carrier = carrier
        self._handlers = handlers
        self._routes = routes
        self._settings = settings
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._breakers = Breakers(pool, systems)
        self._waking = Waking(pool, carrier, self._breakers, list(routes), settings.poll_seconds)
        self._settlement = Settlement(pool, carrier, settings, self.name, self._breakers.is_closed)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop` is called; batches in hand are finished first."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._waking.watch())
            loops = [group.create_task(self._loop(route)) for route in self._routes]
            await self._stopping.wait()
            self._waking.wake_all()
            if loops:
                await asyncio.wait(loops)
            watching.cancel()
            await self._leave_to_others()

    def stop(self) -> None:
        """Ask for the end: nothing more is claimed."""
        self._stopping.set()

    async def _leave_to_others(self) -> None:
        # What followed the messages finished last heads its lane now; nobody else was told.
        with suppress(Exception):
            async with asyncio.timeout(_LEAVING_SECONDS), self._pool.acquire() as connection:
                await self._carrier.wake(connection, self._routes)

    async def _loop(self, route: Route) -> None:
        while not self._stopping.is_set():
            await self._waking.wait(route)
            try:
                deliveries = await self._claim(route)
                while deliveries:
                    deliveries = await self._work(route, deliveries)
            except Exception as error:
                if is_passing(error):
                    _log.warning("database_trouble", route=str(route), error=str(error) or type(error).__name__)
                    self._waking.wake_later(route, _PAUSE_SECONDS)
                else:
                    # A bug of ours in this route: leases bring its messages back; the other routes must not die with it.
                    _log.exception("route_failed", route=str(route))
                    self._waking.wake_later(route, self._settings.backoff_seconds)

    async def _work(self, route: Route, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Handle and settle one batch; returns the next."""
        async with self._held(deliveries):
            started = time.perf_counter()
            try:
                answers = await answers_of(self._handlers[route.stage], route, deliveries, self._settings.lease_seconds)
            except Exception as error:
                if not is_passing(error):
                    raise
                _log.warning("database_trouble", route=str(route), error=str(error) or type(error).__name__)
                await self._give_back(deliveries)
                self._waking.wake_later(route, _PAUSE_SECONDS)
                return []
            settled = await self._settle(route, deliveries, answers, (time.perf_counter() - started) * 1000)
        for seconds in settled.due_in:
            self._waking.wake_later(route, seconds)
        await self._breakers.report(route.system, answers)
        return await self._claim(route) if settled.following is None else settled.following

    async def _claim(self, route: Route) -> list[Delivery]:
        """As many messages as the system may be sent now, durably claimed; none once this worker is to stop."""
        if self._stopping.is_set():
            return []
        wait = self._breakers.wait_seconds(route.system)
        limit = 0
        if wait == 0.0:
            if not self._breakers.is_closed(route.system) and not await self._waking.is_due(route):
                return []  # a probe with nothing to send would keep the other routes from probing
            limit = await self._breakers.admit(route.system, self._routes[route])
            wait = self._breakers.wait_seconds(route.system)
        if not limit:
            if wait is not None:
                self._waking.wake_later(route, max(wait, 0.05))
            return []
        crash_point("claim.before_commit")
        async with self._pool.acquire() as connection:
            deliveries = await self._claim_on(connection, route, limit)
        if deliveries:
            crash_point("claim.after_commit")
        if len(deliveries) < limit:
            await self._breakers.return_unused(route.system, limit, len(deliveries))
        return deliveries

    async def _claim_on(self, connection: Connection, route: Route, limit: int) -> list[Delivery]:
        return await self._carrier.claim(connection, route, limit=limit, worker=self.name, lease=self._lease)

    @asynccontextmanager
    async def _held(self, deliveries: Sequence[Delivery]) -> AsyncIterator[None]:
        """Renew the batch's leases meanwhile."""
        heartbeat = asyncio.create_task(self._renew(deliveries))
        try:
            yield
        finally:
            heartbeat.cancel()

    async def _renew(self, deliveries: Sequence[Delivery]) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            try:
                async with self._pool.acquire() as connection:
                    await self._carrier.extend(connection, deliveries, self._lease)
            except Exception as error:
                _log.warning("lease_not_renewed", messages=len(deliveries), error=str(error) or type(error).__name__)

    async def _settle(
        self, route: Route, deliveries: Sequence[Delivery], answers: Sequence[Answer], duration_ms: float
    ) -> Settled:
        """Settle, and when the database is away meanwhile, again: what was done outside is not to be done a second time.

        After a lease's time it is left to the lease: then another worker looks up what was done.
        """
        answered = list(zip(deliveries, answers, strict=True))
        claim_next = None
        if not self._stopping.is_set() and self._breakers.is_unlimited(route.system):
            claim_next = partial(self._claim_on, route=route, limit=self._routes[route])
        give_up_at = time.monotonic() + self._settings.lease_seconds
        while True:
            try:
                return await self._settlement.settle(
                    self._handlers[route.stage], route, answered, duration_ms, claim_next
                )
            except Exception as error:
                if not is_passing(error) or time.monotonic() > give_up_at:
                    raise
                _log.warning("database_trouble", route=str(route), error=str(error) or type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Release what could not be handled for want of the database; if it is still away, leases end by themselves."""
        give_up_at = time.monotonic() + self._settings.lease_seconds
        while time.monotonic() < give_up_at:
            with suppress(Exception):
                async with self._pool.acquire() as connection:
                    await self._carrier.give_back(connection, deliveries, timedelta(seconds=_PAUSE_SECONDS))
                return
            await asyncio.sleep(_PAUSE_SECONDS)
