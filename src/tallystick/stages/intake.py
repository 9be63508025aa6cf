"""Intake: orders come in, are checked at once, and are kept in one transaction with the message that commits them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from tallystick.checks.promises import PromiseRaceError
from tallystick.control.audit import AuditEntry
from tallystick.control.lineage import LineageFact
from tallystick.documents.decision import CheckResult, Decision, gravest
from tallystick.documents.order import Order
from tallystick.documents.transaction import CommitmentState
from tallystick.mailbox.inbox import Entry, accept_entries, find_entries
from tallystick.settings import Entity
from tallystick.stages.decision import STATES, checks_summary, decided, reasons_of, tax_amount_of
from tallystick.stages.flow import Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import DocumentRecord
from tallystick.store.crash_points import committing
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection, JsonText

_MOST_RACES = 50
"""Every lost race means that somebody else got through; more than a few in a row have not been seen."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An order with who sends it. The idempotency key is the sender's; the hash is of the payload as it came."""

    order: Order
    body: JsonText
    """The order as it is kept."""
    principal: str
    payload_hash: bytes
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class IntakeAnswer:
    """The answer to a submission: 201 kept (accepted or held), 422 rejected, 409 a conflict."""

    status: int
    body: dict[str, Any]
    transaction_id: UUID | None = None
    replayed: bool = False


@dataclass(slots=True)
class _Case:
    """One submission on its way through intake."""

    submission: Submission
    entity: Entity
    results: tuple[CheckResult, ...] = ()
    decision: Decision = Decision.ACCEPT
    transaction_id: UUID | None = None
    exception_id: UUID | None = None


class Intake:
    """The front door for orders."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    async def validate(self, orders: Sequence[Order]) -> list[tuple[Decision, tuple[CheckResult, ...]]]:
        """What the checks say, keeping nothing."""
        unkept = JsonText(b"{}")
        cases = [
            _Case(Submission(order, unkept, "", b""), self._flow.settings.entities[order.entity]) for order in orders
        ]
        await self._check(cases)
        return [(case.decision, case.results) for case in cases]

    async def submit(self, submissions: Sequence[Submission]) -> list[IntakeAnswer]:
        """Check and keep a batch; one answer for each, in order. One transaction for the whole batch.

        A repeated key with the same payload gets the first answer; with another payload a conflict. Entities are known to
        exist: the caller has authorised the principal for them.
        """
        answers: dict[int, IntakeAnswer] = {}
        fresh: list[int] = []
        first_by_key: dict[tuple[str, str], int] = {}
        repeated: list[int] = []
        known = await self._known([each for each in submissions if each.idempotency_key])
        for index, submission in enumerate(submissions):
            key = (submission.principal, submission.idempotency_key or "")
            if submission.idempotency_key and key in known:
                answers[index] = _repetition(submission, known[key])
            elif submission.idempotency_key and key in first_by_key:
                repeated.append(index)
            else:
                first_by_key[key] = index
                fresh.append(index)
        cases = [_Case(submissions[i], self._flow.settings.entities[submissions[i].order.entity]) for i in fresh]
        await self._check(cases)
        kept = await self._keep(cases) if cases else []
        answers.update(zip(fresh, kept, strict=True))
        if repeated:
            late = await self.submit([submissions[index] for index in repeated])
            answers.update(zip(repeated, late, strict=True))
        return [answers[index] for index in range(len(submissions))]

    async def _known(self, keyed: Sequence[Submission]) -> dict[tuple[str, str], Entry]:
        if not keyed:
            return {}
        async with self._flow.pool.acquire() as connection:
            return await find_entries(connection, [(each.principal, str(each.idempotency_key)) for each in keyed])

    async def _check(self, cases: Sequence[_Case]) -> None:
        by_entity: dict[str, list[_Case]] = {}
        for case in cases:
            by_entity.setdefault(case.submission.order.entity, []).append(case)
        checked = await asyncio.gather(
            *(
                self._flow.checks.check(group[0].entity, [case.submission.order for case in group])
                for group in by_entity.values()
            )
        )
        for group, results in zip(by_entity.values(), checked, strict=True):
            for case, result in zip(group, results, strict=True):
                case.results, case.decision = result, gravest(result)

    async def _keep(self, cases: Sequence[_Case]) -> list[IntakeAnswer]:
        for case in cases:
            case.transaction_id = new_id()
            if case.decision is Decision.HOLD:
                case.exception_id = new_id()
        answers = [_answer(case) for case in cases]
        async with self._flow.pool.acquire() as connection, committing(connection, "intake"):
            there = await _insert_transactions(connection, cases)
            answers = [
                answer if case.transaction_id in there else await _conflict(connection, case)
                for case, answer in zip(cases, answers, strict=True)
            ]
            entries = [
                Entry(
                    case.submission.principal,
                    case.submission.idempotency_key,
                    case.submission.payload_hash,
                    answer.transaction_id,
                    answer.status,
                    answer.body,
                )
                for case, answer in zip(cases, answers, strict=True)
                if case.submission.idempotency_key
            ]
            new = await accept_entries(connection, entries)
            raced = {(entry.source, entry.key) for entry in entries} - new
            if raced:
                raise KeyRaceError(raced)
            outcomes = [_outcome(self._flow, case) for case in cases if case.transaction_id in there]
            await record_outcomes(connection, self._flow.carrier, outcomes)
        return answers


class KeyRaceError(Exception):
    """The same key came in twice at the same moment through two doors; the batch was undone and is to be submitted again."""


async def submit_orders(intake: Intake, submissions: Sequence[Submission]) -> list[IntakeAnswer]:
    """`Intake.submit`, again where another process was first at the same moment: with the same key (its answer is found then),
    or with orders that took the stock or credit these were to have."""
    races = 0
    while True:
        try:
            return await intake.submit(submissions)
        except (KeyRaceError, PromiseRaceError, asyncpg.DeadlockDetectedError):
            races += 1
            if races == _MOST_RACES:
                raise


def _repetition(submission: Submission, entry: Entry) -> IntakeAnswer:
    if entry.payload_hash == submission.payload_hash:
        return IntakeAnswer(entry.status, entry.answer, entry.transaction_id, replayed=True)
    body = {
        "code": "idempotency.key_reused",
        "detail": f"Idempotency-Key {submission.idempotency_key!r} came with another payload before; use a new key",
    }
    return IntakeAnswer(409, body, entry.transaction_id)


def _answer(case: _Case) -> IntakeAnswer:
    decision = case.decision
    committing = decision is Decision.ACCEPT
    body = {
        "transaction_id": str(case.transaction_id),
        "order_number": case.submission.order.order_number,
        "decision": decision.value,
        "checks": checks_summary(case.results),
        "reasons": reasons_of(case.results),
        "exception_id": str(case.exception_id) if case.exception_id else None,
        "commitment": (CommitmentState.PENDING if committing else CommitmentState.NONE).value,
    }
    return IntakeAnswer(422 if decision is Decision.REJECT else 201, body, case.transaction_id)


async def _insert_transactions(connection: Connection, cases: Sequence[_Case]) -> set[UUID]:
    """Insert those whose order number is free; returns their ids. In one order, so that batches side by side never deadlock."""
    cases = sorted(cases, key=lambda case: _live_key(case.submission.order))
    orders = [case.submission.order for case in cases]
    rows = await connection.fetch(
        """
        insert into transactions (id, entity, channel, order_number, customer_po, customer_id, currency, intake, commitment,
                                  ordered_amount, tax_amount)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                             $9::text[], $10::bigint[], $11::bigint[])
        on conflict do nothing
        returning id
        """,
        [case.transaction_id for case in cases],
        [order.entity for order in orders],
        [order.channel for order in orders],
        [order.order_number for order in orders],
        [order.customer_po for order in orders],
        [order.customer_id for order in orders],
        [order.currency for order in orders],
        [STATES[case.decision] for case in cases],
        [CommitmentState.PENDING if case.decision is Decision.ACCEPT else CommitmentState.NONE for case in cases],
        [order.net_amount for order in orders],
        [tax_amount_of(case.results, case.submission.order) or 0 for case in cases],
    )
    return {row["id"] for row in rows}


def _live_key(order: Order) -> tuple[str, str, str]:
    return order.entity, order.channel, order.order_number


async def _conflict(connection: Connection, case: _Case) -> IntakeAnswer:
    """The answer where the channel's order number is taken by a live order."""
    order = case.submission.order
    existing = await connection.fetchval(
        """
        select id from transactions where entity = $1 and channel = $2 and order_number = $3
            and intake not in ('rejected', 'cancelled')
        """,
        order.entity,
        order.channel,
        order.order_number,
    )
    body = {
        "code": "order.duplicate_number",
        "detail": f"channel {order.channel!r} has sent order {order.order_number!r} already; change that one or renumber this",
        "transaction_id": str(existing) if existing else None,
    }
    return IntakeAnswer(409, body, existing)


def _outcome(flow: Flow, case: _Case) -> Outcome:
    assert case.transaction_id is not None  # noqa: S101 - given to every case before it is kept
    order, transaction_id = case.submission.order, case.transaction_id
    received = LineageFact(transaction_id, "intake", "received", system=order.channel, actor=case.submission.principal)
    document = DocumentRecord(transaction_id, "order", order.order_number, order.channel, case.submission.body)
    outcome = decided(flow, transaction_id, order, case.entity, case.results, case.exception_id)
    submitted = AuditEntry(
        case.submission.principal,
        "order.submit",
        "transaction",
        str(transaction_id),
        order.entity,
        transaction_id,
        detail={"channel": order.channel, "order_number": order.order_number, "decision": case.decision.value},
    )
    return replace(outcome, documents=(document,), facts=(received, *outcome.facts), audits=(submitted,))
