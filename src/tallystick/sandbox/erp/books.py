"""The books read back: every order, invoice, payment and credit memo in the order of booking, a page at a time."""

from __future__ import annotations

from typing import Any

from tallystick.sandbox.erp.ledger import Booked, Ledger
from tallystick.sandbox.erp.records import PostedCredit, PostedInvoice, PostedPayment, SalesOrder
from tallystick.sandbox.erp.requests import BooksSearch


def read_books(ledger: Ledger, search: BooksSearch) -> dict[str, Any]:
    """One page of entries booked since an instant; `next` is where the following page begins, null at the end."""
    found: list[dict[str, Any]] = []
    for position in range(search.after, len(ledger.booked)):
        record = _record(ledger, *ledger.booked[position])
        if search.since is not None and record.booked_at < search.since:
            continue
        if len(found) == search.limit:
            return {"items": found, "next": position}
        found.append(_entry(ledger, record))
    return {"items": found, "next": None}


def _record(ledger: Ledger, table: str, number: str) -> Booked:
    tables: dict[str, dict[str, Any]] = {
        "order": ledger.orders,
        "invoice": ledger.invoices,
        "payment": ledger.payments,
        "credit_memo": ledger.credits,
    }
    record: Booked = tables[table][number]
    return record


def _entry(ledger: Ledger, record: Booked) -> dict[str, Any]:
    order = ledger.orders.get((record.number if isinstance(record, SalesOrder) else record.order_number) or "")
    common = {
        "number": record.number,
        "reference": record.reference,
        "order_reference": order.reference if order else None,
        "customer_id": record.customer_id,
        "currency": record.currency,
        "booked_on": record.booked_at.date(),
    }
    match record:
        case SalesOrder():
            return {**common, "kind": "order", **_amounts(record), "state": record.state}
        case PostedInvoice():
            state = "open" if record.open_amount else "paid"
            return {**common, "kind": "invoice", **_amounts(record), "state": state}
        case PostedCredit():
            return {**common, "kind": "credit_memo", **_amounts(record), "state": "posted"}
        case PostedPayment():
            state = "on_account" if record.on_account_amount else "applied"
            return {
                **common,
                "kind": "payment",
                "net_amount": record.amount,
                "total_amount": record.amount,
                "state": state,
            }


def _amounts(record: SalesOrder | PostedInvoice | PostedCredit) -> dict[str, int]:
    return {"net_amount": record.net_amount, "total_amount": record.total_amount}
