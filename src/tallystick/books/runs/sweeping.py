"""The same word for many breaks at once: one cause behind thousands is explained, or small ones are accepted, in one go."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tallystick.books.runs.refusal import breaks_frozen
from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import RootCause
from tallystick.store.pool import Connection, Pool

_LONG = 300.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """Open breaks of one reconciliation; None of a field is any."""

    entity: str
    reconciliation: str
    of_class: str | None = None
    cause: str | None = None
    """The specific cause that the rules found."""
    owner: str | None = None
    money_at_most: int | None = None
    """Money at risk of each, in minor units."""
    currency: str | None = None


async def explain_many(
    pool: Pool, principal: Principal, sweep: Sweep, kind: RootCause, text: str, *, dry_run: bool = False
) -> int:
    """Explain the open breaks that have no explanation; returns how many there are. Raises RunNotPossible for a frozen run."""
    statement = """
        update reconciliation_breaks b set explained_kind = $1, explanation = $2, explained_by = $3, explained_at = now(),
            version = b.version + 1
        from swept where b.id = swept.id and b.explanation is null
        """
    values = (kind.value, text, principal.name)
    return await _swept(
        pool, principal, sweep, "explain", (statement, values), text, {"root_cause": kind.value}, dry_run
    )


async def accept_many(pool: Pool, principal: Principal, sweep: Sweep, reason: str, *, dry_run: bool = False) -> int:
    """Accept the open breaks; returns how many there are. Raises RunNotPossible for a frozen run."""
    statement = """
        update reconciliation_breaks b set state = 'accepted', acceptance = $1, accepted_by = $2, accepted_at = now(),
            lapsed = null, version = b.version + 1
        from swept where b.id = swept.id and b.state = 'open'
        """
    return await _swept(pool, principal, sweep, "accept", (statement, (reason, principal.name)), reason, {}, dry_run)


async def _swept(
    pool: Pool,
    principal: Principal,
    sweep: Sweep,
    action: str,
    change: tuple[str, tuple[Any, ...]],
    reason: str,
    detail: dict[str, Any],
    dry_run: bool,
) -> int:
    """Change all of them in one transaction, with a line in each one's story and one in the audit trail."""
    async with pool.acquire() as connection, connection.transaction():
        await _not_frozen(connection, sweep)
        asked = (
            sweep.entity,
            sweep.reconciliation,
            sweep.of_class,
            sweep.cause,
            sweep.owner,
            sweep.money_at_most,
            sweep.currency,
        )
        chosen = f"""
            select id from reconciliation_breaks
            where entity = $1 and reconciliation = $2 and state = 'open' and ($3::text is null or class = $3)
                and ($4::text is null or cause = $4) and ($5::text is null or owner = $5)
                and ($6::bigint is null or money_at_risk <= $6) and ($7::text is null or currency = $7)
                {"and explanation is null" if action == "explain" else ""}
            """
        if dry_run:
            return int(await connection.fetchval(f"select count(*) from ({chosen}) chosen", *asked, timeout=_LONG))
        await connection.execute("create temp table swept (id uuid primary key) on commit drop")
        await connection.execute(f"insert into swept {chosen} order by id for update", *asked, timeout=_LONG)
        statement, values = change
        status = await connection.execute(statement, *values, timeout=_LONG)
        await connection.execute(
            """
            insert into reconciliation_break_notes (break_id, principal, action, note, detail)
            select id, $1, $2, $3, $4 from swept
            """,
            principal.name,
            action,
            reason,
            {**detail, "together": True},
            timeout=_LONG,
        )
        count = int(status.rpartition(" ")[2])
        told = {
            **detail,
            "breaks": count,
            **{name: value for name, value in asdict(sweep).items() if value is not None},
        }
        entry = AuditEntry(
            principal.name,
            f"breaks.{action}",
            "reconciliation",
            sweep.reconciliation,
            sweep.entity,
            reason=reason,
            detail=told,
        )
        await write_audit(connection, [entry])
        return count


async def _not_frozen(connection: Connection, sweep: Sweep) -> None:
    """All that stands of a reconciliation stands in its last run."""
    last = await connection.fetchrow(
        """
        select state, period, signed_by from reconciliation_runs where entity = $1 and reconciliation = $2
        order by number desc limit 1 for share
        """,
        sweep.entity,
        sweep.reconciliation,
    )
    if last is not None and last["state"] == "signed_off":
        raise breaks_frozen(last["period"], last["signed_by"])
