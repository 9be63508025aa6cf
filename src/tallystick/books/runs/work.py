"""What people do about a break: take it, explain it, accept it, and take an acceptance back. Each on record, none overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.books.runs.reading import find_break
from tallystick.books.runs.refusal import RunChanged, RunNotPossible, breaks_frozen
from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import RootCause
from tallystick.store.pool import Connection, Pool


@dataclass(frozen=True, slots=True)
class BreakWork:
    """Who works on which break, as they saw it."""

    break_id: UUID
    principal: Principal
    version: int


async def assign_break(pool: Pool, work: BreakWork, owner: str | None) -> dict[str, Any] | None:
    """Give it to a person, or to nobody; None where there is no such break for the principal.

    This and all below raise RunChanged when somebody changed it since, RunNotPossible when it is closed or its period signed off.
    """
    statement = "update reconciliation_breaks set owner = $2, version = version + 1 where id = $1"
    return await _done(pool, work, "assign", statement, (owner,), detail={"owner": owner})


async def explain_break(pool: Pool, work: BreakWork, kind: RootCause, text: str) -> dict[str, Any] | None:
    """Say what it comes from; an explanation before it is replaced, and stays in the story."""
    statement = """
        update reconciliation_breaks set explained_kind = $2, explanation = $3, explained_by = $4, explained_at = now(),
            version = version + 1
        where id = $1
        """
    values = (kind.value, text, work.principal.name)
    return await _done(pool, work, "explain", statement, values, reason=text, detail={"root_cause": kind.value})


async def accept_break(pool: Pool, work: BreakWork, reason: str) -> dict[str, Any] | None:
    """Let it be as it is, for this amount; of another amount it would be open again."""
    statement = """
        update reconciliation_breaks set state = 'accepted', accepted_by = $2, accepted_at = now(), acceptance = $3,
            lapsed = null, version = version + 1
        where id = $1
        """
    return await _done(pool, work, "accept", statement, (work.principal.name, reason), reason=reason, needs="open")


async def reopen_break(pool: Pool, work: BreakWork, reason: str) -> dict[str, Any] | None:
    """Take an acceptance back."""
    statement = """
        update reconciliation_breaks set state = 'open', accepted_by = null, accepted_at = null, acceptance = null,
            version = version + 1
        where id = $1
        """
    return await _done(pool, work, "reopen", statement, (), reason=reason, needs="accepted")


async def _done(
    pool: Pool,
    work: BreakWork,
    action: str,
    statement: str,
    values: tuple[Any, ...],
    *,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    needs: str | None = None,
) -> dict[str, Any] | None:
    """Change a break, with a line in its story and in the audit trail; gives it as it is then."""
    async with pool.acquire() as connection, connection.transaction():
        found = await _workable(connection, work, needs)
        if found is None:
            return None
        by = work.principal.name
        await connection.execute(statement, work.break_id, *values)
        await connection.execute(
            """
            insert into reconciliation_break_notes (break_id, principal, action, note, detail) values ($1, $2, $3, $4, $5)
            """,
            work.break_id,
            by,
            action,
            reason,
            detail,
        )
        told = {
            "reconciliation": found["reconciliation"],
            "class": found["class"],
            "name": found["name"],
            "money_at_risk": found["money_at_risk"],
            "currency": found["currency"],
            **(detail or {}),
        }
        entry = AuditEntry(
            by,
            f"break.{action}",
            "reconciliation_break",
            str(work.break_id),
            found["entity"],
            reason=reason,
            detail=told,
        )
        await write_audit(connection, [entry])
        return await find_break(connection, work.break_id, None)


async def _workable(connection: Connection, work: BreakWork, needs: str | None) -> dict[str, Any] | None:
    found = await find_break(connection, work.break_id, work.principal.entity_filter, lock=True)
    if found is None:
        return None
    if found["version"] != work.version:
        raise RunChanged(f"the break was changed meanwhile: it is at version {found['version']}; read it again")
    if found["state"] == "closed":
        raise RunNotPossible(
            "break.closed", f"the break is closed ({found['resolution']}); it opens again by itself when a run finds it"
        )
    if needs is not None and found["state"] != needs:
        raise RunNotPossible(
            f"break.not_{needs}", f"the break is {found['state']}, and only what is {needs} can be changed so"
        )
    # Shared with who works on other breaks, and with nobody who signs the run off.
    run = await connection.fetchrow(
        "select state, period, signed_by from reconciliation_runs where id = $1 for share", found["last_run_id"]
    )
    if run is not None and run["state"] == "signed_off":
        raise breaks_frozen(run["period"], run["signed_by"])
    return found
