"""Our commands as the sandbox ERP's requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tallystick.documents.order import Order
from tallystick.documents.returns import ReturnLine
from tallystick.documents.shipment import ShipmentLine
from tallystick.systems.ports import InvoiceCommand, OrderCommand, PaymentCommand, ReturnCommand, ShipmentCommand


def sales_order(command: OrderCommand) -> dict[str, Any]:
    """An order to create, or its new content."""
    order = command.order
    return {
        **order_reference(command),
        "customer_po": order.customer_po,
        "currency": order.currency,
        "ordered_on": order.ordered_at.date(),
        "requested_delivery": order.requested_delivery,
        "requested_shipment": order.requested_shipment,
        "cancel_after": order.cancel_after,
        "payment_terms": order.payment_terms,
        "ship_to": order.ship_to,
        "lines": _sales_lines(order),
        "charges": order.charges,
        "tax_amount": command.tax_amount,
        "revision": command.revision,
    }


def order_reference(command: OrderCommand) -> dict[str, Any]:
    """An order named by our reference."""
    return {"customer_id": command.order.customer_id, "reference": command.reference}


def shipment(command: ShipmentCommand) -> dict[str, Any]:
    """Goods that left. The caller has made sure that the command has a shipment."""
    sent = command.shipment
    if sent is None:
        raise ValueError(f"the command {command.reference} to record a shipment has none")
    return {
        "reference": command.reference,
        "order_number": command.erp_reference,
        "warehouse_number": sent.number,
        "shipped_at": sent.shipped_at,
        "lines": _quantities(sent.lines),
        "final": sent.final,
    }


def invoice(command: InvoiceCommand) -> dict[str, Any]:
    """The invoice of a recorded shipment."""
    return {
        "reference": command.reference,
        "order_number": command.erp_reference,
        "shipment_reference": command.shipment_reference,
    }


def payment(command: PaymentCommand) -> dict[str, Any]:
    """Money received."""
    return {
        "reference": command.reference,
        "customer_id": command.customer_id,
        "invoice_number": command.invoice_number,
        "currency": command.payment.currency,
        "amount": command.payment.amount,
        "received_at": command.payment.paid_at,
        "method": command.payment.method,
        "shares": [asdict(each) for each in command.shares or ()],
    }


def goods_return(command: ReturnCommand) -> dict[str, Any]:
    """Goods that came back."""
    return {
        "reference": command.reference,
        "order_number": command.erp_reference,
        "return_number": command.returned.number,
        "received_at": command.returned.received_at,
        "reason": command.returned.reason,
        "lines": _quantities(command.returned.lines),
    }


def _sales_lines(order: Order) -> list[dict[str, Any]]:
    return [
        {
            "line_number": line.line_number,
            "product_id": line.product_id,
            "quantity": line.quantity,
            "unit": line.unit,
            "unit_price": line.unit_price,
            "discount": line.discount,
            "warehouse": line.warehouse,
        }
        for line in order.lines
    ]


def _quantities(lines: Iterable[ShipmentLine | ReturnLine]) -> list[dict[str, Any]]:
    return [
        {"line_number": line.line_number, "product_id": line.product_id, "quantity": line.quantity} for line in lines
    ]
