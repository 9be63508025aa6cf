"""What a stage offers the mailbox: handle a batch, record what came of it, and put what failed for good before a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tallystick.mailbox.messages import Delivery, Done
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure


class Handler(Protocol):
    """A stage as the dispatcher sees it. `handle` may write outside; only `record` and `bury` write in the database."""

    stage: str

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Done[Any] | Failure]:
        """One answer for each delivery, in their order."""
        ...

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
        """Write outcomes in the transaction that finishes their messages; offers the next messages."""
        ...

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        """Open exceptions in the transaction that makes these messages dead letters."""
        ...
