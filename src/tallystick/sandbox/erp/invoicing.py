"""Invoices: one for each shipment, for what shipped; however an order is split, its invoices add up to its total."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tallystick.documents.money import Rounding, from_minor
from tallystick.sandbox.erp.configuration import Configuration
from tallystick.sandbox.erp.ledger import Ledger
from tallystick.sandbox.erp.orders import extension, order_by_number
from tallystick.sandbox.erp.records import Delivery, OrderState, PostedInvoice, PostedLine, SalesLine, SalesOrder
from tallystick.sandbox.erp.refusal import RefusalError, unless
from tallystick.sandbox.erp.requests import Answer, InvoiceRequest

_NET_DAYS = re.compile(r"(?:^|\s)NET\s*(\d{1,3})$", re.IGNORECASE)
_DISCOUNT = re.compile(r"^(\d{1,2})/(\d{1,3})\s", re.IGNORECASE)
"""2/10 NET30: two percent when it is paid within ten days."""


def post_invoice(ledger: Ledger, configuration: Configuration, request: InvoiceRequest) -> Answer:
    """Post the invoice of a shipment; a shipment that has its invoice answers that one (200)."""
    order = order_by_number(ledger, request.order_number)
    number = ledger.find("shipment", order.number, request.shipment_reference)
    if number is None:
        raise RefusalError(
            404, "shipment.unknown", f"order {order.number} has no shipment with reference {request.shipment_reference}"
        )
    delivery = ledger.shipments[number]
    if delivery.invoice_number is not None:
        return 200, ledger.invoices[delivery.invoice_number]
    used = ledger.find("invoice", order.number, request.reference)
    unless(used is None, 409, "invoice.reference_used", f"reference {request.reference} is invoice {used} already")
    today = ledger.clock().date()
    lines, billed = _bill_lines(order, delivery, configuration.rounding)
    charges, billed = _bill_charges(billed)
    tax, billed = _bill_tax(billed)
    net = sum(line.amount for line in (*lines, *charges))
    invoice = PostedInvoice(
        number=f"INV{len(ledger.invoices) + 1:08d}",
        reference=request.reference,
        order_number=order.number,
        customer_id=order.customer_id,
        currency=order.currency,
        invoice_date=today,
        due_date=today + timedelta(days=_payment_days(order, configuration)),
        shipment_number=delivery.number,
        lines=(*lines, *charges),
        net_amount=net,
        tax_amount=tax,
        total_amount=net + tax,
        booked_at=ledger.clock(),
        **_early_payment(order.payment_terms, today, net + tax),
    )
    billed = _after(replace(billed, invoiced_amount=billed.invoiced_amount + invoice.total_amount))
    ledger.put(invoice, billed, replace(delivery, invoice_number=invoice.number))
    return 201, invoice


def share(total: int, part: int, whole: int) -> int:
    """The part of a total that belongs to part of the whole, half up. Shares are cumulative, so that they add up."""
    if whole == 0:
        return total
    return (2 * total * part + whole) // (2 * whole)


def _bill_lines(order: SalesOrder, delivery: Delivery, rounding: Rounding) -> tuple[tuple[PostedLine, ...], SalesOrder]:
    """Invoice lines for what shipped, and the order with them invoiced."""
    lines = {line.line_number: line for line in order.lines}
    posted = []
    for shipped in delivery.lines:
        line = lines[shipped.line_number]
        changed = _billed_line(line, shipped.quantity, order.currency, rounding)
        posted.append(posted_line(line, shipped.quantity, changed.invoiced_amount - line.invoiced_amount))
        lines[shipped.line_number] = changed
    return tuple(posted), replace(order, lines=tuple(lines[line.line_number] for line in order.lines))


def _billed_line(line: SalesLine, quantity: Decimal, currency: str, rounding: Rounding) -> SalesLine:
    """The line with a quantity more invoiced. The amount is rounded over all of it, not invoice by invoice."""
    invoiced = line.invoiced + quantity
    amount = line.net_amount if invoiced == line.quantity else extension(line, invoiced, currency, rounding)
    return replace(line, invoiced=invoiced, invoiced_amount=amount)


def posted_line(line: SalesLine, quantity: Decimal, amount: int) -> PostedLine:
    """A line of an invoice or credit memo for a quantity of an order line."""
    return PostedLine(
        line_number=line.line_number,
        product_id=line.product_id,
        description=None,
        quantity=quantity,
        unit_price=line.unit_price,
        amount=amount,
    )


def _bill_charges(order: SalesOrder) -> tuple[tuple[PostedLine, ...], SalesOrder]:
    """Charges such as freight in full on the first invoice; allowances in step with what is invoiced."""
    posted = [] if order.charges_invoiced else [each for each in order.charges if each.signed_amount > 0]
    allowance = sum(each.amount for each in order.charges if each.signed_amount < 0)
    due = share(allowance, _invoiced_net(order), order.lines_amount) - order.allowances_invoiced
    lines = [_charge_line(each.description or each.code, each.amount, order.currency) for each in posted]
    if due:
        lines.append(_charge_line("allowances of the order, in proportion", -due, order.currency))
    changed = replace(order, charges_invoiced=True, allowances_invoiced=order.allowances_invoiced + due)
    return tuple(lines), changed


def _charge_line(description: str, amount: int, currency: str) -> PostedLine:
    """A line without a product; an allowance has a negative amount."""
    return PostedLine(
        line_number=None,
        product_id=None,
        description=description,
        quantity=Decimal(1),
        unit_price=abs(from_minor(amount, currency)),
        amount=amount,
    )


def _bill_tax(order: SalesOrder) -> tuple[int, SalesOrder]:
    """The order's tax in step with what is invoiced."""
    due = share(order.tax_amount, _invoiced_net(order), order.lines_amount) - order.tax_invoiced
    return due, replace(order, tax_invoiced=order.tax_invoiced + due)


def _invoiced_net(order: SalesOrder) -> int:
    return sum(line.invoiced_amount for line in order.lines)


def _after(order: SalesOrder) -> SalesOrder:
    """The order closes when nothing more will ship and all that shipped is invoiced."""
    done = order.state is OrderState.SHIPPED and all(line.invoiced == line.shipped for line in order.lines)
    return replace(order, state=OrderState.CLOSED) if done else order


def _early_payment(terms: str | None, today: date, total: int) -> dict[str, Any]:
    """The discount of the terms, and until when; nothing where they have none."""
    said = _DISCOUNT.match(terms or "")
    if not said or total <= 0:
        return {}
    percent, days = int(said.group(1)), int(said.group(2))
    return {"discount_amount": (total * percent + 50) // 100, "discount_until": today + timedelta(days=days)}


def _payment_days(order: SalesOrder, configuration: Configuration) -> int:
    said = _NET_DAYS.search(order.payment_terms or "")
    return int(said.group(1)) if said else configuration.payment_days
