"""The seam behind which messages travel: offer, claim, settle. Nothing outside this room knows which carrier runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from tallystick.mailbox.messages import Delivery, Message
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure


@dataclass(frozen=True, slots=True)
class Route:
    """One stage's messages for one system: the unit that is claimed, paused, throttled and broken open on its own."""

    stage: str
    system: str

    def __str__(self) -> str:
        return f"{self.stage}/{self.system}"


@dataclass(frozen=True, slots=True)
class Deferral:
    """A delivery to be tried again after `delay`, with whether this try counts, or never again (`dead`)."""

    delivery: Delivery
    failure: Failure
    delay: timedelta
    burn_attempt: bool
    dead: bool
    duration_ms: float = 0.0


class Carrier(Protocol):
    """Moves messages. Writes happen inside the caller's database transaction, which is what makes them effectively once.

    A lane's messages for one stage and system are delivered one at a time, in the order in which they were offered; of
    offers that were open at the same time, in either order. A message that was started stays its lane's first until it
    is finished or discarded, whatever becomes visible later.
    """

    async def offer(self, connection: Connection, messages: Sequence[Message]) -> None:
        """Put messages in, in order; they exist once the caller's transaction commits."""
        ...

    async def claim(
        self, connection: Connection, route: Route, *, limit: int, worker: str, lease: timedelta
    ) -> list[Delivery]:
        """Take up to `limit` messages that head their lanes, hidden from others until the lease ends.

        A claim holds once it is committed, and only then may the outside be written to. Inside a transaction it may fail
        for another worker's claim; roll back and call again.
        """
        ...

    async def extend(self, connection: Connection, deliveries: Sequence[Delivery], lease: timedelta) -> set[UUID]:
        """Renew leases still held; returns the ids that are."""
        ...

    async def finish(self, connection: Connection, deliveries: Sequence[Delivery], worker: str) -> set[UUID]:
        """Finish messages still held by these very deliveries; returns their ids. Others were fenced out."""
        ...

    async def defer(self, connection: Connection, deferrals: Sequence[Deferral], worker: str) -> set[UUID]:
        """Give messages back for later or make them dead letters, with the attempt kept; returns the ids still held."""
        ...

    async def give_back(self, connection: Connection, deliveries: Sequence[Delivery], delay: timedelta) -> None:
        """Release claims that came to nothing; no attempt is burnt, but the next delivery verifies."""
        ...

    async def next_due(self, connection: Connection, routes: Sequence[Route]) -> Mapping[Route, float]:
        """Seconds until the earliest waiting message of each route (0: now); routes with none are absent."""
        ...

    async def wake(self, connection: Connection, routes: Iterable[Route]) -> None:
        """Tell all workers to look at these routes, once the caller's transaction commits."""
        ...
