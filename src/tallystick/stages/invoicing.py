"""Invoicing: the ERP posts the invoice of each shipment; we compare it with what was ordered and shipped, and carry it on."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.control.exceptions import ExceptionOpening
from tallystick.documents.event import EventType
from tallystick.documents.invoice import Invoice
from tallystick.documents.money import format_minor
from tallystick.documents.transaction import FulfilmentState
from tallystick.mailbox.messages import Done
from tallystick.settings import Entity
from tallystick.stages.flow import INVOICING, SETTLEMENT, Flow
from tallystick.stages.fulfilment import shipped_quantities, shipped_value
from tallystick.stages.invoice_comparison import Expectation, invoice_differences
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import invoice_reference, order_reference, shipment_reference
from tallystick.stages.stage import Result, Stage, Work, unasked
from tallystick.stages.transactions import CrossReference, DocumentRecord, TransactionChange
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import InvoiceCommand


def invoicing(flow: Flow) -> Stage:
    """The stage with its kinds of messages."""
    kinds = {"invoice_shipment": invoice_shipments, "record_invoice": record_invoices}
    return Stage(INVOICING, flow, kinds, at_risk=_at_risk)


def _at_risk(work: Work) -> int:
    """What the shipment that has no invoice costs at the order's prices."""
    number = work.delivery.payload.get("shipment_number")
    shipped = shipped_quantities([each for each in work.dossier.shipments if each.number == number])
    return shipped_value(work.dossier.order, shipped)


def _command(work: Work) -> InvoiceCommand:
    transaction, number = work.dossier.transaction, str(work.delivery.payload["shipment_number"])
    return InvoiceCommand(
        reference=invoice_reference(transaction.id, number),
        order_reference=order_reference(transaction.id),
        erp_reference=transaction.erp_reference or "",
        shipment_number=number,
        shipment_reference=shipment_reference(transaction.id, number),
        verify=work.delivery.verify,
    )


async def invoice_shipments(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Have invoices posted; a difference is a break for a person, never a reason to stop the flow."""
    answers = await flow.erp(works[0].delivery.system).invoice_shipments([_command(work) for work in works])
    return [
        answer if isinstance(answer, Failure) else _invoiced(flow, work, answer)
        for work, answer in zip(works, answers, strict=True)
    ]


async def record_invoices(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Take note of invoices that the ERP posted on its own account; one that we asked for is known already."""
    invoices = [work.document(Invoice) for work in works]
    return [
        unasked(invoice if isinstance(invoice, Failure) else _invoiced(flow, work, invoice))
        for work, invoice in zip(works, invoices, strict=True)
    ]


def _invoiced(flow: Flow, work: Work, invoice: Invoice) -> Result:
    transaction = work.dossier.transaction
    if ("invoice", invoice.number) in work.dossier.bodies:
        return Done(Outcome())
    if invoice.currency != transaction.currency:
        message = f"invoice {invoice.number} is in {invoice.currency}, the order in {transaction.currency}; finance must decide"
        return Rejected(message, system=work.delivery.system, code="invoice.currency_differs")
    entity = flow.settings.entities[transaction.entity]
    body = invoice.model_dump(mode="json")
    messages = flow.news(transaction, EventType.ORDER_INVOICED, {"invoice": body})
    if entity.payments:
        payload = {"invoice_number": invoice.number}
        messages += (flow.message(SETTLEMENT, "request_payment", entity.payments, transaction, payload),)
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, invoiced=invoice.total_amount),
            documents=(DocumentRecord(transaction.id, "invoice", invoice.number, work.delivery.system, body),),
            references=(_reference(work, invoice),),
            facts=(work.fact(INVOICING, "invoiced", invoice=invoice.number, total_amount=invoice.total_amount),),
            messages=messages,
            exceptions=_differences(work, invoice, entity),
        )
    )


def _reference(work: Work, invoice: Invoice) -> CrossReference:
    transaction = work.dossier.transaction
    shipment = work.delivery.payload.get("shipment_number") or next(iter(invoice.shipment_numbers), invoice.number)
    ours = invoice_reference(transaction.id, str(shipment))
    return CrossReference(work.delivery.system, "invoice", invoice.number, transaction.entity, transaction.id, ours)


def _expectation(work: Work, entity: Entity) -> Expectation:
    dossier = work.dossier
    transaction, order = dossier.transaction, dossier.order
    said = entity.tax is not None or order.tax_amount is not None
    return Expectation(
        order=order,
        shipments=dossier.shipments,
        earlier=dossier.invoices,
        tax_amount=transaction.tax_amount if said else None,
        tax_tolerance=entity.policy.tax_tolerance_amount,
        last=transaction.fulfilment is FulfilmentState.COMPLETE and len(dossier.invoices) + 1 >= len(dossier.shipments),
    )


def _differences(work: Work, invoice: Invoice, entity: Entity) -> tuple[ExceptionOpening, ...]:
    transaction = work.dossier.transaction
    reasons = invoice_differences(invoice, _expectation(work, entity))
    if not reasons:
        return ()
    risk = format_minor(sum(reason["money_at_risk"] for reason in reasons), transaction.currency)
    summary = (
        f"invoice {invoice.number} differs from order {transaction.order_number} in {len(reasons)} points by {risk} "
        f"{transaction.currency}: {reasons[0]['message']}"
    )
    due_hours = entity.policy.exception_due_hours
    context = {"invoice_number": invoice.number}
    return (work.difference("invoice.differs", INVOICING, summary, reasons, due_hours, **context),)
