"""Returns: goods that came back go on the shelf again, and a credit memo takes them off what the customer owes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from tallystick.documents.money import Rounding
from tallystick.sandbox.erp.configuration import Configuration
from tallystick.sandbox.erp.invoicing import posted_line, share
from tallystick.sandbox.erp.ledger import Ledger, Record
from tallystick.sandbox.erp.orders import extension, order_by_number
from tallystick.sandbox.erp.records import PostedCredit, PostedInvoice, PostedLine, SalesLine, SalesOrder
from tallystick.sandbox.erp.refusal import unless
from tallystick.sandbox.erp.requests import Answer, ReturnRequest
from tallystick.sandbox.erp.shipments import quantities_by_line, restocked


def credit_return(ledger: Ledger, configuration: Configuration, request: ReturnRequest) -> Answer:
    """Post the credit memo of a return. A known reference answers the credit memo there is (200)."""
    order = order_by_number(ledger, request.order_number)
    number = ledger.find("credit_memo", order.number, request.reference)
    if number is not None:
        existing = ledger.credits[number]
        unless(
            existing.return_number == request.return_number,
            409,
            "return.reference_used",
            f"reference {request.reference} is credit memo {number} for return {existing.return_number}",
        )
        return 200, existing
    quantities = quantities_by_line(order, request.lines)
    lines, changed = _credit_lines(order, quantities, configuration.rounding)
    net = sum(line.amount for line in lines)
    credited = sum(line.credited_amount for line in changed.lines)
    tax = min(share(order.tax_amount, credited, order.lines_amount), order.tax_invoiced) - order.tax_credited
    changed = replace(changed, tax_credited=order.tax_credited + tax)
    invoices, left = _credit_invoices(ledger, order, net + tax)
    memo = PostedCredit(
        number=f"CM{len(ledger.credits) + 1:08d}",
        reference=request.reference,
        order_number=order.number,
        customer_id=order.customer_id,
        return_number=request.return_number,
        invoice_number=invoices[0].number if invoices else None,
        currency=order.currency,
        credit_date=ledger.clock().date(),
        lines=lines,
        net_amount=net,
        tax_amount=tax,
        total_amount=net + tax,
        on_account_amount=left,
        reason=request.reason,
        booked_at=ledger.clock(),
    )
    ledger.put(memo, changed, *invoices, *_restock(ledger, order, quantities))
    return 201, memo


def _credit_lines(
    order: SalesOrder, quantities: dict[int, Decimal], rounding: Rounding
) -> tuple[tuple[PostedLine, ...], SalesOrder]:
    """The memo's lines, and the order with them returned."""
    posted: list[PostedLine] = []
    kept: list[SalesLine] = []
    for line in order.lines:
        quantity = quantities.get(line.line_number)
        if quantity is None:
            kept.append(line)
            continue
        returned = line.returned + quantity
        unless(
            returned <= line.invoiced,
            422,
            "return.exceeds_invoiced",
            f"order {order.number} line {line.line_number}: {returned} returned in all, but only {line.invoiced} was invoiced",
        )
        whole = returned == line.invoiced
        credited = line.invoiced_amount if whole else extension(line, returned, order.currency, rounding)
        posted.append(posted_line(line, quantity, credited - line.credited_amount))
        kept.append(replace(line, returned=returned, credited_amount=credited))
    return tuple(posted), replace(order, lines=tuple(kept))


def _credit_invoices(ledger: Ledger, order: SalesOrder, amount: int) -> tuple[list[PostedInvoice], int]:
    """The order's open invoices, oldest first, less the credit; and what is left of it for the account."""
    changed: list[PostedInvoice] = []
    for invoice in _open_invoices(ledger, order):
        taken = min(amount, invoice.open_amount)
        if taken > 0:
            changed.append(replace(invoice, credited_amount=invoice.credited_amount + taken))
            amount -= taken
    return changed, amount


def _open_invoices(ledger: Ledger, order: SalesOrder) -> Iterable[PostedInvoice]:
    for shipment in ledger.shipments_of[order.number]:
        number = ledger.shipments[shipment].invoice_number
        if number is not None and ledger.invoices[number].open_amount > 0:
            yield ledger.invoices[number]


def _restock(ledger: Ledger, order: SalesOrder, quantities: dict[int, Decimal]) -> list[Record]:
    """The shelves with the goods back on them."""
    back: dict[tuple[str, str], Decimal] = {}
    for line in order.lines:
        if line.line_number in quantities:
            key = (line.product_id, line.warehouse)
            back[key] = back.get(key, Decimal(0)) + quantities[line.line_number]
    return [restocked(ledger, product, warehouse, quantity) for (product, warehouse), quantity in back.items()]
