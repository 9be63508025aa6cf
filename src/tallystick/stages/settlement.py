"""Settlement: posted invoices go to the payment side for collection, and every payment it reports is recorded in the ERP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from tallystick.control.exceptions import ExceptionOpening
from tallystick.documents.cash import APPLY_CASH
from tallystick.documents.event import EventType
from tallystick.documents.money import format_minor
from tallystick.documents.payment import Payment
from tallystick.mailbox.messages import Delivery, Done
from tallystick.stages.cash_posting import CashBooked, CashResult, at_risk, post_lines, record_booked
from tallystick.stages.early import Early
from tallystick.stages.flow import SETTLEMENT, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import payment_reference
from tallystick.stages.stage import Result, Stage, Work, carry_documents
from tallystick.stages.transactions import CrossReference, DocumentRecord, Dossier, TransactionChange
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import Accepted, PaymentCommand, PaymentRecorded, PaymentRequest


class Settlement(Stage):
    """The stage with its kinds of messages. A bank line belongs to no transaction, or to several: it goes its own way."""

    def __init__(self, flow: Flow) -> None:
        kinds = {"request_payment": request_payments, "record_payment": record_payments}
        super().__init__(SETTLEMENT, flow, kinds, at_risk=_at_risk)

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Any]:
        """One answer for each delivery."""
        lines = [each for each in deliveries if each.kind == APPLY_CASH]
        others = [each for each in deliveries if each.kind != APPLY_CASH]
        answers: dict[UUID, Result | CashResult] = {}
        if others:
            answers.update(zip((each.id for each in others), await super().handle(others), strict=True))
        if lines:
            try:
                booked = await post_lines(self._flow, lines)
            except Failure as failure:
                booked = [failure] * len(lines)
            answers.update(zip((each.id for each in lines), booked, strict=True))
        return [answers[each.id] for each in deliveries]

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
        """Write what came of them."""
        lines = [(delivery, outcome) for delivery, outcome in done if isinstance(outcome, CashBooked)]
        others = [(delivery, outcome) for delivery, outcome in done if not isinstance(outcome, CashBooked)]
        if others:
            await super().record(connection, others)
        if lines:
            await record_booked(self._flow, connection, lines)

    def _opening(self, delivery: Delivery, failure: Failure, dossier: Dossier | None) -> ExceptionOpening:
        opening = super()._opening(delivery, failure, dossier)
        if delivery.kind != APPLY_CASH:
            return opening
        amount, currency = at_risk(delivery.payload)
        context = {**opening.context, "line_id": delivery.payload.get("line_id")}
        return replace(opening, money_at_risk=amount, currency=currency, context=context)


def settlement(flow: Flow) -> Settlement:
    """The stage, for the worker."""
    return Settlement(flow)


def _at_risk(work: Work) -> int:
    """The money that came in and is not booked, else the invoice that is not collected."""
    if work.delivery.kind == "record_payment":
        payment = work.document(Payment)
        return payment.amount if isinstance(payment, Payment) else 0
    number = work.delivery.payload.get("invoice_number")
    return sum(invoice.total_amount for invoice in work.dossier.invoices if invoice.number == number)


def _request(work: Work) -> PaymentRequest:
    transaction, number = work.dossier.transaction, work.delivery.payload["invoice_number"]
    return PaymentRequest(
        reference=payment_reference(transaction.id, str(number)),
        customer_id=transaction.customer_id,
        invoice=next(invoice for invoice in work.dossier.invoices if invoice.number == number),
        order_number=transaction.order_number,
        transaction_id=str(transaction.id),
        verify=work.delivery.verify,
    )


async def request_payments(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Hand invoices over for collection."""
    answers = await flow.payments(works[0].delivery.system).request_payments([_request(work) for work in works])
    return [_requested(work, answer) for work, answer in zip(works, answers, strict=True)]


def _requested(work: Work, answer: Accepted | Failure) -> Result:
    if isinstance(answer, Failure):
        return answer
    invoice = work.delivery.payload["invoice_number"]
    return Done(
        Outcome(
            references=(_reference(work, "payment_request", answer.system_reference, str(invoice)),),
            facts=(work.fact(SETTLEMENT, "payment_requested", invoice=invoice),),
        )
    )


async def record_payments(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Record received payments in the ERP, each once; what the ERP itself reports is in its books already."""
    erp = flow.erp(works[0].delivery.system)
    return await carry_documents(
        works,
        Payment,
        partial(_without_erp, flow),
        lambda ready: erp.record_payments([_command(*each) for each in ready]),
        partial(_recorded, flow),
    )


def _without_erp(flow: Flow, work: Work, payment: Payment) -> Result | None:
    """The answer where the ERP need not, or must not, be asked."""
    transaction, system = work.dossier.transaction, work.delivery.system
    repeated = work.repetition("payment", payment)
    if repeated is not None:
        return repeated
    if payment.currency != transaction.currency:
        message = f"payment {payment.number} is in {payment.currency}, the order in {transaction.currency}; finance must decide"
        return Rejected(message, system=system, code="payment.currency_differs")
    if payment.invoice_number and ("invoice", payment.invoice_number) not in work.dossier.bodies:
        message = (
            f"payment {payment.number} names invoice {payment.invoice_number}, which is not known here; if it never will be, "
            "correct the number"
        )
        return Early(message, system=system, code="payment.before_invoice", transaction=transaction)
    if work.sender == system:
        noted = PaymentRecorded(_command(work, payment).reference, payment.number, payment.amount, already_there=True)
        return _recorded(flow, work, payment, noted)
    return None


def _command(work: Work, payment: Payment) -> PaymentCommand:
    transaction = work.dossier.transaction
    return PaymentCommand(
        reference=payment_reference(transaction.id, payment.number),
        payment=payment,
        customer_id=transaction.customer_id,
        invoice_number=payment.invoice_number,
        verify=work.delivery.verify,
    )


def _recorded(flow: Flow, work: Work, payment: Payment, answer: PaymentRecorded) -> Result:
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    body = payment.model_dump(mode="json")
    data = {"payment": body, "applied_amount": answer.applied_amount, "on_account_amount": answer.on_account_amount}
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, paid=payment.amount),
            documents=(DocumentRecord(transaction.id, "payment", payment.number, work.sender, body),),
            references=(_reference(work, "payment", answer.system_reference, answer.reference),),
            facts=(
                work.fact(
                    SETTLEMENT,
                    "paid",
                    payment=payment.number,
                    applied_amount=answer.applied_amount,
                    on_account_amount=answer.on_account_amount,
                ),
            ),
            messages=flow.news(transaction, EventType.ORDER_PAID, data),
            exceptions=_on_account(work, payment, answer, entity.policy.exception_due_hours),
        )
    )


def _on_account(
    work: Work, payment: Payment, answer: PaymentRecorded, due_hours: float
) -> tuple[ExceptionOpening, ...]:
    """Money that the ERP could apply to no invoice is the customer's: finance refunds it or applies it to another one."""
    if not answer.on_account_amount:
        return ()
    transaction = work.dossier.transaction
    applied = format_minor(answer.applied_amount, payment.currency)
    left = format_minor(answer.on_account_amount, payment.currency)
    message = (
        f"payment {payment.number}: {left} {payment.currency} stays on the account of customer {transaction.customer_id}; "
        "apply it to another invoice or refund it"
    )
    reason = {
        "code": "payment.overpaid" if payment.invoice_number else "payment.without_invoice",
        "message": message,
        "order_value": format_minor(payment.amount, payment.currency),
        "system_value": applied,
        "money_at_risk": answer.on_account_amount,
    }
    context = {"payment_number": payment.number, "invoice_number": payment.invoice_number}
    return (work.difference("payment.on_account", SETTLEMENT, message, [reason], due_hours, **context),)


def _reference(work: Work, kind: str, theirs: str, ours: str) -> CrossReference:
    transaction = work.dossier.transaction
    return CrossReference(work.delivery.system, kind, theirs, transaction.entity, transaction.id, ours)
