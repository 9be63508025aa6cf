"""Two people close a period: one states that its run is ready, another signs it off. After that it is frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.books.runs.reading import find_run
from tallystick.books.runs.refusal import RunChanged, RunNotPossible
from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.documents.money import format_minor
from tallystick.store.pool import Connection, Pool

_LONG = 300.0


@dataclass(frozen=True, slots=True)
class PeriodWork:
    """Who closes or reopens the period of which run, as they saw it."""

    run_id: UUID
    principal: Principal
    version: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a preparer states: for which period, in which words, and how much may be open and unexplained."""

    period: str
    """Year and month: 2026-10."""
    statement: str | None = None
    most_breaks: int | None = None
    most_money: int | None = None
    """In minor units, of each currency by itself. Neither given: nothing may be open and unexplained."""


class SamePerson(Exception):
    """Who prepared a period may not be who signs it off."""


async def prepare_run(pool: Pool, work: PeriodWork, wanted: Preparation) -> dict[str, Any] | None:
    """State that a run is ready to be signed off for a period, and put down how each of its breaks stands.

    None where there is no such run for the principal. A run prepared for the period before gives way, and so does an earlier
    preparation of this one. Raises RunChanged, and RunNotPossible when too much is open, or the period signed off.
    """
    async with pool.acquire() as connection, connection.transaction():
        await _one_at_a_time(connection, work, wanted.period)
        run = await _seen(connection, work)
        if run is None:
            return None
        if run["state"] == "signed_off":
            raise _frozen(run)
        await _take_the_period(connection, run, wanted.period, work.principal.name)
        await _put_down(connection, work.run_id)
        unexplained = await _unexplained(connection, work.run_id)
        _check(unexplained, wanted)
        await connection.execute(
            """
            update reconciliation_runs set state = 'prepared', period = $2, statement = $3, allowed = $4, unexplained = $5,
                prepared_by = $6, prepared_at = now(), version = version + 1
            where id = $1
            """,
            work.run_id,
            wanted.period,
            wanted.statement,
            {"breaks": wanted.most_breaks, "money": wanted.most_money},
            unexplained,
            work.principal.name,
        )
        detail = {"period": wanted.period, "unexplained": unexplained}
        return await _closed(connection, run, work, "prepare", wanted.statement, detail)


async def sign_off(pool: Pool, work: PeriodWork, reason: str | None = None) -> dict[str, Any] | None:
    """Close the period, as another person than the preparer. None as above.

    Raises SamePerson, RunChanged, and RunNotPossible when it is not prepared or something changed since it was.
    """
    async with pool.acquire() as connection, connection.transaction():
        run = await _seen(connection, work)
        if run is None:
            return None
        if run["state"] == "signed_off":
            raise _frozen(run)
        if run["state"] != "prepared":
            raise RunNotPossible("period.not_prepared", "nobody has prepared this run for a period; prepare it first")
        if run["prepared_by"] == work.principal.name:
            raise SamePerson(
                f"{work.principal.name} prepared period {run['period']}; another person has to sign it off"
            )
        changed = await connection.fetchval(
            """
            select count(*) from reconciliation_findings f join reconciliation_breaks b on b.id = f.break_id
            where f.run_id = $1 and b.last_run_id = $1 and b.version <> f.break_version
            """,
            work.run_id,
            timeout=_LONG,
        )
        if changed:
            raise RunNotPossible(
                "period.changed",
                f"{changed} breaks were changed since {run['prepared_by']} prepared it; it is to be prepared again",
            )
        await connection.execute(
            """
            update reconciliation_runs set state = 'signed_off', signed_by = $2, signed_at = now(), version = version + 1
            where id = $1
            """,
            work.run_id,
            work.principal.name,
        )
        detail = {"period": run["period"], "prepared_by": run["prepared_by"]}
        return await _closed(connection, run, work, "sign_off", reason, detail)


async def reopen_period(pool: Pool, work: PeriodWork, reason: str) -> dict[str, Any] | None:
    """Undo a sign-off. None as above. Raises RunChanged, and RunNotPossible when the run is not signed off."""
    async with pool.acquire() as connection, connection.transaction():
        run = await _seen(connection, work)
        if run is None:
            return None
        if run["state"] != "signed_off":
            raise RunNotPossible("period.not_signed_off", "the run is not signed off, so there is nothing to reopen")
        await connection.execute(
            """
            update reconciliation_runs set state = 'kept', period = null, statement = null, allowed = null, unexplained = null,
                prepared_by = null, prepared_at = null, signed_by = null, signed_at = null, reopened_by = $2,
                reopened_at = now(), reopen_reason = $3, version = version + 1
            where id = $1
            """,
            work.run_id,
            work.principal.name,
            reason,
        )
        detail = {each: run[each] for each in ("period", "prepared_by", "prepared_at", "signed_by", "signed_at")}
        return await _closed(connection, run, work, "reopen", reason, detail)


async def _one_at_a_time(connection: Connection, work: PeriodWork, period: str) -> None:
    """Two who prepare different runs for one period wait for each other, before either locks a run."""
    await connection.execute(
        """
        select pg_advisory_xact_lock(hashtextextended('period/' || entity || '/' || reconciliation || '/' || $2, 0))
        from reconciliation_runs where id = $1
        """,
        work.run_id,
        period,
    )


async def _seen(connection: Connection, work: PeriodWork) -> dict[str, Any] | None:
    run = await find_run(connection, work.run_id, work.principal.entity_filter, lock=True)
    if run is not None and run["version"] != work.version:
        raise RunChanged(f"the run was changed meanwhile: it is at version {run['version']}; read it again")
    return run


def _frozen(run: dict[str, Any]) -> RunNotPossible:
    return RunNotPossible(
        "period.signed_off",
        f"{run['reconciliation']}: period {run['period']} was signed off by {run['signed_by']} and is frozen; only an admin can "
        "reopen it",
    )


async def _take_the_period(connection: Connection, run: dict[str, Any], period: str, by: str) -> None:
    """A period has one run: one prepared before gives way, one signed off does not."""
    other = await connection.fetchrow(
        """
        select id, reconciliation, number, state, period, signed_by from reconciliation_runs
        where entity = $1 and reconciliation = $2 and period = $3 and id <> $4 for update
        """,
        run["entity"],
        run["reconciliation"],
        period,
        run["id"],
    )
    if other is None:
        return
    if other["state"] == "signed_off":
        raise _frozen(dict(other))
    await connection.execute(
        """
        update reconciliation_runs set state = 'kept', period = null, statement = null, allowed = null, unexplained = null,
            prepared_by = null, prepared_at = null, version = version + 1
        where id = $1
        """,
        other["id"],
    )
    detail = {"period": period, "for_run": str(run["id"])}
    entry = AuditEntry(by, "run.give_way", "reconciliation_run", str(other["id"]), run["entity"], detail=detail)
    await write_audit(connection, [entry])


async def _put_down(connection: Connection, run_id: UUID) -> None:
    """How each break of the run stands now: what is signed, whatever becomes of it in later runs."""
    await connection.execute(
        """
        update reconciliation_findings f set state = b.state, owner = b.owner, explained_kind = b.explained_kind,
            explanation = b.explanation, accepted_by = b.accepted_by, acceptance = b.acceptance, resolution = b.resolution,
            break_version = b.version
        from reconciliation_breaks b where f.run_id = $1 and b.id = f.break_id
        """,
        run_id,
        timeout=_LONG,
    )


async def _unexplained(connection: Connection, run_id: UUID) -> dict[str, Any]:
    rows = await connection.fetch(
        """
        select currency, count(*) as breaks, sum(money_at_risk)::bigint as money from reconciliation_findings
        where run_id = $1 and state = 'open' and explanation is null group by currency order by currency
        """,
        run_id,
        timeout=_LONG,
    )
    return {
        "breaks": sum(row["breaks"] for row in rows),
        "money": {row["currency"]: row["money"] for row in rows if row["currency"] is not None},
    }


def _check(unexplained: dict[str, Any], wanted: Preparation) -> None:
    """Raises RunNotPossible where more is open and unexplained than the preparer says may be."""
    most = 0 if wanted.most_breaks is None and wanted.most_money is None else wanted.most_breaks
    told = []
    if most is not None and unexplained["breaks"] > most:
        told.append(f"{unexplained['breaks']} breaks, and at most {most} may be")
    if wanted.most_money is not None:
        told += [
            f"{format_minor(amount, code)} {code}, and at most {format_minor(wanted.most_money, code)} may be"
            for code, amount in unexplained["money"].items()
            if amount > wanted.most_money
        ]
    if told:
        raise RunNotPossible(
            "period.unexplained",
            f"open, not explained and not accepted are {'; '.join(told)}; explain or accept them, or set a higher bound",
        )


async def _closed(
    connection: Connection,
    run: dict[str, Any],
    work: PeriodWork,
    action: str,
    reason: str | None,
    detail: dict[str, Any],
) -> dict[str, Any] | None:
    """Write it into the audit trail; gives the run as it is then."""
    told = {"reconciliation": run["reconciliation"], "number": run["number"], **detail}
    entry = AuditEntry(
        work.principal.name,
        f"run.{action}",
        "reconciliation_run",
        str(work.run_id),
        run["entity"],
        reason=reason,
        detail=told,
    )
    await write_audit(connection, [entry])
    return await find_run(connection, work.run_id, None)
