"""Payments: applied to an invoice as far as it is open; what is more, or names no invoice, stays on account."""

from __future__ import annotations

from dataclasses import replace

from tallystick.documents.money import format_minor
from tallystick.sandbox.erp.ledger import Ledger
from tallystick.sandbox.erp.masters import known_customer
from tallystick.sandbox.erp.records import PostedInvoice, PostedPayment
from tallystick.sandbox.erp.refusal import RefusalError, unless
from tallystick.sandbox.erp.requests import Answer, PaymentRequest


def record_payment(ledger: Ledger, request: PaymentRequest) -> Answer:
    """Record a payment. A known reference answers the payment there is (200), if it is the same money."""
    customer = known_customer(ledger, request.customer_id)
    number = ledger.find("payment", request.customer_id, request.reference)
    if number is not None:
        existing = ledger.payments[number]
        unless(
            (existing.amount, existing.currency) == (request.amount, request.currency),
            409,
            "payment.reference_used",
            f"reference {request.reference} is payment {number} of {format_minor(existing.amount, existing.currency)}",
        )
        return 200, existing
    unless(
        request.currency == customer.currency,
        422,
        "payment.currency",
        f"customer {customer.id} is billed in {customer.currency}, the payment is in {request.currency}",
    )
    invoice = _invoice(ledger, request) if request.invoice_number else None
    applied = min(request.amount, max(invoice.open_amount, 0)) if invoice else 0
    payment = PostedPayment(
        number=f"PAY{len(ledger.payments) + 1:08d}",
        reference=request.reference,
        customer_id=request.customer_id,
        currency=request.currency,
        amount=request.amount,
        applied_amount=applied,
        on_account_amount=request.amount - applied,
        invoice_number=request.invoice_number,
        order_number=invoice.order_number if invoice else None,
        received_on=request.received_at.date(),
        method=request.method,
        booked_at=ledger.clock(),
    )
    changed = [replace(invoice, paid_amount=invoice.paid_amount + applied)] if invoice and applied else []
    ledger.put(payment, *changed)
    return 201, payment


def _invoice(ledger: Ledger, request: PaymentRequest) -> PostedInvoice:
    invoice = ledger.invoices.get(request.invoice_number or "")
    if invoice is None or invoice.customer_id != request.customer_id:
        raise RefusalError(
            422, "invoice.unknown", f"customer {request.customer_id} has no invoice {request.invoice_number}"
        )
    return invoice
