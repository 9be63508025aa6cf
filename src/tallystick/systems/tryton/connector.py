"""Tryton as an Erp (ports.py): each part of the work in its own file, all over one session."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.systems.failure import Failure
from tallystick.systems.ports import (
    BookEntry,
    Capabilities,
    Changes,
    Health,
    InvoiceCommand,
    OpenReceivable,
    Operation,
    OrderCommand,
    OrderCommitted,
    PaymentCommand,
    PaymentRecorded,
    PriceQuery,
    ReturnCommand,
    Role,
    ShipmentCommand,
    ShipmentRecorded,
)
from tallystick.systems.tryton.amendments import TrytonAmendments
from tallystick.systems.tryton.books import TrytonBooks
from tallystick.systems.tryton.invoices import TrytonInvoices
from tallystick.systems.tryton.masters import TrytonMasters
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.open_items import TrytonOpenItems
from tallystick.systems.tryton.options import TrytonOptions
from tallystick.systems.tryton.orders import TrytonOrders
from tallystick.systems.tryton.payments import TrytonPayments
from tallystick.systems.tryton.postings import TrytonPostings
from tallystick.systems.tryton.returns import TrytonReturns
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sales import TrytonSales
from tallystick.systems.tryton.shipments import TrytonShipments

Command = TypeVar("Command")
Answer = TypeVar("Answer")
OPERATIONS = frozenset(
    {
        Operation.READ_CUSTOMERS,
        Operation.READ_PRODUCTS,
        Operation.READ_PRICES,
        Operation.READ_STOCK,
        Operation.READ_CREDIT,
        Operation.COMMIT_ORDER,
        Operation.CHANGE_ORDER,
        Operation.CANCEL_ORDER,
        Operation.RECORD_SHIPMENT,
        Operation.INVOICE_SHIPMENT,
        Operation.RECORD_PAYMENT,
        Operation.READ_OPEN_ITEMS,
        Operation.APPLY_CASH,
        Operation.CREDIT_RETURN,
        Operation.READ_CHANGES,
        Operation.READ_BOOKS,
    }
)


class Tryton:
    """Tryton 8.2."""

    def __init__(self, name: str, options: TrytonOptions) -> None:
        self.name = name
        self.capabilities = Capabilities(
            roles=frozenset({Role.ERP}),
            operations=OPERATIONS,
            batch_size=options.batch_size,
            concurrency=options.concurrency,
        )
        self._rpc = TrytonRpc(name, options)
        names = TrytonNames(self._rpc, options.warehouse, options.warehouses)
        self._masters = TrytonMasters(self._rpc, names)
        sales = TrytonSales(self._rpc)
        postings = TrytonPostings(self._rpc, names, options.tax_account)
        self._orders = TrytonOrders(self._rpc, sales, names, options.price_digits)
        self._amendments = TrytonAmendments(self._rpc, sales, names, options.price_digits)
        self._shipments = TrytonShipments(self._rpc, sales)
        self._invoices = TrytonInvoices(self._rpc, postings)
        self._payments = TrytonPayments(self._rpc, names, options.payment_journal, options.discount_account)
        self._returns = TrytonReturns(self._rpc, sales, postings, options.price_digits)
        self._books = TrytonBooks(self._rpc)
        self._open_items = TrytonOpenItems(self._rpc)

    async def check_health(self) -> Health:
        """Ask the user's preferences, which needs web server, database and session; never raises."""
        started = time.perf_counter()
        try:
            await self._rpc.call("model.res.user.get_preferences", [True], write=False)
        except Failure as failure:
            return Health(ok=False, latency_ms=(time.perf_counter() - started) * 1000, detail=failure.message)
        return Health(ok=True, latency_ms=(time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        """Let go of connections."""
        await self._rpc.close()

    async def read_customers(self, customer_ids: Sequence[str]) -> Mapping[str, Customer]:
        """Customers by their party code; unknown ones are absent."""
        return await self._masters.read_customers(customer_ids)

    async def read_products(self, product_ids: Sequence[str]) -> Mapping[str, Product]:
        """Products by code; unknown ones are absent."""
        return await self._masters.read_products(product_ids)

    async def read_prices(self, queries: Sequence[PriceQuery]) -> Sequence[Sequence[Price]]:
        """List prices, and the customer's own where it has a price list."""
        return await self._masters.read_prices(queries)

    async def read_stock(self, product_ids: Sequence[str]) -> Sequence[StockLevel]:
        """What each warehouse can still promise."""
        return await self._masters.read_stock(product_ids)

    async def read_credit(self, customer_ids: Sequence[str]) -> Mapping[str, CreditPosition]:
        """Limits and what stands against them."""
        return await self._masters.read_credit(customer_ids)

    async def read_changes(self, cursor: str | None) -> Changes:
        """Masters changed since the cursor."""
        return await self._masters.read_changes(cursor)

    async def commit_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Make sales and drive them to processing."""
        return await _each(commands, self._orders.commit)

    async def change_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Amend sales of which nothing has shipped."""
        return await _each(commands, self._amendments.change)

    async def cancel_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Amend sales of which nothing has shipped to nothing."""
        return await _each(commands, self._amendments.cancel)

    async def record_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[ShipmentRecorded | Failure]:
        """Do shipments of what left; the rest stays open."""
        return await _each(commands, self._shipments.record)

    async def invoice_shipments(self, commands: Sequence[InvoiceCommand]) -> Sequence[Invoice | Failure]:
        """Post the invoice of each done shipment."""
        return await _each(commands, self._invoices.post)

    async def record_payments(self, commands: Sequence[PaymentCommand]) -> Sequence[PaymentRecorded | Failure]:
        """Book payments on posted bank statements."""
        return await _each(commands, self._payments.record)

    async def credit_returns(self, commands: Sequence[ReturnCommand]) -> Sequence[CreditMemo | Failure]:
        """Take goods back onto the shelf and post the credit note of each return."""
        return await _each(commands, self._returns.credit)

    async def read_open_items(self) -> Sequence[OpenReceivable]:
        """Posted invoices that still ask for money."""
        return await self._open_items.read()

    async def read_books(self, since: datetime | None = None) -> Sequence[BookEntry]:
        """Every sale, invoice, credit note and payment."""
        return await self._books.read(since)


async def _each(
    commands: Sequence[Command], work: Callable[[Sequence[Command]], Awaitable[Sequence[Answer | Failure]]]
) -> Sequence[Answer | Failure]:
    """The work's answers; what befalls a call that is everybody's befalls each."""
    if not commands:
        return []
    try:
        return await work(commands)
    except Failure as failure:
        return [failure] * len(commands)
