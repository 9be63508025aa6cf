"""A run is kept: who ran what on which inputs, what came out, and its breaks beside those of the runs before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tallystick.books.runs.carrying import Which, carry_over, find_again, missing, stage, take_resolved
from tallystick.books.runs.found import Found, Missing, summary_of
from tallystick.books.runs.refusal import RunNotPossible
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection

_PATIENCE = 600.0
"""Seconds to wait for another run of the same reconciliation."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Who has a run kept, for which entity, by which rules."""

    entity: str
    by: str
    rules_hash: str
    """SHA-256 of the rules as they are written."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run that is on record."""

    id: UUID
    number: int
    """Of its reconciliation, from 1."""
    carried: dict[str, int]
    """How many breaks are new, there again, come_back, lapsed (an acceptance), matched or differs_otherwise (closed), absent."""


async def keep_run(connection: Connection, found: Found, keeping: Keeping) -> KeptRun:
    """Keep a run whole or not at all; another one of the same reconciliation waits until it is.

    Raises RunNotPossible when an input was changed while it was read, or a run that began later is on record already.
    """
    name = found.outcome.rules.name
    inputs = found.inputs(keeping.started_at)
    async with connection.transaction():
        # Between two statements the engine looks for keys, in files perhaps; and tables without an index are read whole.
        await connection.execute(
            "set local idle_in_transaction_session_timeout = '15min'; set local enable_seqscan = on"
        )
        await _wait_for_others(connection, keeping.entity, name)
        number = await _next_number(connection, keeping, name)
        which = Which(keeping.entity, name, new_id())
        breaks = await stage(connection, found.batches())
        await find_again(connection, which)
        if await _stage_missing(found, missing(connection, which)):
            await take_resolved(connection, found.resolved())
        carried = await carry_over(connection, which)
        await _record(
            connection, found, keeping, which.run_id, number, breaks, [asdict(each) for each in inputs], carried
        )
    return KeptRun(which.run_id, number, carried)


async def _wait_for_others(connection: Connection, entity: str, name: str) -> None:
    try:
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('reconciliation/' || $1 || '/' || $2, 0))",
            entity,
            name,
            timeout=_PATIENCE,
        )
    except TimeoutError:
        raise RunNotPossible(
            "run.waited",
            f"another run of {name!r} is being kept since {_PATIENCE:.0f} seconds; run it again when it is done",
        ) from None


async def _next_number(connection: Connection, keeping: Keeping, name: str) -> int:
    last = await connection.fetchrow(
        """
        select number, started_at, run_by from reconciliation_runs
        where entity = $1 and reconciliation = $2 order by number desc limit 1
        """,
        keeping.entity,
        name,
    )
    if last is None:
        return 1
    if last["started_at"] > keeping.started_at:
        raise RunNotPossible(
            "run.overtaken",
            f"run {last['number']} of {name!r}, begun later by {last['run_by']}, is on record already, and older data must not "
            "replace newer; run it again",
        )
    return int(last["number"]) + 1


async def _stage_missing(found: Found, pages: AsyncIterator[list[Missing]]) -> bool:
    several = False
    async for page in pages:
        found.stage_missing(page)
        several = True
    return several


async def _record(
    connection: Connection,
    found: Found,
    keeping: Keeping,
    run_id: UUID,
    number: int,
    breaks: int,
    inputs: list[dict[str, Any]],
    carried: dict[str, int],
) -> None:
    rules = found.outcome.rules
    await connection.execute(
        """
        insert into reconciliation_runs (id, entity, reconciliation, number, rules_version, rules_hash, inputs, summary, breaks,
                                         carried, run_by, started_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        run_id,
        keeping.entity,
        rules.name,
        number,
        rules.version,
        keeping.rules_hash,
        inputs,
        summary_of(found.outcome),
        breaks,
        carried,
        keeping.by,
        keeping.started_at,
    )
    detail = {
        "reconciliation": rules.name,
        "number": number,
        "rules_hash": keeping.rules_hash,
        "breaks": breaks,
        **carried,
    }
    entry = AuditEntry(keeping.by, "run.keep", "reconciliation_run", str(run_id), keeping.entity, detail=detail)
    await write_audit(connection, [entry])
