"""Settlement: posted invoices go to the payment side for collection, and every payment it reports is recorded in the ERP."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.documents.event import EventType
from tallystick.documents.payment import Payment
from tallystick.mailbox.messages import Done
from tallystick.stages.flow import SETTLEMENT, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import payment_reference
from tallystick.stages.stage import Result, Stage, Work
from tallystick.stages.transactions import CrossReference, DocumentRecord, TransactionChange
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import Accepted, PaymentCommand, PaymentRecorded, PaymentRequest


def settlement(flow: Flow) -> Stage:
    """The stage with its kinds of messages."""
    return Stage(SETTLEMENT, flow, {"request_payment": request_payments, "record_payment": record_payments})


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
    """Record received payments in the ERP, each once."""
    results: dict[object, Result] = {}
    ready: list[tuple[Work, Payment]] = []
    for work in works:
        payment = Payment.model_validate(work.delivery.payload["payment"])
        refusal = _refusal(work, payment)
        if ("payment", payment.number) in work.dossier.numbers:
            results[work.delivery.id] = Done(Outcome())
        elif refusal is not None:
            results[work.delivery.id] = refusal
        else:
            ready.append((work, payment))
    answers = await flow.erp(works[0].delivery.system).record_payments([_command(*each) for each in ready])
    for (work, payment), answer in zip(ready, answers, strict=True):
        results[work.delivery.id] = _recorded(flow, work, payment, answer)
    return [results[work.delivery.id] for work in works]


def _refusal(work: Work, payment: Payment) -> Failure | None:
    transaction = work.dossier.transaction
    if payment.currency != transaction.currency:
        message = f"payment {payment.number} is in {payment.currency}, the order in {transaction.currency}; finance must decide"
        return Rejected(message, system=work.delivery.system, code="payment.currency_differs")
    if payment.invoice_number and ("invoice", payment.invoice_number) not in work.dossier.numbers:
        message = f"payment {payment.number} names invoice {payment.invoice_number}, which is not known here yet"
        return Transient(message, system=work.delivery.system, code="payment.before_invoice")
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


def _recorded(flow: Flow, work: Work, payment: Payment, answer: PaymentRecorded | Failure) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    body = payment.model_dump(mode="json")
    data = {"payment": body, "applied_amount": answer.applied_amount, "on_account_amount": answer.on_account_amount}
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, paid=payment.amount),
            documents=(DocumentRecord(transaction.id, "payment", payment.number, entity.payments or "payments", body),),
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
        )
    )


def _reference(work: Work, kind: str, theirs: str, ours: str) -> CrossReference:
    transaction = work.dossier.transaction
    return CrossReference(work.delivery.system, kind, theirs, transaction.entity, transaction.id, ours)
