"""The ERP's state: tables in memory, what follows from them (promised stock, exposure, references), and the journal.

Everything changes through `put`; indexes follow from the old and the new record, live and when the journal is replayed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.sandbox.erp.feed import Feed
from tallystick.sandbox.erp.records import (
    Account,
    Delivery,
    PostedCredit,
    PostedInvoice,
    PostedPayment,
    SalesOrder,
    Stock,
)
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.webhooks import EventOutbox

Record = (
    Customer | Account | Product | Price | Stock | SalesOrder | Delivery | PostedInvoice | PostedPayment | PostedCredit
)
Booked = SalesOrder | PostedInvoice | PostedPayment | PostedCredit
_Table = TypeVar("_Table", bound=Record)

_TABLES: dict[type[Any], str] = {
    Customer: "customer",
    Account: "account",
    Product: "product",
    Price: "price",
    Stock: "stock",
    SalesOrder: "order",
    Delivery: "shipment",
    PostedInvoice: "invoice",
    PostedPayment: "payment",
    PostedCredit: "credit_memo",
}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {table: TypeAdapter(kind) for kind, table in _TABLES.items()}


def price_key(price: Price) -> str:
    """What makes a price this price and no other: a second one with the same key replaces it."""
    names = (price.product_id, price.kind, price.customer_id, price.price_list, price.currency, price.unit)
    first_day = price.valid_from.isoformat() if price.valid_from else None
    return compound(*names, str(price.minimum_quantity.normalize()), first_day)


def compound(*parts: str | None) -> str:
    """A key of several parts as a JSON array: an id may contain any separator."""
    return orjson.dumps(parts).decode()


def parts_of(key: str) -> list[str]:
    """The parts of a compound key."""
    parts: list[str] = orjson.loads(key)
    return parts


def plain(record: Record) -> dict[str, Any]:
    """A record as JSON data: Decimals and dates as text."""
    data: dict[str, Any] = _ADAPTERS[_TABLES[type(record)]].dump_python(record, mode="json")
    return data


class Ledger:
    """All state of one ERP. Single-threaded: one operation runs to its end before the next begins."""

    def __init__(
        self, journal: Journal, outbox: EventOutbox, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.clock = clock
        self.outbox = outbox
        self.customers: dict[str, Customer] = {}
        self.accounts: dict[str, Account] = {}
        self.products: dict[str, Product] = {}
        self.prices: dict[str, dict[str, Price]] = defaultdict(dict)
        """By product, then by price_key."""
        self.stock: dict[str, dict[str, Stock]] = defaultdict(dict)
        """By product, then by warehouse."""
        self.orders: dict[str, SalesOrder] = {}
        self.shipments: dict[str, Delivery] = {}
        self.invoices: dict[str, PostedInvoice] = {}
        self.payments: dict[str, PostedPayment] = {}
        self.credits: dict[str, PostedCredit] = {}
        self.references: dict[tuple[str, str, str], str] = {}
        """(table, customer or order, external reference) → our number."""
        self.shipments_of: dict[str, list[str]] = defaultdict(list)
        """Our shipment numbers by order number, oldest first."""
        self.reserved: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.open_orders: dict[str, int] = defaultdict(int)
        self.open_invoices: dict[str, int] = defaultdict(int)
        self.on_account: dict[str, int] = defaultdict(int)
        self.booked: list[tuple[str, str]] = []
        """(table, number) of every order, invoice, payment and credit memo in the order they were booked."""
        self.feed = Feed()
        self._unwritten: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._journal = journal
        for entry in journal.replay():
            for table, record in entry.get("put", ()):
                self._take(_ADAPTERS[table].validate_python(record))
            if "remove_price" in entry:
                self._remove_price(entry["remove_price"])
            outbox.replay(entry)

    def put(self, *records: Record, events: Sequence[dict[str, Any]] = ()) -> None:
        """Keep records, new or changed, and the events that tell of them; payments and credit memos never change.

        They are one journal line, so that a death keeps all of them or none.
        """
        for record in records:
            self._take(record)
        entry: dict[str, Any] = {"put": [[_TABLES[type(record)], plain(record)] for record in records]}
        if events:
            entry["events"] = list(events)
            self._events.extend(events)
        self._unwritten.append(entry)

    def remove_price(self, key: str) -> bool:
        """Forget a price; False when there is none with this key."""
        if not self._remove_price(key):
            return False
        self._unwritten.append({"remove_price": key})
        return True

    def flush(self) -> None:
        """Write what changed to the journal and let its events go; call before anything of it is answered."""
        if self._unwritten:
            self._journal.append(self._unwritten)
            self._unwritten = []
        if self._events:
            self.outbox.put(self._events)
            self._events = []

    def available(self, product_id: str, warehouse: str) -> Decimal:
        """Available to promise: on hand less what is promised; negative when more was promised than there is."""
        held = self.stock.get(product_id, {}).get(warehouse)
        return (held.on_hand if held else Decimal(0)) - self.reserved.get((product_id, warehouse), Decimal(0))

    def stock_levels(self, product_id: str) -> list[StockLevel]:
        """Available to promise of a product in each warehouse that keeps it."""
        return [
            StockLevel(product_id=product_id, warehouse=warehouse, available=self.available(product_id, warehouse))
            for warehouse in self.stock.get(product_id, {})
        ]

    def credit_position(self, customer_id: str) -> CreditPosition:
        """What a known customer owes and may owe; money on account is taken off the open invoices."""
        account = self.accounts.get(customer_id) or Account(customer_id=customer_id)
        owed = self.open_invoices.get(customer_id, 0) - self.on_account.get(customer_id, 0)
        return CreditPosition(
            customer_id=customer_id,
            currency=self.customers[customer_id].currency,
            limit=account.credit_limit,
            open_orders=self.open_orders.get(customer_id, 0),
            open_invoices=max(owed, 0),
            on_hold=account.on_hold,
        )

    def find(self, table: str, owner: str, reference: str) -> str | None:
        """Our number for another side's reference; `owner` is the customer (orders, payments) or our order number."""
        return self.references.get((table, owner, reference))

    def _take(self, record: Record) -> None:
        match record:
            case SalesOrder():
                self._take_order(record)
            case Delivery():
                if _keep(self.shipments, record.number, record) is None:
                    self.references["shipment", record.order_number, record.reference] = record.number
                    self.shipments_of[record.order_number].append(record.number)
            case PostedInvoice():
                invoice = _keep(self.invoices, record.number, record)
                self.open_invoices[record.customer_id] += record.open_amount - (invoice.open_amount if invoice else 0)
                self._booked(record, invoice is None, "invoice", record.order_number)
            case PostedPayment():
                self.payments[record.number] = record
                self.on_account[record.customer_id] += record.on_account_amount
                self._booked(record, True, "payment", record.customer_id)
            case PostedCredit():
                self.credits[record.number] = record
                self.on_account[record.customer_id] += record.on_account_amount
                self._booked(record, True, "credit_memo", record.order_number)
            case Customer():
                self.customers[record.id] = record
                self._touch("customer", record.id)
            case Account():
                self.accounts[record.customer_id] = record
                self._touch("credit", record.customer_id)
            case Product():
                self.products[record.id] = record
                self._touch("product", record.id)
            case Price():
                self.prices[record.product_id][price_key(record)] = record
                self._touch("price", price_key(record))
            case Stock():
                self.stock[record.product_id][record.warehouse] = record
                self._touch("stock", compound(record.product_id, record.warehouse))

    def _take_order(self, order: SalesOrder) -> None:
        previous = _keep(self.orders, order.number, order)
        for record, sign in ((previous, -1), (order, 1)):
            if record is None:
                continue
            self.open_orders[record.customer_id] += sign * record.open_amount
            for line in record.lines if record.reserves else ():
                self.reserved[line.product_id, line.warehouse] += sign * (line.quantity - line.shipped)
                self._touch("stock", compound(line.product_id, line.warehouse))
        self._booked(order, previous is None, "order", order.customer_id)

    def _booked(self, record: Booked, new: bool, table: str, owner: str) -> None:
        self._touch("credit", record.customer_id)
        if new:
            self.references[table, owner, record.reference] = record.number
            self.booked.append((table, record.number))

    def _touch(self, kind: str, key: str) -> None:
        self.feed.touch(kind, key, self.clock())

    def _remove_price(self, key: str) -> bool:
        removed = self.prices.get(parts_of(key)[0], {}).pop(key, None)
        if removed is not None:
            self._touch("price", key)
        return removed is not None


def _keep(table: dict[str, _Table], number: str, record: _Table) -> _Table | None:
    """Put a record and hand back the one it replaces."""
    previous = table.get(number)
    table[number] = record
    return previous
