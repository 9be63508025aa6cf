"""Books received bank lines in the ERP: each line's payments once by their references; what differs then is before a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from tallystick.control.exceptions import ExceptionOpening, open_exceptions, resolve_exceptions
from tallystick.control.lineage import LineageFact
from tallystick.documents.cash import APPLY_CASH, CashPart, CashPosting, CashShare
from tallystick.documents.event import EventType
from tallystick.documents.money import format_minor
from tallystick.documents.payment import Payment
from tallystick.mailbox.messages import Delivery, Done
from tallystick.stages.flow import SETTLEMENT, Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import DocumentRecord, TransactionChange, read_transactions
from tallystick.store.crash_points import crash_point
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import Operation, PaymentCommand, PaymentRecorded, PaymentShare


@dataclass(frozen=True, slots=True)
class CashBooked:
    """What the ERP made of one line."""

    posting: CashPosting
    answers: tuple[PaymentRecorded, ...]
    """One for each part."""


CashResult = Done[CashBooked] | Failure


async def post_lines(flow: Flow, deliveries: Sequence[Delivery]) -> list[CashResult]:
    """One answer a line. A line of several customers is as many payments; one that fails is tried again with what was done
    already looked up."""
    erp = flow.erp(deliveries[0].system)
    results: dict[UUID, CashResult] = {}
    ready: list[tuple[Delivery, CashPosting]] = []
    for delivery in deliveries:
        judged = _posting(delivery, able=Operation.APPLY_CASH in erp.capabilities.operations)
        if isinstance(judged, Rejected):
            results[delivery.id] = judged
        else:
            ready.append((delivery, judged))
    commands = [_command(delivery, posting, part) for delivery, posting in ready for part in posting.parts]
    crash_point("settlement.apply_cash.before_write")
    answers = iter(await erp.record_payments(commands) if commands else ())
    crash_point("settlement.apply_cash.after_write")
    for delivery, posting in ready:
        parts = [next(answers) for _ in posting.parts]
        failure = next((each for each in parts if isinstance(each, Failure)), None)
        booked = tuple(each for each in parts if isinstance(each, PaymentRecorded))
        results[delivery.id] = failure or Done(CashBooked(posting, booked))
    return [results[each.id] for each in deliveries]


def _posting(delivery: Delivery, *, able: bool) -> CashPosting | Rejected:
    if not able:
        message = f"{delivery.system} can't book a payment for invoices that it names ({Operation.APPLY_CASH}); book it by hand"
        return Rejected(message, system=delivery.system, code="cash.not_supported", asked=False)
    try:
        return CashPosting.model_validate(delivery.payload)
    except ValidationError as error:
        why = str(error).replace("\n", " ")[:300]
        message = f"the message is no valid posting ({why}); correct its payload"
        return Rejected(message, system=delivery.system, code="message.invalid_payload", asked=False)


def _command(delivery: Delivery, posting: CashPosting, part: CashPart) -> PaymentCommand:
    payment = Payment(
        number=part.reference,
        currency=posting.currency,
        amount=part.amount,
        paid_at=posting.paid_at,
        customer_id=part.customer_id,
        remittance=posting.remittance or None,
    )
    shares = tuple(PaymentShare(each.invoice_number, each.amount, each.discount) for each in part.shares)
    return PaymentCommand(part.reference, payment, part.customer_id, None, delivery.verify, shares)


async def record_booked(flow: Flow, connection: Connection, done: Sequence[tuple[Delivery, CashBooked]]) -> None:
    """Mark the lines as posted, tell the orders whose invoices were paid, and open what is left for people."""
    await connection.execute(
        """
        update cash_lines c set state = 'posted', posted = b.posted, posted_at = now(), version = c.version + 1
        from unnest($1::uuid[], $2::jsonb[]) as b (id, posted) where c.id = b.id and c.state = 'posting'
        """,
        [booked.posting.line_id for _, booked in done],
        [_told(booked) for _, booked in done],
    )
    await record_outcomes(connection, flow.carrier, await _paid_orders(flow, connection, done))
    openings = [each for delivery, booked in done for each in _left(flow, delivery, booked)]
    await open_exceptions(connection, openings)
    tried_before = [delivery.id for delivery, _ in done if delivery.delivery > 1]
    if tried_before:
        await resolve_exceptions(connection, by="tallystick", resolution="went_through", message_ids=tried_before)


def _told(booked: CashBooked) -> dict[str, Any]:
    return {
        "payments": [each.system_reference for each in booked.answers],
        "applied": sum(each.applied_amount for each in booked.answers),
        "on_account": sum(each.on_account_amount for each in booked.answers),
        "discount": sum(each.discount_amount for each in booked.answers),
    }


async def _paid_orders(
    flow: Flow, connection: Connection, done: Sequence[tuple[Delivery, CashBooked]]
) -> list[Outcome]:
    """What was paid of invoices that the hub's own transactions have."""
    shares = [
        (delivery, booked, part, share)
        for delivery, booked in done
        for part in booked.posting.parts
        for share in part.shares
    ]
    rows = await connection.fetch(
        """
        select distinct d.number, t.entity, t.id from documents d join transactions t on t.id = d.transaction_id
        where d.type = 'invoice' and d.number = any($1::text[])
        """,
        sorted({share.invoice_number for *_, share in shares}),
    )
    known = {(row["entity"], row["number"]): row["id"] for row in rows}
    ids = [known[key] for each in shares if (key := (each[0].entity, each[3].invoice_number)) in known]
    transactions = await read_transactions(connection, sorted(set(ids)))
    outcomes = []
    for delivery, booked, part, share in shares:
        transaction = transactions.get(known.get((delivery.entity, share.invoice_number), booked.posting.line_id))
        if transaction is not None:
            outcomes.append(_paid(flow, delivery, booked.posting, part, share, transaction))
    return outcomes


def _paid(
    flow: Flow, delivery: Delivery, posting: CashPosting, part: CashPart, share: CashShare, transaction: Any
) -> Outcome:
    payment = Payment(
        number=part.reference,
        currency=posting.currency,
        amount=share.amount,
        paid_at=posting.paid_at,
        customer_id=part.customer_id,
        invoice_number=share.invoice_number,
    ).model_dump(mode="json")
    # One payment may pay several invoices of an order: each is a document of its own there.
    number = f"{part.reference}/{share.invoice_number}"[:64]
    fact = LineageFact(
        transaction_id=transaction.id,
        stage=SETTLEMENT,
        fact="paid",
        system=delivery.system,
        message_id=delivery.id,
        detail={"payment": part.reference, "invoice": share.invoice_number, "applied_amount": share.amount},
    )
    data = {"payment": payment, "applied_amount": share.amount, "on_account_amount": 0}
    return Outcome(
        change=TransactionChange(transaction.id, paid=share.amount),
        documents=(DocumentRecord(transaction.id, "payment", number, delivery.system, payment),),
        facts=(fact,),
        messages=flow.news(transaction, EventType.ORDER_PAID, data),
    )


def _left(flow: Flow, delivery: Delivery, booked: CashBooked) -> list[ExceptionOpening]:
    """Deductions, and money that the ERP left on account: each is somebody's to settle."""
    posting = booked.posting
    entity = flow.entity(delivery.entity)
    blank = ExceptionOpening(
        entity=delivery.entity,
        type="cash.deduction",
        stage=SETTLEMENT,
        summary="",
        system=delivery.system,
        currency=posting.currency,
        due_in=timedelta(hours=entity.policy.exception_due_hours if entity else 24.0),
    )
    found = []
    customers = ", ".join(part.customer_id for part in posting.parts)
    for each in posting.deductions:
        kept = f"{format_minor(each.amount, posting.currency)} {posting.currency}"
        message = f"customer {customers} kept back {kept} of invoice {each.invoice_number}: {each.reason}; credit it or claim it"
        context = {"line_id": str(posting.line_id), "invoice_number": each.invoice_number, "said": each.said}
        reasons = ({"code": f"deduction.{each.reason}", "message": message, "money_at_risk": each.amount},)
        found.append(
            replace(blank, id=new_id(), summary=message, reasons=reasons, context=context, money_at_risk=each.amount)
        )
    for answer, part in zip(booked.answers, posting.parts, strict=True):
        if answer.on_account_amount:
            left = f"{format_minor(answer.on_account_amount, posting.currency)} {posting.currency}"
            message = (
                f"{left} stays on the account of customer {part.customer_id}; apply it to another invoice or refund it"
            )
            context = {"line_id": str(posting.line_id), "payment": answer.system_reference}
            reasons = ({"code": "cash.on_account", "message": message, "money_at_risk": answer.on_account_amount},)
            opening = replace(
                blank, id=new_id(), type="cash.on_account", summary=message, reasons=reasons, context=context
            )
            found.append(replace(opening, money_at_risk=answer.on_account_amount))
        refused = sum(each.discount for each in part.shares) - answer.discount_amount
        if refused > 0:
            kept = f"{format_minor(refused, posting.currency)} {posting.currency}"
            message = f"{delivery.system} took {kept} less off than customer {part.customer_id} did for paying early"
            reasons = ({"code": "deduction.unearned_discount", "message": message, "money_at_risk": refused},)
            context = {"line_id": str(posting.line_id), "payment": answer.system_reference}
            found.append(
                replace(blank, id=new_id(), summary=message, reasons=reasons, context=context, money_at_risk=refused)
            )
    return found


async def lines_of(connection: Connection, message_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The bank lines that these messages are to book, by message."""
    rows = await connection.fetch(
        "select id, lane from messages where id = any($1::uuid[]) and kind = $2", list(message_ids), APPLY_CASH
    )
    return {row["id"]: row["lane"] for row in rows}


async def give_up_lines(connection: Connection, line_ids: Sequence[UUID], *, by: str, reason: str) -> None:
    """These lines are not booked from here: somebody has given their messages up."""
    await connection.execute(
        """
        update cash_lines set state = 'refused', decided_by = $2, decided_at = now(), reason = $3, version = version + 1
        where id = any($1::uuid[]) and state = 'posting'
        """,
        list(line_ids),
        by,
        reason,
    )


def at_risk(payload: Mapping[str, Any]) -> tuple[int, str | None]:
    """The money of a line that can't be booked, and its currency, as far as its message says it."""
    try:
        posting = CashPosting.model_validate(payload)
    except ValidationError:
        return 0, None
    return sum(part.amount for part in posting.parts), posting.currency
