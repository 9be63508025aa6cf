"""Payments: applied to one invoice or several as far as they are open; what is more, or names no invoice, stays on account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tallystick.documents.money import format_minor
from tallystick.sandbox.erp.ledger import Ledger
from tallystick.sandbox.erp.masters import known_customer
from tallystick.sandbox.erp.records import PostedInvoice, PostedPayment
from tallystick.sandbox.erp.refusal import RefusalError, unless
from tallystick.sandbox.erp.requests import Answer, OpenItemsSearch, PaymentRequest


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
    parts = _parts(ledger, request)
    applied = sum(part.amount for part in parts)
    first = parts[0].invoice if parts else None
    payment = PostedPayment(
        number=f"PAY{len(ledger.payments) + 1:08d}",
        reference=request.reference,
        customer_id=request.customer_id,
        currency=request.currency,
        amount=request.amount,
        applied_amount=applied,
        on_account_amount=request.amount - applied,
        invoice_number=request.invoice_number,
        order_number=first.order_number if first else None,
        received_on=request.received_at.date(),
        method=request.method,
        booked_at=ledger.clock(),
        invoice_numbers=tuple(part.invoice.number for part in parts if request.shares),
        discount_amount=sum(part.discount for part in parts),
    )
    ledger.put(payment, *(part.paid for part in parts if part.amount or part.discount))
    return 201, payment


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a payment an invoice takes."""

    invoice: PostedInvoice
    amount: int
    discount: int = 0

    @property
    def paid(self) -> PostedInvoice:
        paid, discounted = self.invoice.paid_amount + self.amount, self.invoice.discounted_amount + self.discount
        return replace(self.invoice, paid_amount=paid, discounted_amount=discounted)


def _parts(ledger: Ledger, request: PaymentRequest) -> list[_Part]:
    """Each invoice that it is for, with as much as the invoice still asks for."""
    if not request.shares:
        if not request.invoice_number:
            return []
        invoice = _invoice(ledger, request, request.invoice_number)
        return [_Part(invoice, min(request.amount, max(invoice.open_amount, 0)))]
    numbers = [each.invoice_number for each in request.shares]
    unless(len(set(numbers)) == len(numbers), 422, "payment.shares", "an invoice has two shares")
    shared = sum(each.amount for each in request.shares)
    unless(shared <= request.amount, 422, "payment.shares", "the shares are more than the payment")
    parts = []
    for each in request.shares:
        invoice = _invoice(ledger, request, each.invoice_number)
        amount = min(each.amount, max(invoice.open_amount, 0))
        allowed = invoice.discount_until is not None and request.received_at.date() <= invoice.discount_until
        discount = min(each.discount, invoice.discount_amount, invoice.open_amount - amount) if allowed else 0
        parts.append(_Part(invoice, amount, discount))
    return parts


def open_items(ledger: Ledger, search: OpenItemsSearch) -> dict[str, Any]:
    """One page of the invoices that are not wholly paid; `next` is where the following page begins, null at the end."""
    found = sorted(each for each, invoice in ledger.invoices.items() if invoice.open_amount > 0 and each > search.after)
    page = [ledger.invoices[each] for each in found[: search.limit]]
    items = [
        {
            "number": each.number,
            "customer_id": each.customer_id,
            "currency": each.currency,
            "open_amount": each.open_amount,
            "issued_on": each.invoice_date,
            "due_on": each.due_date,
            "discount": min(each.discount_amount, each.open_amount - 1) if not each.paid_amount else 0,
            "discount_until": each.discount_until,
        }
        for each in page
    ]
    return {"items": items, "next": page[-1].number if len(found) > search.limit else None}


def _invoice(ledger: Ledger, request: PaymentRequest, number: str) -> PostedInvoice:
    invoice = ledger.invoices.get(number)
    if invoice is None or invoice.customer_id != request.customer_id:
        raise RefusalError(422, "invoice.unknown", f"customer {request.customer_id} has no invoice {number}")
    return invoice
