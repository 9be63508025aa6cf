"""A worker in a process of its own, to be killed: its stage writes outside, takes its time, and looks up what it may have done.

python -m tests.integration.mailbox.worker_process URL SECONDS_A_BATCH LEASE_SECONDS
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import structlog
from tests.integration.mailbox.mailroom import CARRIER, ROUTE, Desk, succeed

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.dispatch import Dispatcher
from tallystick.mailbox.messages import Delivery
from tallystick.settings import SystemSettings, Worker
from tallystick.store.pool import Connection, Pool, open_pool

OUTSIDE = "create table outside (message_id uuid, pid integer); alter table recorded add column pid integer"


def say(word: str) -> None:
    """Tell the test where this process is."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


class Writing(Desk):
    """A stage that writes to a system outside, which is a table that knows nothing of our transactions."""

    def __init__(self, outside: Pool, seconds: float) -> None:
        super().__init__(self.write)
        self._outside = outside
        self._seconds = seconds

    async def write(self, deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        say("handling")
        known = await self._outside.fetch(
            "select message_id from outside where message_id = any($1::uuid[])",
            [each.id for each in deliveries if each.verify],
        )
        done = {row["message_id"] for row in known}
        await self._outside.execute(
            "insert into outside select id, $2 from unnest($1::uuid[]) as m (id)",
            [each.id for each in deliveries if each.id not in done],
            os.getpid(),
        )
        say("wrote")
        await asyncio.sleep(self._seconds)
        return await succeed(deliveries)

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
        await super().record(connection, done)
        await connection.execute(
            "update recorded set pid = $1 where message_id = any($2::uuid[])",
            os.getpid(),
            [each.id for each, _ in done],
        )


async def main(url: str, seconds: float, lease_seconds: float) -> None:
    """Work until SIGTERM."""
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    pool, outside = await open_pool(url, size=3), await open_pool(url, size=1)
    dispatcher = Dispatcher(
        pool,
        CARRIER,
        {ROUTE.stage: Writing(outside, seconds)},
        {ROUTE: 10},
        Worker(lease_seconds=lease_seconds, poll_seconds=0.2, backoff_seconds=0.05),
        {ROUTE.system: SystemSettings(kind="test")},
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dispatcher.stop)
    say("started")
    await dispatcher.run()
    await pool.close()
    await outside.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
