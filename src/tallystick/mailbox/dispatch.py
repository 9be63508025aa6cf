"""The worker's heart: for each route its own loop that claims a batch, lets the stage handle it, and settles it at once."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from tallystick.mailbox.breaker import SYSTEMS_CHANNEL, Breakers
from tallystick.mailbox.carrier import Carrier, Route
from tallystick.mailbox.handler import Handler
from tallystick.mailbox.messages import Delivery, Done
from tallystick.mailbox.postgres_carrier import OFFERS_CHANNEL
from tallystick.mailbox.retry import plan_retry
from tallystick.settings import SystemSettings, Worker
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure, Transient, Unknown

_log = structlog.get_logger("tallystick.mailbox")
_DATABASE_TROUBLE = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError,
                     asyncpg.CannotConnectNowError, asyncpg.CrashShutdownError, TimeoutError)  # fmt: skip


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
        self._pool = pool
        self._carrier = carrier
        self._handlers = handlers
        self._routes = routes
        self._settings = settings
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._breakers = Breakers(pool, systems)
        self._wake = {route: asyncio.Event() for route in routes}
        self._stopping = asyncio.Event()
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    async def run(self) -> None:
        """Work until `stop` is called; batches in hand are finished first."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen())
            watching = group.create_task(self._watch())
            loops = [group.create_task(self._loop(route)) for route in self._routes]
            await self._stopping.wait()
            for event in self._wake.values():
                event.set()
            if loops:
                await asyncio.wait(loops)
            listening.cancel()
            watching.cancel()

    def stop(self) -> None:
        """Ask for the end: nothing more is claimed."""
        self._stopping.set()

    # Waking up: notifications at once, a timer for what is due later, and a slow poll as the backstop for both.

    async def _listen(self) -> None:
        while True:
            with suppress(*_DATABASE_TROUBLE):
                connection = await self._pool.acquire()
                try:
                    lost = asyncio.Event()
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(OFFERS_CHANNEL, self._on_offer)
                    await connection.add_listener(SYSTEMS_CHANNEL, self._on_system)
                    await self._breakers.learn()
                    self._wake_all()
                    await lost.wait()
                finally:
                    with suppress(*_DATABASE_TROUBLE):
                        await self._pool.release(connection)
            await asyncio.sleep(0.5)

    def _on_offer(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        stage, _, system = str(payload).partition("/")
        event = self._wake.get(Route(stage, system))
        if event:
            event.set()

    def _on_system(self, *_: object) -> None:
        self._relearning = asyncio.get_running_loop().create_task(self._relearn())

    async def _relearn(self) -> None:
        with suppress(*_DATABASE_TROUBLE):
            await self._breakers.learn()
        self._wake_all()

    def _wake_all(self) -> None:
        for event in self._wake.values():
            event.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.poll_seconds)
            with suppress(*_DATABASE_TROUBLE):
                async with self._pool.acquire() as connection:
                    due = await self._carrier.next_due(connection, list(self._routes))
                for route, seconds in due.items():
                    if seconds <= self._settings.poll_seconds:
                        self._wake_later(route, seconds)

    def _wake_later(self, route: Route, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds + 0.005, self._wake[route].set)

    # Working.

    async def _loop(self, route: Route) -> None:
        event = self._wake[route]
        while not self._stopping.is_set():
            await event.wait()
            event.clear()
            try:
                while not self._stopping.is_set() and await self._work_once(route):
                    pass
            except _DATABASE_TROUBLE as error:
                _log.warning("database_trouble", route=str(route), error=str(error) or type(error).__name__)
                self._wake_later(route, 0.5)
            except Exception:
                # A bug of ours in this route: leases bring its messages back; the other routes must not die with it.
                _log.exception("route_failed", route=str(route))
                self._wake_later(route, self._settings.backoff_seconds)

    async def _work_once(self, route: Route) -> bool:
        """Claim and settle one batch; whether it is worth trying again at once."""
        limit = await self._breakers.admit(route.system, self._routes[route])
        if not limit:
            wait = self._breakers.wait_seconds(route.system)
            if wait is not None:
                self._wake_later(route, max(wait, 0.05))
            return False
        async with self._pool.acquire() as connection:
            deliveries = await self._carrier.claim(connection, route, limit=limit, worker=self.name, lease=self._lease)
        if not deliveries:
            return False
        started = time.perf_counter()
        answers = await self._handle(route, deliveries)
        duration_ms = (time.perf_counter() - started) * 1000
        await self._settle(route, list(zip(deliveries, answers, strict=True)), duration_ms)
        failures = [each for each in answers if isinstance(each, Failure)]
        await self._breakers.report(route.system, failures, len(answers) - len(failures))
        return True

    async def _handle(self, route: Route, deliveries: Sequence[Delivery]) -> Sequence[Done[Any] | Failure]:
        """The stage's answers. A bug in it fails the batch, so it is then handled one by one: neighbours go on."""
        heartbeat = asyncio.create_task(self._renew(deliveries))
        try:
            async with asyncio.timeout(self._settings.lease_seconds * 5):
                answers = await self._handlers[route.stage].handle(deliveries)
            if len(answers) != len(deliveries):
                raise RuntimeError(f"{route}: {len(answers)} answers for {len(deliveries)} deliveries")
            return answers
        except TimeoutError:
            return [Unknown("no answer from the stage in time", system=route.system, code="stage.timeout")] * len(
                deliveries
            )
        except Exception as error:
            _log.exception("stage_failed", route=str(route), messages=len(deliveries))
            if len(deliveries) == 1:
                return [_bug(error, route.system)]
            return [(await self._handle(route, [each]))[0] for each in deliveries]
        finally:
            heartbeat.cancel()

    async def _renew(self, deliveries: Sequence[Delivery]) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            with suppress(*_DATABASE_TROUBLE):
                async with self._pool.acquire() as connection:
                    await self._carrier.extend(connection, deliveries, self._lease)

    async def _settle(
        self, route: Route, answered: Sequence[tuple[Delivery, Done[Any] | Failure]], duration_ms: float
    ) -> None:
        """One transaction for the batch; if an outcome can't be written, one for each, so that only that one fails."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._write(connection, route, answered, duration_ms)
        except _DATABASE_TROUBLE:
            raise
        except Exception as error:
            if len(answered) > 1:
                for each in answered:
                    await self._settle(route, [each], duration_ms)
                return
            delivery, answer = answered[0]
            _log.exception("settling_failed", route=str(route), message=str(delivery.id))
            if isinstance(answer, Failure) and answer.code == "stage.bug":
                raise  # even giving it back failed; its lease will end
            await self._settle(route, [(delivery, _bug(error, route.system))], duration_ms)

    async def _write(
        self,
        connection: Connection,
        route: Route,
        answered: Sequence[tuple[Delivery, Done[Any] | Failure]],
        duration_ms: float,
    ) -> None:
        handler = self._handlers[route.stage]
        done = [(delivery, answer.outcome) for delivery, answer in answered if isinstance(answer, Done)]
        finished = await self._carrier.finish(connection, [delivery for delivery, _ in done], self.name)
        held = [(delivery, outcome) for delivery, outcome in done if delivery.id in finished]
        if held:
            await handler.record(connection, held)
        deferrals = [
            plan_retry(delivery, answer, self._settings, duration_ms)
            for delivery, answer in answered
            if isinstance(answer, Failure)
        ]
        given = await self._carrier.defer(connection, deferrals, self.name)
        dead = [(each.delivery, each.failure) for each in deferrals if each.dead and each.delivery.id in given]
        if dead:
            await handler.bury(connection, dead)
        for each in deferrals:
            if not each.dead:
                self._wake_later(route, each.delay.total_seconds())
        fenced = len(answered) - len(finished) - len(given)
        if fenced:
            _log.warning("fenced", route=str(route), messages=fenced)


def _bug(error: Exception, system: str) -> Transient:
    last = traceback.format_exception_only(error)[-1].strip()
    return Transient(f"our own stage failed: {last}", system=system, code="stage.bug")
