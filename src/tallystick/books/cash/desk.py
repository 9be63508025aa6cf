"""The cash desk of the hub: files in, lines kept once, what is safe on its way to the ERP, the rest before people."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tallystick.books.cash.advices import tie
from tallystick.books.cash.application import CashApplication
from tallystick.books.cash.arrivals import sort_out
from tallystick.books.cash.conservation import account_for
from tallystick.books.cash.items import OpenItem
from tallystick.books.cash.kept import (
    KeptLine,
    alone,
    fresh_line,
    keep_lines,
    known_identities,
    like_lines,
    not_in_the_erp_yet,
    payers,
)
from tallystick.books.cash.ledger import Ledger
from tallystick.books.cash.plain import application_data, left_out_data, proposal_data
from tallystick.books.cash.posting import NotPostable, message_of, posting_of
from tallystick.books.cash.proposals import Application, Status
from tallystick.books.cash.received import FileReceived, LeftOut, Received, received_of
from tallystick.books.statements.reader import statements_of
from tallystick.books.statements.remittances import remittances_of
from tallystick.books.statements.statement import BankStatement, StatementError
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import ExceptionOpening, open_exceptions
from tallystick.documents.cash import CashPosting
from tallystick.documents.money import format_minor
from tallystick.documents.remittance import Remittance
from tallystick.mailbox.carrier import Carrier
from tallystick.store.pool import Connection, Pool, storable
from tallystick.systems.ports import OpenReceivable, Receivables


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as it was sent."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CashRequest:
    """Files to apply for an entity; `post`: keep the lines and have the safe ones booked, else only tell."""

    entity: str
    files: tuple[SentFile, ...]
    advices: tuple[SentFile, ...] = ()
    account: str | None = None
    currency: str | None = None
    post: bool = False
    by: str = ""


@dataclass(slots=True)
class _Read:
    """What the files say."""

    statements: list[tuple[FileReceived, BankStatement]]
    advices: list[Remittance]
    notes: list[str]
    trouble: list[str]


@dataclass(slots=True)
class _Run:
    """What became of the lines that are new, and those that are not."""

    lines: list[tuple[Received, FileReceived]]
    answers: list[Application]
    repeated: list[Received]
    left_out: list[LeftOut]
    untied: tuple[Remittance, ...]


class CashDesk:
    """Applies an entity's cash to what its ERP says is owed."""

    def __init__(self, pool: Pool, carrier: Carrier, erp_name: str, erp: Receivables, due_hours: float) -> None:
        self._pool = pool
        self._carrier = carrier
        self._erp_name = erp_name
        self._erp = erp
        self._due = timedelta(hours=due_hours)

    async def apply(self, request: CashRequest) -> dict[str, Any]:
        """What became of every line, as plain data. Raises the ERP's Failure, and NotConserved."""
        read = await asyncio.to_thread(_read, request)
        async with self._pool.acquire() as connection:
            asked_at: datetime = await connection.fetchval("select now()")
        owed = await self._erp.read_open_items()
        async with alone(self._pool, request.entity) as connection:
            run = await self._decided(connection, request, read, owed, asked_at)
            places = account_for(
                [statement for _, statement in read.statements],
                run.answers,
                run.left_out,
                [(each.entry.currency, each.entry.amount) for each in run.repeated],
            )
            kept: list[KeptLine] = []
            if request.post:
                async with connection.transaction():
                    kept = await self._keep(connection, request, run)
        return {
            "places": {currency: asdict(each) for currency, each in places.items()},
            "applications": _told(run.answers, kept),
            "left_out": [left_out_data(each) for each in run.left_out],
            "repeated": [each.payment.id for each in run.repeated],
            "untied_advices": [each.model_dump(mode="json") for each in run.untied],
            "notes": read.notes,
            "trouble": read.trouble,
        }

    async def _decided(
        self,
        connection: Connection,
        request: CashRequest,
        read: _Read,
        owed: Sequence[OpenReceivable],
        asked_at: datetime,
    ) -> _Run:
        customers = await payers(connection, request.entity)
        received, left_out = await asyncio.to_thread(_received, read, customers)
        lines = [each for each, _ in received]
        known = await known_identities(connection, request.entity, lines)
        before = await like_lines(connection, request.entity, lines)
        fresh, repeated = sort_out(received, known, before)
        taken = await not_in_the_erp_yet(connection, request.entity, asked_at)

        def decided() -> _Run:
            tied = tie([each.payment for each, _ in fresh], read.advices)
            answers = CashApplication(_open_items(owed, taken)).apply(tied.payments)
            return _Run(fresh, [_postable(each) for each in answers], repeated, left_out, tied.untied)

        return await asyncio.to_thread(decided)

    async def _keep(self, connection: Connection, request: CashRequest, run: _Run) -> list[KeptLine]:
        """Keep the new lines, send off what is safe, and put the rest before people."""
        kept, openings, messages = [], [], []
        for (received, file), answer in zip(run.lines, run.answers, strict=True):
            opening = self._opening(request, received, answer)
            line = fresh_line(request.entity, received, file, answer, opening.id if opening else None)
            kept.append(line)
            if opening is not None:
                openings.append(replace(opening, context={**opening.context, "line_id": str(line.id)}))
            if answer.status is Status.APPLIED:
                messages.append(message_of(request.entity, self._erp_name, _posting(answer, line.id, line.reference)))
        await keep_lines(connection, request.entity, kept, request.by)
        await open_exceptions(connection, openings)
        await self._carrier.offer(connection, messages)
        await write_audit(connection, [_audit(request, run, len(messages))])
        return kept

    def _opening(self, request: CashRequest, received: Received, answer: Application) -> ExceptionOpening | None:
        """The work item of a line that a person must decide."""
        if answer.status is Status.APPLIED:
            return None
        paid = answer.payment
        money = f"{format_minor(paid.amount, paid.currency)} {paid.currency}"
        sender = paid.payer or paid.customer_id or "somebody"
        if answer.status is Status.SUGGESTED:
            rivals = f" ({answer.rivals} other ways fit as well)" if answer.rivals else ""
            summary = f"{money} of {sender}: {answer.proposals[0].evidence}{rivals}; accept or refuse the suggestion"
        else:
            said = " ".join(paid.texts)[:120] or "no text"
            summary = f"{money} of {sender}: nothing open fits it ({said}); find out what it is for"
        return ExceptionOpening(
            entity=request.entity,
            type=f"cash.{answer.status.value}",
            stage="settlement",
            summary=summary,
            system=self._erp_name,
            reasons=tuple(
                {"code": f"cash.{each.rule.value}", "message": each.evidence, "money_at_risk": paid.amount}
                for each in answer.proposals
            ),
            context={
                "account": received.statement.account,
                "statement": received.statement.number,
                "doubt": paid.doubt,
            },
            money_at_risk=paid.amount,
            currency=paid.currency,
            due_in=self._due,
        )


def _read(request: CashRequest) -> _Read:
    """Parse everything; a file that can't be read is trouble, and nothing of it counts."""
    read = _Read([], [], [], [])
    for sent in request.files:
        file = FileReceived(sent.name, hashlib.sha256(sent.content).hexdigest())
        try:
            found = statements_of(sent.content, account=request.account, currency=request.currency)
        except StatementError as error:
            read.trouble.append(f"{sent.name}: {error}")
            continue
        read.statements += [(file, _storable(each) if b"\0" in sent.content else each) for each in found]
        read.notes += sorted({f"{sent.name}: {', '.join(each.notes)}" for each in found if each.notes})
        read.trouble += [
            f"{sent.name}: account {each.account}, statement {each.number}: {problem}"
            for each in found
            for problem in each.problems
        ]
    for sent in request.advices:
        try:
            advices = remittances_of(sent.content, currency=request.currency)
        except StatementError as error:
            read.trouble.append(f"{sent.name}: {error}")
            continue
        read.advices += advices.advices
        read.trouble += [f"{sent.name}: {each}" for each in advices.quarantined]
    return read


def _received(read: _Read, customers: Mapping[str, str]) -> tuple[list[tuple[Received, FileReceived]], list[LeftOut]]:
    received: list[tuple[Received, FileReceived]] = []
    left_out: list[LeftOut] = []
    for file, statement in read.statements:
        found, out = received_of([statement], customers)
        received += [(each, file) for each in found]
        left_out += out
    return received, left_out


def _storable(statement: BankStatement) -> BankStatement:
    """The statement without what PostgreSQL can't hold in a text."""

    def plain(entry: Any) -> Any:
        return replace(
            entry,
            **{
                name: storable(value)
                for name, value in ((each.name, getattr(entry, each.name)) for each in fields(entry))
                if isinstance(value, str)
            },
        )

    cleaned: BankStatement = plain(statement)
    return replace(cleaned, entries=tuple(plain(each) for each in statement.entries))


def _open_items(owed: Sequence[OpenReceivable], taken: Sequence[dict[str, Any]]) -> list[OpenItem]:
    """What the ERP says is owed, less what is on its way there."""
    ledger = Ledger(
        OpenItem(
            each.number,
            each.customer_id,
            each.currency,
            each.open_amount,
            each.issued_on,
            each.discount,
            each.discount_until,
        )
        for each in {(each.customer_id, each.number): each for each in owed if each.open_amount > 0}.values()
    )
    for proposal in taken:
        for each in proposal["allocations"]:
            ledger.settle_at_most(each["customer_id"], each["number"], each["amount"] + each["discount"])
    return list(ledger)


def _posting(answer: Application, line_id: UUID, reference: str) -> CashPosting:
    paid = answer.payment
    return posting_of(
        line_id,
        reference,
        proposal_data(answer.proposals[0]),
        amount=paid.amount,
        currency=paid.currency,
        paid_on=paid.paid_on,
        payer=paid.payer,
        remittance=" ".join(paid.texts),
        customer_id=_payer_of(answer),
    )


def _postable(answer: Application) -> Application:
    """The answer, as a suggestion where it is safe and yet can't be booked as it is."""
    if answer.status is not Status.APPLIED:
        return answer
    try:
        _posting(answer, UUID(int=0), "TSC-")
    except NotPostable as error:
        proposals = tuple(replace(each, evidence=f"{each.evidence}; but {error}") for each in answer.proposals)
        return replace(answer, status=Status.SUGGESTED, proposals=proposals)
    return answer


def _payer_of(answer: Application) -> str | None:
    """Whose account the rest belongs on."""
    allocations = answer.proposals[0].allocations
    return answer.payment.customer_id or (allocations[0].customer_id if allocations else None)


def _told(answers: Sequence[Application], kept: Sequence[KeptLine]) -> list[dict[str, Any]]:
    ids: list[str | None] = [str(each.id) for each in kept]
    ids = ids or [None] * len(answers)
    return [{**application_data(each), "line_id": line} for each, line in zip(answers, ids, strict=True)]


def _audit(request: CashRequest, run: _Run, posting: int) -> AuditEntry:
    counts = {status.value: sum(each.status is status for each in run.answers) for status in Status}
    detail = {
        "files": {each.name: hashlib.sha256(each.content).hexdigest() for each in (*request.files, *request.advices)},
        **counts,
        "posting": posting,
        "repeated": len(run.repeated),
        "left_out": len(run.left_out),
    }
    return AuditEntry(request.by, "cash.apply", "cash", request.entity, request.entity, detail=detail)
