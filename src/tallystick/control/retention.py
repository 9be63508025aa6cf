"""How long finished work is kept: once a day the months to come get their partitions, and what is past its time goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from tallystick.mailbox.inbox import forget_entries
from tallystick.settings import Retention
from tallystick.store.partitions import drop_partitions, make_partitions
from tallystick.store.pool import Pool

_log = structlog.get_logger("tallystick.retention")
_DAY_SECONDS = 86_400.0
_AGAIN_SECONDS = 600.0
"""After trouble, such as a long statement in the way of a lock."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one run did."""

    made: tuple[str, ...]
    dropped: tuple[str, ...]
    forgotten: int
    """Idempotency keys past their time."""


async def apply_retention(pool: Pool, retention: Retention) -> Kept:
    """Make the partitions that are needed, drop those past their time, forget old idempotency keys. Safe at many workers at once.

    Raises asyncpg.LockNotAvailableError when a long statement is in the way; what was done until then stays done.
    """
    days = {
        "audit_entries": retention.audit_days,
        "lineage": retention.lineage_days,
        "message_attempts": retention.messages_days,
        "message_log": retention.messages_days,
    }
    async with pool.acquire() as connection:
        made = await make_partitions(connection)
        dropped = [name for table, kept in days.items() for name in await drop_partitions(connection, table, kept)]
        forgotten = 0
        while count := await forget_entries(connection, retention.idempotency_days):
            forgotten += count
    return Kept(tuple(made), tuple(dropped), forgotten)


async def keep_retention(pool: Pool, retention: Retention) -> None:
    """Apply it now and then every day, for ever; trouble is logged and tried again."""
    while True:
        try:
            kept = await apply_retention(pool, retention)
            _log.info("retention_applied", made=kept.made, dropped=kept.dropped, forgotten=kept.forgotten)
            await asyncio.sleep(_DAY_SECONDS)
        except Exception as error:
            _log.warning("retention_not_applied", error=str(error) or type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)
