"""When a route is looked at: at once when somebody says so, on time when something is due, and now and then in any case."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import structlog

from tallystick.mailbox.breaker import SYSTEMS_CHANNEL, Breakers
from tallystick.mailbox.carrier import Carrier, Route
from tallystick.mailbox.postgres_carrier import OFFERS_CHANNEL
from tallystick.store.pool import Connection, Pool

_log = structlog.get_logger("tallystick.mailbox")
_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


class Waking:
    """Wakes routes: by notifications, by timers, and by a slow poll as the backstop for both.

    One connection does it all, so that a poll without an answer shows that notifications don't arrive either.
    """

    def __init__(
        self, pool: Pool, carrier: Carrier, breakers: Breakers, routes: Sequence[Route], poll_seconds: float
    ) -> None:
        self._pool = pool
        self._carrier = carrier
        self._breakers = breakers
        self._poll_seconds = poll_seconds
        self._events = {route: asyncio.Event() for route in routes}
        self._changed = asyncio.Event()

    async def wait(self, route: Route) -> None:
        """Until the route is to be looked at."""
        await self._events[route].wait()
        self._events[route].clear()

    def wake_all(self) -> None:
        """Look at all routes now."""
        for event in self._events.values():
            event.set()

    def wake_later(self, route: Route, seconds: float) -> None:
        """Look at a route in so many seconds; what is due later than the next poll is left to a poll."""
        if seconds <= 2 * self._poll_seconds:
            asyncio.get_running_loop().call_later(seconds + 0.005, self._events[route].set)

    async def is_due(self, route: Route) -> bool:
        """Whether a message of the route waits to be delivered now."""
        async with self._pool.acquire() as connection:
            return (await self._carrier.next_due(connection, [route])).get(route) == 0.0

    async def watch(self) -> None:
        """For ever; a lost connection is replaced."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._watch(connection)
            except Exception as error:
                _log.warning("not_listening", error=str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _watch(self, connection: Connection) -> None:
        connection.add_termination_listener(self._on_change)
        await connection.add_listener(OFFERS_CHANNEL, self._on_offer)
        await connection.add_listener(SYSTEMS_CHANNEL, self._on_change)
        try:
            self._changed.set()  # whatever was said while nobody listened
            poll_at = time.monotonic() + self._poll_seconds
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, poll_at - time.monotonic())):
                        await self._changed.wait()
                async with asyncio.timeout(_ANSWER_SECONDS):
                    if self._changed.is_set():
                        self._changed.clear()
                        await self._breakers.learn(connection)
                        self.wake_all()
                    else:
                        await self._poll(connection)
                        poll_at = time.monotonic() + self._poll_seconds
        finally:
            with suppress(asyncpg.InterfaceError):  # a lost connection listens no more
                connection.remove_termination_listener(self._on_change)
                await connection.remove_listener(OFFERS_CHANNEL, self._on_offer)
                await connection.remove_listener(SYSTEMS_CHANNEL, self._on_change)

    async def _poll(self, connection: Connection) -> None:
        for route, seconds in (await self._carrier.next_due(connection, list(self._events))).items():
            if seconds <= self._poll_seconds:
                self.wake_later(route, seconds)

    def _on_offer(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        stage, _, system = str(payload).partition("/")
        event = self._events.get(Route(stage, system))
        if event:
            event.set()

    def _on_change(self, *_: object) -> None:
        self._changed.set()
