"""Customers with their credit terms, products, prices and stock: loading them, and finding what may apply."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from tallystick.documents.event import EventType
from tallystick.documents.party import Customer
from tallystick.documents.product import Price, Product
from tallystick.sandbox.erp.ledger import Ledger, parts_of, plain, price_key
from tallystick.sandbox.erp.records import Account, Stock
from tallystick.sandbox.erp.refusal import RefusalError, unless
from tallystick.sandbox.erp.requests import Answer, CreditTerms, CustomerImport, PriceSearch, StockImport


def import_customer(ledger: Ledger, request: CustomerImport) -> Answer:
    """Create or replace a customer and its credit limit."""
    customer = Customer.model_validate(request.model_dump(exclude={"credit_limit"}))
    new = customer.id not in ledger.customers
    account = Account(customer_id=customer.id, credit_limit=request.credit_limit, on_hold=customer.credit_hold)
    ledger.put(customer, account)
    return (201 if new else 200), {"id": customer.id}


def import_product(ledger: Ledger, request: Product) -> Answer:
    """Create or replace a product."""
    new = request.id not in ledger.products
    ledger.put(request)
    return (201 if new else 200), {"id": request.id}


def import_price(ledger: Ledger, request: Price) -> Answer:
    """Create or replace a price: same product, kind, customer, list, unit, quantity bound and first day."""
    unless(request.product_id in ledger.products, 422, "product.unknown", f"there is no product {request.product_id}")
    new = price_key(request) not in ledger.prices[request.product_id]
    ledger.put(request)
    return (201 if new else 200), {"key": price_key(request)}


def import_stock(ledger: Ledger, request: StockImport) -> Answer:
    """Set what is on the shelf."""
    unless(request.product_id in ledger.products, 422, "product.unknown", f"there is no product {request.product_id}")
    stock = Stock(product_id=request.product_id, warehouse=request.warehouse, on_hand=request.on_hand)
    ledger.put(stock)
    return 200, stock


def set_credit_terms(ledger: Ledger, request: CreditTerms) -> Answer:
    """Change a customer's limit, or place or release a credit hold; a hold is also told to the hub, as an event."""
    customer = known_customer(ledger, request.customer_id)
    account = ledger.accounts[request.customer_id]
    limit = (
        None if request.unlimited else account.credit_limit if request.credit_limit is None else request.credit_limit
    )
    on_hold = account.on_hold if request.on_hold is None else request.on_hold
    events = []
    if on_hold != account.on_hold:
        told = EventType.CREDIT_HOLD_PLACED if on_hold else EventType.CREDIT_HOLD_RELEASED
        events.append(ledger.outbox.event(told, customer.id, {"customer_id": customer.id, "on_hold": on_hold}))
    ledger.put(
        replace(account, credit_limit=limit, on_hold=on_hold),
        customer.model_copy(update={"credit_hold": on_hold}),
        events=events,
    )
    return 200, ledger.credit_position(request.customer_id)


def known_customer(ledger: Ledger, customer_id: str) -> Customer:
    """The customer; refused when there is none."""
    customer = ledger.customers.get(customer_id)
    if customer is None:
        raise RefusalError(422, "customer.unknown", f"there is no customer {customer_id}")
    return customer


def find_prices(ledger: Ledger, search: PriceSearch) -> list[Price]:
    """Contract, promotion and list prices that may apply, all quantity breaks; the caller chooses among them."""
    customer = ledger.customers.get(search.customer_id)
    price_list = customer.price_list if customer else None
    return [
        price
        for product_id in search.product_ids
        for price in ledger.prices.get(product_id, {}).values()
        if price.customer_id in (None, search.customer_id)
        and price.price_list in (None, price_list)
        and _valid(price, search.on)
    ]


def _valid(price: Price, on: date | None) -> bool:
    if on is None:
        return True
    return (price.valid_from is None or price.valid_from <= on) and (price.valid_to is None or on <= price.valid_to)


def read_changes(ledger: Ledger, cursor: int, limit: int) -> dict[str, Any]:
    """One page of masters that changed after a cursor, each with its value now (none: it was removed)."""
    touched, following, more = ledger.feed.after(cursor, limit)
    changes = [
        {"kind": each.kind, "key": each.key, "changed_at": each.at, "value": _current(ledger, each.kind, each.key)}
        for each in touched
    ]
    return {"items": changes, "cursor": following, "more": more}


def _current(ledger: Ledger, kind: str, key: str) -> dict[str, Any] | None:
    if kind == "customer":
        return plain(ledger.customers[key])
    if kind == "product":
        return plain(ledger.products[key])
    if kind == "credit":
        return ledger.credit_position(key).model_dump(mode="json")
    product_id, *rest = parts_of(key)
    if kind == "stock":
        available = ledger.available(product_id, rest[0])
        return {"product_id": product_id, "warehouse": rest[0], "available": str(available)}
    price = ledger.prices.get(product_id, {}).get(key)
    return plain(price) if price else None
