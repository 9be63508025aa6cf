"""The sandbox ERP's answers as our documents. Each raises KeyError, TypeError or ValueError for what it cannot read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from tallystick.documents.invoice import CreditMemo, Invoice, InvoiceLine
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.systems.ports import (
    BookEntry,
    Change,
    Changes,
    InvoiceCommand,
    OpenReceivable,
    OrderCommand,
    OrderCommitted,
    PaymentCommand,
    PaymentRecorded,
    ReturnCommand,
    ShipmentCommand,
    ShipmentRecorded,
)

_MASTERS: dict[str, type[Customer | Product | Price | StockLevel | CreditPosition]] = {
    "customer": Customer,
    "product": Product,
    "price": Price,
    "stock": StockLevel,
    "credit": CreditPosition,
}


def prices(body: Any, expected: int) -> list[list[Price]]:
    """The prices for each of the queries."""
    if len(body["items"]) != expected:
        raise ValueError(f"{len(body['items'])} answers to {expected} queries")
    return [[Price.model_validate(price) for price in each] for each in body["items"]]


def order_committed(command: OrderCommand, body: Any, already_there: bool) -> OrderCommitted:
    """The order under the ERP's own number."""
    return OrderCommitted(
        reference=command.reference,
        erp_reference=body["number"],
        already_there=already_there,
        net_amount=body["net_amount"],
    )


def shipment_recorded(command: ShipmentCommand, body: Any, already_there: bool) -> ShipmentRecorded:
    """The shipment under the ERP's own number."""
    return ShipmentRecorded(command.reference, body["number"], already_there)


def posted_invoice(command: InvoiceCommand, body: Any, already_there: bool) -> Invoice:
    """The invoice, with the warehouse's number of the shipment, which is the one the rest of the flow knows."""
    return Invoice(
        number=body["number"],
        currency=body["currency"],
        invoice_date=body["invoice_date"],
        due_date=body["due_date"],
        shipment_numbers=(command.shipment_number,),
        lines=tuple(InvoiceLine.model_validate(line) for line in body["lines"]),
        net_amount=body["net_amount"],
        tax_amount=body["tax_amount"],
        total_amount=body["total_amount"],
    )


def payment_recorded(command: PaymentCommand, body: Any, already_there: bool) -> PaymentRecorded:
    """What was applied and what stays on account."""
    return PaymentRecorded(
        reference=command.reference,
        system_reference=body["number"],
        applied_amount=body["applied_amount"],
        on_account_amount=body["on_account_amount"],
        already_there=already_there,
        discount_amount=body.get("discount_amount", 0),
    )


def open_items(body: Any) -> tuple[list[OpenReceivable], str | None]:
    """One page of what is owed, and where the next begins."""
    return [_open_item(each) for each in body["items"]], body["next"]


def _open_item(body: Any) -> OpenReceivable:
    return OpenReceivable(
        number=body["number"],
        customer_id=body["customer_id"],
        currency=body["currency"],
        open_amount=body["open_amount"],
        issued_on=date.fromisoformat(body["issued_on"]),
        due_on=date.fromisoformat(body["due_on"]),
        discount=body["discount"],
        discount_until=date.fromisoformat(body["discount_until"]) if body["discount_until"] else None,
    )


def credit_memo(command: ReturnCommand, body: Any, already_there: bool) -> CreditMemo:
    """The credit memo of a return."""
    return CreditMemo(
        number=body["number"],
        currency=body["currency"],
        credit_date=body["credit_date"],
        return_number=body["return_number"],
        invoice_number=body["invoice_number"],
        lines=tuple(InvoiceLine.model_validate(line) for line in body["lines"]),
        net_amount=body["net_amount"],
        tax_amount=body["tax_amount"],
        total_amount=body["total_amount"],
        reason=body["reason"],
    )


def changes(body: Any) -> Changes:
    """One page of the change feed."""
    return Changes(tuple(_change(each) for each in body["items"]), cursor=str(body["cursor"]), more=bool(body["more"]))


def _change(entry: Any) -> Change:
    value = entry["value"]
    return Change(
        kind=entry["kind"],
        key=entry["key"],
        value=None if value is None else _MASTERS[entry["kind"]].model_validate(value),
        changed_at=datetime.fromisoformat(entry["changed_at"]),
    )


def book_page(body: Any) -> tuple[list[BookEntry], int | None]:
    """One page of the books, and where the next begins."""
    return [_book_entry(each) for each in body["items"]], body["next"]


def _book_entry(body: Any) -> BookEntry:
    return BookEntry(
        kind=body["kind"],
        system_reference=body["number"],
        reference=body["reference"],
        order_reference=body["order_reference"],
        customer_id=body["customer_id"],
        currency=body["currency"],
        net_amount=body["net_amount"],
        total_amount=body["total_amount"],
        booked_on=date.fromisoformat(body["booked_on"]),
        state=body["state"],
    )
