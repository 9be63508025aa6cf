"""Invoicing: the ERP posts the invoice of each shipment; we compare it with what was ordered and shipped, and carry it on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tallystick.control.exceptions import ExceptionOpening
from tallystick.documents.event import EventType
from tallystick.documents.invoice import Invoice
from tallystick.documents.money import format_minor
from tallystick.documents.order import Order
from tallystick.mailbox.messages import Done
from tallystick.stages.flow import INVOICING, SETTLEMENT, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import invoice_reference, order_reference, shipment_reference
from tallystick.stages.stage import Result, Stage, Work
from tallystick.stages.transactions import CrossReference, DocumentRecord, TransactionChange
from tallystick.systems.failure import Failure
from tallystick.systems.ports import InvoiceCommand


def invoicing(flow: Flow) -> Stage:
    """The stage with its one kind of message."""
    return Stage(INVOICING, flow, {"invoice_shipment": invoice_shipments})


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
    return [_invoiced(flow, work, answer) for work, answer in zip(works, answers, strict=True)]


def _invoiced(flow: Flow, work: Work, invoice: Invoice | Failure) -> Result:
    if isinstance(invoice, Failure):
        return invoice
    transaction = work.dossier.transaction
    if ("invoice", invoice.number) in work.dossier.numbers:
        return Done(Outcome())
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
            references=(
                CrossReference(
                    work.delivery.system,
                    "invoice",
                    invoice.number,
                    transaction.entity,
                    transaction.id,
                    invoice_reference(transaction.id, str(work.delivery.payload["shipment_number"])),
                ),
            ),
            facts=(work.fact(INVOICING, "invoiced", invoice=invoice.number, total_amount=invoice.total_amount),),
            messages=messages,
            exceptions=_differences(work, invoice, entity.policy.exception_due_hours),
        )
    )


def invoice_differences(order: Order, invoice: Invoice) -> list[dict[str, object]]:
    """Lines that the ERP invoiced at another value than the order's price gives for the same quantity."""
    lines = {line.line_number: line for line in order.lines}
    found: list[dict[str, object]] = []
    for index, invoiced in enumerate(invoice.lines):
        ordered = lines.get(invoiced.line_number) if invoiced.line_number is not None else None
        if ordered is None:
            continue
        expected = ordered.model_copy(update={"quantity": invoiced.quantity}).net_amount(order.currency, order.rounding)
        if expected != invoiced.amount:
            found.append(
                {
                    "code": "invoice.line_differs",
                    "message": f"line {invoiced.line_number}: invoiced {format_minor(invoiced.amount, order.currency)}, "
                    f"the order gives {format_minor(expected, order.currency)}; correct the price in the ERP or the order",
                    "path": f"lines[{index}].amount",
                    "order_value": format_minor(expected, order.currency),
                    "system_value": format_minor(invoiced.amount, order.currency),
                    "money_at_risk": abs(expected - invoiced.amount),
                }
            )
    return found


def _differences(work: Work, invoice: Invoice, due_hours: float) -> tuple[ExceptionOpening, ...]:
    transaction = work.dossier.transaction
    reasons = invoice_differences(work.dossier.order, invoice)
    if not reasons:
        return ()
    risk = sum(abs(int(str(reason["money_at_risk"]))) for reason in reasons)
    return (
        ExceptionOpening(
            entity=transaction.entity,
            type="invoice.differs",
            stage=INVOICING,
            summary=f"invoice {invoice.number} differs from order {transaction.order_number} on {len(reasons)} lines "
            f"by {format_minor(risk, transaction.currency)} {transaction.currency}",
            transaction_id=transaction.id,
            system=work.delivery.system,
            reasons=tuple(reasons),
            context={"invoice_number": invoice.number},
            money_at_risk=risk,
            currency=transaction.currency,
            due_in=timedelta(hours=due_hours),
        ),
    )
