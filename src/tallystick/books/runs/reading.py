"""Kept runs and their breaks, read for people: lists by filters and pages, and one with its story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from tallystick.store.pool import Connection

_RUN = """id, entity, reconciliation, number, rules_version, rules_hash, inputs, breaks, carried, run_by, started_at, kept_at,
    state, period, statement, allowed, unexplained, prepared_by, prepared_at, signed_by, signed_at, reopened_by, reopened_at,
    reopen_reason, version"""
_BREAK = """id, entity, reconciliation, class, side, name, differs, cause_kind, cause, currency, money_at_risk,
    amount_difference, state, owner, explained_kind, explanation, accepted_by, acceptance, first_run_id, first_run_at,
    (current_date - first_run_at::date) as age_days, last_run_id, absent_since, closed_run_id, closed_at, resolution, version"""
_STORY = (
    """explained_by, explained_at, accepted_at, lapsed, confidence, evidence, correction, left_record, right_record"""
)


async def list_runs(
    connection: Connection,
    entities: Sequence[str] | None,
    *,
    reconciliation: str | None = None,
    state: str | None = None,
    period: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Runs of these entities (None: all), the newest first."""
    rows = await connection.fetch(
        f"""
        select {_RUN} from reconciliation_runs
        where ($1::text[] is null or entity = any($1)) and ($2::text is null or reconciliation = $2)
            and ($3::text is null or state = $3) and ($4::text is null or period = $4) and ($5::uuid is null or id < $5)
        order by id desc limit $6
        """,
        entities,
        reconciliation,
        state,
        period,
        before,
        limit,
    )
    return [dict(row) for row in rows]


async def find_run(
    connection: Connection, run_id: UUID, entities: Sequence[str] | None, *, lock: bool = False
) -> dict[str, Any] | None:
    """One run with its summary; None if unknown to these entities."""
    row = await connection.fetchrow(
        f"""
        select {_RUN}, summary from reconciliation_runs where id = $1 and ($2::text[] is null or entity = any($2))
        """
        + (" for update" if lock else ""),
        run_id,
        entities,
    )
    return dict(row) if row else None


class _Sort(NamedTuple):
    column: str
    order: str
    after: str


SORTS = {
    "money": _Sort("money_at_risk", "money_at_risk desc, id desc", "(money_at_risk, id) < ($10::bigint, $11::uuid)"),
    "age": _Sort("first_run_at", "first_run_at, id", "(first_run_at, id) > ($10::timestamptz, $11::uuid)"),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which breaks; None of a field is any."""

    states: tuple[str, ...] = ("open",)
    reconciliation: str | None = None
    of_class: str | None = None
    cause_kind: str | None = None
    """What a person said, or where nobody did, the rules."""
    cause: str | None = None
    owner: str | None = None
    first_found_before: datetime | None = None
    money_at_least: int | None = None
    """In minor units."""


async def list_breaks(
    connection: Connection,
    entities: Sequence[str] | None,
    wanted: Filter,
    *,
    sort: str = "money",
    after: tuple[datetime | int, UUID] | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Breaks by filters; `sort` is one of SORTS, `after` the value and id of the last one of the page before."""
    by = SORTS[sort]
    rows = await connection.fetch(
        f"""
        select {_BREAK} from reconciliation_breaks
        where ($1::text[] is null or entity = any($1)) and state = any($2::text[])
            and ($3::text is null or reconciliation = $3) and ($4::text is null or class = $4)
            and ($5::text is null or coalesce(explained_kind, cause_kind) = $5) and ($6::text is null or cause = $6)
            and ($7::text is null or owner = $7) and ($8::timestamptz is null or first_run_at < $8)
            and ($9::bigint is null or money_at_risk >= $9) and ($11::uuid is null or {by.after})
        order by {by.order} limit $12
        """,
        entities,
        list(wanted.states),
        wanted.reconciliation,
        wanted.of_class,
        wanted.cause_kind,
        wanted.cause,
        wanted.owner,
        wanted.first_found_before,
        wanted.money_at_least,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [dict(row) for row in rows]


async def find_break(
    connection: Connection, break_id: UUID, entities: Sequence[str] | None, *, lock: bool = False
) -> dict[str, Any] | None:
    """One break as it stands; None if unknown to these entities."""
    row = await connection.fetchrow(
        f"""
        select {_BREAK}, {_STORY} from reconciliation_breaks where id = $1 and ($2::text[] is null or entity = any($2))
        """
        + (" for update" if lock else ""),
        break_id,
        entities,
    )
    return dict(row) if row else None


async def read_break(connection: Connection, break_id: UUID, entities: Sequence[str] | None) -> dict[str, Any] | None:
    """One break with its story: what people and runs did, and which runs found it, the last hundred of each."""
    found = await find_break(connection, break_id, entities)
    if found is None:
        return None
    notes = await connection.fetch(
        """
        select at, principal, action, note, detail from (
            select * from reconciliation_break_notes where break_id = $1 order by id desc limit 100) last
        order by id
        """,
        break_id,
    )
    runs = await connection.fetch(
        """
        select r.id as run_id, r.number, r.kept_at, f.found, f.currency, f.money_at_risk, f.amount_difference
        from reconciliation_runs r join reconciliation_findings f on f.run_id = r.id and f.break_id = $1
        where r.entity = $2 and r.reconciliation = $3
        order by r.number desc limit 100
        """,
        break_id,
        found["entity"],
        found["reconciliation"],
    )
    return {**found, "notes": [dict(each) for each in notes], "runs": [dict(each) for each in runs]}


async def list_findings(
    connection: Connection,
    run: dict[str, Any],
    *,
    after: tuple[int, UUID] | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The breaks of one run, most money first: as they stood when it was prepared for its period, else as they stand."""
    stood = run["state"] != "kept"
    said = ("state", "owner", "explained_kind", "explanation", "accepted_by", "acceptance", "resolution")
    standing = ", ".join(f"{'f' if stood else 'b'}.{each}" for each in said)
    rows = await connection.fetch(
        f"""
        select f.break_id, f.found, b.class, b.side, b.name, f.cause_kind, f.cause, f.currency, f.money_at_risk,
            f.amount_difference, {standing}, b.first_run_at
        from reconciliation_findings f join reconciliation_breaks b on b.id = f.break_id
        where f.run_id = $1 and ($3::uuid is null or (f.money_at_risk, f.break_id) < ($2::bigint, $3::uuid))
        order by f.money_at_risk desc, f.break_id desc limit $4
        """,
        run["id"],
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [dict(row) for row in rows]
