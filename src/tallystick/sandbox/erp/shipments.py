"""Shipments: goods that left against an order, in parts or at once, never more than is open."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from tallystick.sandbox.erp.ledger import Ledger, Record
from tallystick.sandbox.erp.orders import order_by_number
from tallystick.sandbox.erp.records import Delivery, OrderState, SalesLine, SalesOrder, ShippedLine, Stock
from tallystick.sandbox.erp.refusal import RefusalError, unless
from tallystick.sandbox.erp.requests import Answer, LineQuantity, ShipmentRequest


def record_shipment(ledger: Ledger, request: ShipmentRequest) -> Answer:
    """Record a shipment. A known reference answers the shipment there is (200), if it ships the same."""
    order = order_by_number(ledger, request.order_number)
    lines = tuple(
        ShippedLine(line_number=each.line_number, product_id=each.product_id, quantity=each.quantity)
        for each in request.lines
    )
    number = ledger.find("shipment", order.number, request.reference)
    if number is not None:
        unless(
            ledger.shipments[number].lines == lines,
            409,
            "shipment.reference_used",
            f"reference {request.reference} is shipment {number} with other lines",
        )
        return 200, _answer(ledger.shipments[number], order)
    unless(
        order.state in (OrderState.CONFIRMED, OrderState.PARTIALLY_SHIPPED),
        409,
        "order.not_open",
        f"order {order.number} is {order.state}; nothing can be shipped on it",
    )
    quantities = quantities_by_line(order, request.lines)
    changed = _shipped(order, quantities, request.final)
    delivery = Delivery(
        number=f"SH{len(ledger.shipments) + 1:08d}",
        reference=request.reference,
        order_number=order.number,
        warehouse_number=request.warehouse_number,
        shipped_at=request.shipped_at,
        lines=lines,
        final=request.final,
        booked_at=ledger.clock(),
    )
    # Stock first: what leaves the shelf is no longer promised either, and `put` is one step to everybody else.
    ledger.put(*_stock_after(ledger, order, quantities), changed, delivery)
    return 201, _answer(delivery, changed)


def quantities_by_line(order: SalesOrder, asked: tuple[LineQuantity, ...]) -> dict[int, Decimal]:
    """The quantities by order line, added up; refuses lines and products the order does not have."""
    lines = {line.line_number: line for line in order.lines}
    quantities: dict[int, Decimal] = defaultdict(Decimal)
    for index, each in enumerate(asked):
        line = lines.get(each.line_number)
        if line is None or line.product_id != each.product_id:
            raise RefusalError(
                422,
                "order.line_unknown",
                f"lines[{index}]: order {order.number} has no line {each.line_number} of product {each.product_id}",
            )
        quantities[each.line_number] += each.quantity
    return quantities


def _shipped(order: SalesOrder, quantities: dict[int, Decimal], final: bool) -> SalesOrder:
    lines = tuple(_shipped_line(order, line, quantities.get(line.line_number, Decimal(0))) for line in order.lines)
    done = final or all(line.shipped == line.quantity for line in lines)
    return replace(
        order, lines=lines, short_closed=final, state=OrderState.SHIPPED if done else OrderState.PARTIALLY_SHIPPED
    )


def _shipped_line(order: SalesOrder, line: SalesLine, quantity: Decimal) -> SalesLine:
    open_quantity = line.quantity - line.shipped
    unless(
        quantity <= open_quantity,
        422,
        "shipment.exceeds_open",
        f"order {order.number} line {line.line_number}: {quantity} shipped, but only {open_quantity} is open",
    )
    return replace(line, shipped=line.shipped + quantity) if quantity else line


def _stock_after(ledger: Ledger, order: SalesOrder, quantities: dict[int, Decimal]) -> list[Record]:
    """The shelves after the goods left. They may go below zero: the goods are gone, whatever was counted."""
    leaving: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in order.lines:
        leaving[line.product_id, line.warehouse] += quantities.get(line.line_number, Decimal(0))
    return [restocked(ledger, product, warehouse, -quantity) for (product, warehouse), quantity in leaving.items()]


def restocked(ledger: Ledger, product_id: str, warehouse: str, quantity: Decimal) -> Stock:
    """A shelf with a quantity more (or less, when negative)."""
    held = ledger.stock.get(product_id, {}).get(warehouse)
    on_hand = held.on_hand if held else Decimal(0)
    return Stock(product_id=product_id, warehouse=warehouse, on_hand=on_hand + quantity)


def _answer(delivery: Delivery, order: SalesOrder) -> dict[str, object]:
    return {
        "number": delivery.number,
        "reference": delivery.reference,
        "order_number": order.number,
        "order_state": order.state,
        "invoice_number": delivery.invoice_number,
    }
