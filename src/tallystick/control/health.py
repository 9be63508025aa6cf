"""Whether this server can do its work now: the database answers, and its schema is not older than this version needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from tallystick.store.migrate import known_revisions
from tallystick.store.pool import Pool

_LONGEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready, or in one word for each part what is wrong with it. Tells nothing of addresses or names."""

    database: str
    schema: str

    @property
    def ready(self) -> bool:
        """Whether requests may be sent here."""
        return self.database == "ok" and self.schema in ("current", "newer")


async def check_readiness(pool: Pool) -> Readiness:
    """Ask the database, for at most two seconds.

    A schema newer than this version is fine: migrations are made so that the version before goes on working while
    servers are replaced one by one.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            revision = await pool.fetchval("select version_num from alembic_version")
    except asyncpg.UndefinedTableError:
        return Readiness("ok", "missing")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return Readiness("no answer", "unknown")
    *older, newest = known_revisions()
    return Readiness("ok", "current" if revision == newest else "older" if revision in older else "newer")
