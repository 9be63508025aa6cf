"""Kept reconciliations over HTTP: runs and what they found, breaks and what people do about them, and the closing of periods."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.authentication import allowed, authorise, guarded_router
from tallystick.api.conditional import ExpectedVersion
from tallystick.api.context import InContext
from tallystick.api.pagination import Cursor, Limit, decode_cursor, page, position_in
from tallystick.api.parameters import Word
from tallystick.api.problems import Problem
from tallystick.api.reconciliation_requests import (
    MONTH,
    BreakExplanation,
    BreakOwner,
    BreakReason,
    BreaksAcceptance,
    BreaksExplanation,
    RunPreparation,
    RunReopening,
    RunSignOff,
)
from tallystick.books.runs.periods import PeriodWork, Preparation, SamePerson, prepare_run, reopen_period, sign_off
from tallystick.books.runs.reading import (
    SORTS,
    Filter,
    find_run,
    list_breaks,
    list_findings,
    list_runs,
    read_break,
)
from tallystick.books.runs.refusal import RunChanged, RunNotPossible
from tallystick.books.runs.sweeping import accept_many, explain_many
from tallystick.books.runs.work import BreakWork, accept_break, assign_break, explain_break, reopen_break
from tallystick.control.access import Principal
from tallystick.control.exceptions import RootCause
from tallystick.documents.values import NO_CONTROL_CHARACTERS

router = guarded_router("reconciliations")
Name = Annotated[str | None, Query(max_length=200, pattern=NO_CONTROL_CHARACTERS)]
PeriodFilter = Annotated[str | None, Query(pattern=MONTH)]
Days = Annotated[int | None, Query(ge=0, le=36_500, description="Found first at least so many days ago")]
AtLeast = Annotated[int | None, Query(ge=0, le=2**53, description="Money at risk in minor units")]
_STATES = {
    "open": ("open",),
    "accepted": ("accepted",),
    "standing": ("open", "accepted"),
    "closed": ("closed",),
    "all": ("open", "accepted", "closed"),
}


@router.get("/reconciliations/runs", summary="Kept runs")
async def list_kept(
    context: InContext,
    reconciliation: Name = None,
    state: Literal["kept", "prepared", "signed_off"] | None = None,
    period: PeriodFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("runs.read"),
) -> dict[str, Any]:
    """The newest first, each with its inputs' hashes, what became of its breaks, and its period if it is prepared for one."""
    async with context.flow.pool.acquire() as connection:
        items = await list_runs(
            connection,
            principal.entity_filter,
            reconciliation=reconciliation,
            state=state,
            period=period,
            before=decode_cursor(cursor, UUID),
            limit=limit + 1,
        )
    return page(items, limit, lambda each: each["id"])


@router.get("/reconciliations/runs/{run_id}", summary="One run")
async def show_run(run_id: UUID, context: InContext, principal: Principal = allowed("runs.read")) -> Response:
    """With its summary: where each side's rows went, what matched, classes and causes of its breaks."""
    return _run_answer(run_id, await _run(context, run_id, principal))


@router.get("/reconciliations/runs/{run_id}/breaks", summary="What a run found")
async def show_findings(
    run_id: UUID,
    context: InContext,
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("runs.read"),
) -> dict[str, Any]:
    """The most money first. Of a prepared or signed-off run as each break stood then, else as it stands."""
    run = await _run(context, run_id, principal)
    if run is None:
        raise _unknown("run", run_id)
    async with context.flow.pool.acquire() as connection:
        items = await list_findings(
            connection, run, after=decode_cursor(cursor, lambda at: (int(at[0]), UUID(at[1]))), limit=limit + 1
        )
    return page(items, limit, lambda each: [each["money_at_risk"], each["break_id"]])


@router.post("/reconciliations/runs/{run_id}:prepare", summary="State that it is ready for sign-off")
async def prepare(
    run_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    preparation: RunPreparation,
    principal: Principal = allowed("runs.prepare"),
) -> Response:
    """Refused while more is open and unexplained than the bounds say. How each break stands is put down."""
    wanted = Preparation(preparation.period, preparation.statement, preparation.most_breaks, preparation.most_money)
    done = prepare_run(context.flow.pool, PeriodWork(run_id, principal, version), wanted)
    return _run_answer(run_id, await _allowed(done))


@router.post("/reconciliations/runs/{run_id}:sign-off", summary="Close its period")
async def sign(
    run_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    word: RunSignOff,
    principal: Principal = allowed("runs.sign_off"),
) -> Response:
    """By another person than the preparer. The run and how its breaks stood are frozen then."""
    done = sign_off(context.flow.pool, PeriodWork(run_id, principal, version), word.reason)
    return _run_answer(run_id, await _allowed(done))


@router.post("/reconciliations/runs/{run_id}:reopen", summary="Open its period again")
async def reopen_run(
    run_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    reopening: RunReopening,
    principal: Principal = allowed("runs.reopen"),
) -> Response:
    """By an admin, with a reason. The sign-off stays in the audit trail."""
    done = reopen_period(context.flow.pool, PeriodWork(run_id, principal, version), reopening.reason)
    return _run_answer(run_id, await _allowed(done))


@router.get("/reconciliations/breaks", summary="Breaks as they stand")
async def list_standing(
    context: InContext,
    state: Literal["open", "accepted", "standing", "closed", "all"] = "open",
    reconciliation: Name = None,
    break_class: Annotated[str | None, Query(alias="class", max_length=64, pattern=NO_CONTROL_CHARACTERS)] = None,
    root_cause: RootCause | None = None,
    cause: Name = None,
    owner: Word = None,
    age_days: Days = None,
    money_at_least: AtLeast = None,
    sort: Literal["money", "age"] = "money",
    limit: Limit = 50,
    cursor: Cursor = None,
    principal: Principal = allowed("runs.read"),
) -> dict[str, Any]:
    """The most money first, or the oldest. `root_cause` is what a person said, or where nobody did, the rules."""
    before = None if age_days is None else datetime.now(UTC) - timedelta(days=age_days)
    wanted = Filter(
        _STATES[state],
        reconciliation=reconciliation,
        of_class=break_class,
        cause_kind=root_cause.value if root_cause else None,
        cause=cause,
        owner=owner,
        first_found_before=before,
        money_at_least=money_at_least,
    )
    async with context.flow.pool.acquire() as connection:
        items = await list_breaks(
            connection,
            principal.entity_filter,
            wanted,
            sort=sort,
            after=decode_cursor(cursor, position_in(sort)),
            limit=limit + 1,
        )
    return page(items, limit, lambda each: [sort, each[SORTS[sort].column], each["id"]])


@router.post("/reconciliations/breaks:explain", summary="Say what many come from")
async def explain_all(
    context: InContext, wanted: BreaksExplanation, principal: Principal = allowed("runs.work")
) -> dict[str, Any]:
    """All open ones named that have no explanation; those that have one keep it."""
    authorise(principal, "runs.work", wanted.entity)
    done = explain_many(
        context.flow.pool, principal, wanted.sweep(), wanted.root_cause, wanted.text, dry_run=wanted.dry_run
    )
    return await _counted(done, "explained", wanted.dry_run)


@router.post("/reconciliations/breaks:accept", summary="Let many be as they are")
async def accept_all(
    context: InContext, wanted: BreaksAcceptance, principal: Principal = allowed("runs.work")
) -> dict[str, Any]:
    """All open ones named, each for the amount that it has."""
    authorise(principal, "runs.work", wanted.entity)
    done = accept_many(context.flow.pool, principal, wanted.sweep(), wanted.reason, dry_run=wanted.dry_run)
    return await _counted(done, "accepted", wanted.dry_run)


async def _counted(done: Awaitable[int], what: str, dry_run: bool) -> dict[str, Any]:
    try:
        return {f"would_be_{what}" if dry_run else what: await done}
    except RunNotPossible as error:
        raise Problem(409, error.code, str(error)) from None


@router.get("/reconciliations/breaks/{break_id}", summary="One break with its story")
async def show_break(break_id: UUID, context: InContext, principal: Principal = allowed("runs.read")) -> Response:
    """Both sides' rows, the evidence, what people and runs did, and which runs found it."""
    async with context.flow.pool.acquire() as connection:
        return _break_answer(break_id, await read_break(connection, break_id, principal.entity_filter))


@router.post("/reconciliations/breaks/{break_id}:assign", summary="Give it to somebody")
async def assign(
    break_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    wanted: BreakOwner,
    principal: Principal = allowed("runs.work"),
) -> Response:
    """Set its owner, who stays with it from run to run; null gives it back."""
    done = assign_break(context.flow.pool, BreakWork(break_id, principal, version), wanted.owner)
    return _break_answer(break_id, await _allowed(done))


@router.post("/reconciliations/breaks/{break_id}:explain", summary="Say what it comes from")
async def explain(
    break_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    explanation: BreakExplanation,
    principal: Principal = allowed("runs.work"),
) -> Response:
    """A root cause and a text. It stays open; the explanation stays with it."""
    work = BreakWork(break_id, principal, version)
    done = explain_break(context.flow.pool, work, explanation.root_cause, explanation.text)
    return _break_answer(break_id, await _allowed(done))


@router.post("/reconciliations/breaks/{break_id}:accept", summary="Let it be as it is")
async def accept(
    break_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    acceptance: BreakReason,
    principal: Principal = allowed("runs.work"),
) -> Response:
    """For this amount: where a later run finds another, the acceptance lapses and says so."""
    done = accept_break(context.flow.pool, BreakWork(break_id, principal, version), acceptance.reason)
    return _break_answer(break_id, await _allowed(done))


@router.post("/reconciliations/breaks/{break_id}:reopen", summary="Take an acceptance back")
async def reopen_one(
    break_id: UUID,
    context: InContext,
    version: ExpectedVersion,
    reopening: BreakReason,
    principal: Principal = allowed("runs.work"),
) -> Response:
    """What a run closed opens by itself when another finds it."""
    done = reopen_break(context.flow.pool, BreakWork(break_id, principal, version), reopening.reason)
    return _break_answer(break_id, await _allowed(done))


async def _run(context: InContext, run_id: UUID, principal: Principal) -> dict[str, Any] | None:
    async with context.flow.pool.acquire() as connection:
        return await find_run(connection, run_id, principal.entity_filter)


async def _allowed(done: Awaitable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """What was done, or the problem that it is."""
    try:
        return await done
    except RunChanged as error:
        raise Problem(412, "version.changed", str(error)) from None
    except SamePerson as error:
        raise Problem(403, "period.same_person", str(error)) from None
    except RunNotPossible as error:
        raise Problem(409, error.code, str(error)) from None


def _run_answer(run_id: UUID, found: dict[str, Any] | None) -> Response:
    if found is None:
        raise _unknown("run", run_id)
    return json_response(found, version=found["version"])


def _break_answer(break_id: UUID, found: dict[str, Any] | None) -> Response:
    if found is None:
        raise _unknown("break", break_id)
    return json_response(found, version=found["version"])


def _unknown(what: str, identifier: UUID) -> Problem:
    return Problem(404, "not_found", f"there is no {what} {identifier}")
