"""What the ERP invoiced beside what was ordered and shipped: lines, quantities, charges and tax, to the minor unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tallystick.documents.invoice import Invoice
from tallystick.documents.money import format_minor
from tallystick.documents.order import Order
from tallystick.documents.shipment import Shipment

Reason = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an invoice of an order is compared with."""

    order: Order
    shipments: Sequence[Shipment]
    earlier: Sequence[Invoice]
    tax_amount: int | None
    """The whole order's tax in minor units; None: nobody but the ERP has said any."""
    tax_tolerance: int
    last: bool
    """No shipment will follow, and all before this one's have their invoices."""


@dataclass(slots=True)
class _Billed:
    """What invoices bill of one order line."""

    quantity: Decimal = Decimal(0)
    amount: int = 0


def invoice_differences(invoice: Invoice, expected: Expectation) -> list[Reason]:
    """Reasons why the invoice is not what it should be, each with the two values and the money at risk; empty: it fits."""
    return [
        *_sums(invoice),
        *_lines(invoice, expected),
        *_quantities(invoice, expected),
        *_charges(invoice, expected),
        *_tax(invoice, expected),
    ]


def invoiced_quantities(invoices: Sequence[Invoice]) -> dict[int, Decimal]:
    """Quantities invoiced so far by order line number."""
    return {number: billed.quantity for number, billed in _billed(invoices).items()}


def _sums(invoice: Invoice) -> list[Reason]:
    lines = sum(line.amount for line in invoice.lines)
    found = []
    if lines != invoice.net_amount:
        found.append(_differs(invoice, "does_not_add_up", "net_amount", "its lines", lines, invoice.net_amount))
    total = invoice.net_amount + invoice.tax_amount
    if total != invoice.total_amount:
        found.append(_differs(invoice, "does_not_add_up", "total_amount", "net and tax", total, invoice.total_amount))
    return found


def _lines(invoice: Invoice, expected: Expectation) -> list[Reason]:
    """Lines at another value than the order's price gives.

    An ERP may round each invoice's line by itself, or what is invoiced so far of the order's line; both are right.
    """
    order = expected.order
    lines = {line.line_number: line for line in order.lines}
    before = _billed(expected.earlier)
    found: list[Reason] = []
    for number, billed in _billed([invoice]).items():
        line = lines.get(number)
        if line is None:
            found.append(_differs(invoice, "line_unknown", f"line {number}", "the order", 0, billed.amount))
            continue
        already = before.get(number, _Billed())
        so_far = line.model_copy(update={"quantity": already.quantity + billed.quantity})
        cumulative = so_far.net_amount(order.currency, order.rounding) - already.amount
        alone = line.model_copy(update={"quantity": billed.quantity}).net_amount(order.currency, order.rounding)
        if billed.amount not in (alone, cumulative):
            found.append(_differs(invoice, "line_differs", f"line {number}", "the order's price", alone, billed.amount))
    return found


def _quantities(invoice: Invoice, expected: Expectation) -> list[Reason]:
    """An invoice bills what its shipments brought, no more and no less."""
    order = expected.order
    prices = {line.line_number: line for line in order.lines}
    shipped: dict[int, Decimal] = {}
    for shipment in expected.shipments:
        for line in shipment.lines if shipment.number in invoice.shipment_numbers else ():
            shipped[line.line_number] = shipped.get(line.line_number, Decimal(0)) + line.quantity
    if not shipped:
        return []  # an invoice that names no shipment known here
    billed = _billed([invoice])
    found: list[Reason] = []
    for number in sorted((shipped.keys() | billed.keys()) & prices.keys()):
        sent, charged = shipped.get(number, Decimal(0)), billed.get(number, _Billed()).quantity
        if sent != charged:
            risk = prices[number].model_copy(update={"quantity": abs(sent - charged)})
            found.append(
                {
                    "code": "invoice.quantity_differs",
                    "message": f"invoice {invoice.number}, line {number}: {charged} invoiced, {sent} shipped",
                    "path": f"line {number}",
                    "order_value": str(sent),
                    "system_value": str(charged),
                    "money_at_risk": risk.net_amount(order.currency, order.rounding),
                }
            )
    return found


def _charges(invoice: Invoice, expected: Expectation) -> list[Reason]:
    """Freight and the like: never more than ordered, and all of it, allowances too, once a whole order is invoiced."""
    order = expected.order
    invoices = [*expected.earlier, invoice]
    billed = [line.amount for each in invoices for line in each.lines if line.line_number is None]
    asked = [charge.signed_amount for charge in order.charges]
    added, agreed = sum(each for each in billed if each > 0), sum(each for each in asked if each > 0)
    if added > agreed:
        return [_differs(invoice, "charges_differ", "charges", "the order", agreed, added)]
    if expected.last and _wholly_shipped(expected) and sum(billed) != sum(asked):
        return [_differs(invoice, "charges_differ", "charges", "the order", sum(asked), sum(billed))]
    return []


def _tax(invoice: Invoice, expected: Expectation) -> list[Reason]:
    """Tax in all: never more than the order's, and all of it once a whole order is invoiced."""
    if expected.tax_amount is None:
        return []
    billed = sum(each.tax_amount for each in (*expected.earlier, invoice))
    difference = billed - expected.tax_amount
    whole = expected.last and _wholly_shipped(expected)
    if difference > expected.tax_tolerance or (whole and -difference > expected.tax_tolerance):
        return [_differs(invoice, "tax_differs", "tax_amount", "the order", expected.tax_amount, billed)]
    return []


def _wholly_shipped(expected: Expectation) -> bool:
    shipped: dict[int, Decimal] = {}
    for shipment in expected.shipments:
        for line in shipment.lines:
            shipped[line.line_number] = shipped.get(line.line_number, Decimal(0)) + line.quantity
    return all(shipped.get(line.line_number, Decimal(0)) >= line.quantity for line in expected.order.lines)


def _billed(invoices: Sequence[Invoice]) -> Mapping[int, _Billed]:
    """Quantities and amounts by order line number; charges have none."""
    billed: dict[int, _Billed] = {}
    for invoice in invoices:
        for line in invoice.lines:
            if line.line_number is not None:
                each = billed.setdefault(line.line_number, _Billed())
                each.quantity += line.quantity
                each.amount += line.amount
    return billed


def _differs(invoice: Invoice, code: str, where: str, ours_is: str, ours: int, theirs: int) -> Reason:
    order_value, system_value = format_minor(ours, invoice.currency), format_minor(theirs, invoice.currency)
    return {
        "code": f"invoice.{code}",
        "message": f"invoice {invoice.number}, {where}: {system_value} {invoice.currency} invoiced, {ours_is} gives "
        f"{order_value}; correct it in the ERP, or credit it",
        "path": where,
        "order_value": order_value,
        "system_value": system_value,
        "money_at_risk": abs(ours - theirs),
    }
