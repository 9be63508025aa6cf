"""An ERP and a tax service in memory, as the ports have them, that can be away, slow or wrong; and orders to ask them about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.settings import Entity, Policy
from tallystick.systems.failure import Failure, Unavailable
from tallystick.systems.ports import Capabilities, Change, Changes, Health, Operation, PriceQuery, Role, TaxAnswer

_ERP = Capabilities(frozenset({Role.ERP}), frozenset({Operation.READ_CUSTOMERS, Operation.READ_CHANGES}))
_TAX = Capabilities(frozenset({Role.TAX}), frozenset({Operation.CALCULATE_TAX}))


@dataclass
class _Memory:
    name: str
    away: bool = False
    delay: float = 0.0
    calls: list[tuple[str, int]] = field(default_factory=list)
    """Every call's name with its number of keys."""

    async def check_health(self) -> Health:
        return Health(not self.away, 0.0)

    async def close(self) -> None:
        pass

    async def _called(self, what: str, keys: int) -> None:
        self.calls.append((what, keys))
        await asyncio.sleep(self.delay)
        if self.away:
            raise Unavailable(f"{self.name} does not answer", system=self.name)


@dataclass
class MemoryErp(_Memory):
    """Masters as dictionaries; what is put in also stands in the change feed, `page` changes a page."""

    name: str = "erp"
    customers: dict[str, Customer] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    stock: dict[str, StockLevel] = field(default_factory=dict)
    credit: dict[str, CreditPosition] = field(default_factory=dict)
    feed: list[Change] = field(default_factory=list)
    page: int = 1000
    capabilities: Capabilities = _ERP

    def put(self, *values: Customer | Product | Price | StockLevel | CreditPosition) -> None:
        """Insert or replace masters."""
        for value in values:
            kind, key = _key(value)
            self._table(kind)[key] = value
            self.feed.append(Change(kind, key, value, datetime.now(UTC)))

    def remove(self, value: Customer | Product | Price | StockLevel | CreditPosition) -> None:
        """Remove a master."""
        kind, key = _key(value)
        del self._table(kind)[key]
        self.feed.append(Change(kind, key, None, datetime.now(UTC)))

    def _table(self, kind: str) -> dict[str, Any]:
        tables: dict[str, dict[str, Any]] = {
            "customer": self.customers,
            "product": self.products,
            "price": self.prices,
            "stock": self.stock,
            "credit": self.credit,
        }
        return tables[kind]

    async def read_customers(self, customer_ids: Sequence[str]) -> Mapping[str, Customer]:
        await self._called("read_customers", len(customer_ids))
        return {key: self.customers[key] for key in customer_ids if key in self.customers}

    async def read_products(self, product_ids: Sequence[str]) -> Mapping[str, Product]:
        await self._called("read_products", len(product_ids))
        return {key: self.products[key] for key in product_ids if key in self.products}

    async def read_prices(self, queries: Sequence[PriceQuery]) -> Sequence[Sequence[Price]]:
        await self._called("read_prices", len(queries))
        return [
            [
                price
                for price in self.prices.values()
                if price.product_id in query.product_ids and price.customer_id in (None, query.customer_id)
            ]
            for query in queries
        ]

    async def read_stock(self, product_ids: Sequence[str]) -> Sequence[StockLevel]:
        await self._called("read_stock", len(product_ids))
        return [level for level in self.stock.values() if level.product_id in product_ids]

    async def read_credit(self, customer_ids: Sequence[str]) -> Mapping[str, CreditPosition]:
        await self._called("read_credit", len(customer_ids))
        return {key: self.credit[key] for key in customer_ids if key in self.credit}

    async def read_changes(self, cursor: str | None) -> Changes:
        await self._called("read_changes", 0)
        start = int(cursor or 0)
        end = min(start + self.page, len(self.feed))
        return Changes(tuple(self.feed[start:end]), str(end), more=end < len(self.feed))

    async def commit_orders(self, commands: Sequence[Any]) -> Sequence[Any]:
        raise NotImplementedError

    change_orders = cancel_orders = record_shipments = invoice_shipments = commit_orders
    record_payments = credit_returns = commit_orders

    async def read_books(self, since: datetime | None = None) -> Sequence[Any]:
        raise NotImplementedError


def _key(value: Customer | Product | Price | StockLevel | CreditPosition) -> tuple[str, str]:
    if isinstance(value, Customer):
        return "customer", value.id
    if isinstance(value, Product):
        return "product", value.id
    if isinstance(value, StockLevel):
        return "stock", f"{value.product_id}@{value.warehouse}"
    if isinstance(value, CreditPosition):
        return "credit", value.customer_id
    owner = f"{value.kind}/{value.customer_id}/{value.price_list}/{value.currency}/{value.unit}"
    return "price", f"{value.product_id}/{owner}/{value.minimum_quantity}/{value.valid_from}"


@dataclass
class MemoryTax(_Memory):
    """One rate a jurisdiction; an unknown jurisdiction is refused by item."""

    name: str = "tax"
    rates: dict[str, Decimal] = field(default_factory=lambda: {"US-CA": Decimal("0.0725"), "US": Decimal("0.05")})
    refusals: dict[str, Failure] = field(default_factory=dict)
    """Failures by order number."""
    capabilities: Capabilities = _TAX

    async def calculate_tax(
        self, orders: Sequence[Order], customers: Mapping[str, Customer]
    ) -> Sequence[TaxAnswer | Failure]:
        await self._called("calculate_tax", len(orders))
        return [self._answer(order, customers.get(order.customer_id)) for order in orders]

    def _answer(self, order: Order, customer: Customer | None) -> TaxAnswer | Failure:
        if order.order_number in self.refusals:
            return self.refusals[order.order_number]
        jurisdiction = order.ship_to.jurisdiction if order.ship_to else "US"
        exempt = bool(customer and customer.tax_exempt)
        rate = Decimal(0) if exempt else self.rates[jurisdiction]
        by_line = {
            line.line_number: int(
                (line.net_amount(order.currency, order.rounding) * rate).quantize(Decimal(1), "ROUND_HALF_UP")
            )
            for line in order.lines
        }
        return TaxAnswer(sum(by_line.values()), jurisdiction, by_line, exempt)


def entity(*, tax: str | None = None, **policy: Any) -> Entity:
    """An entity whose ERP is `erp`, with this policy."""
    return Entity(erp="erp", tax=tax, policy=Policy(**policy))


def line(product_id: str = "P1", quantity: str = "1", price: str = "10.00", number: int = 1, **more: Any) -> OrderLine:
    return OrderLine(
        line_number=number, product_id=product_id, quantity=Decimal(quantity), unit_price=Decimal(price), **more
    )


def order(number: str = "SO-1", *, customer: str = "C1", lines: Sequence[OrderLine] = (), **more: Any) -> Order:
    values: dict[str, Any] = {"currency": "USD", "ordered_at": datetime.now(UTC), "channel": "web", **more}
    return Order(order_number=number, customer_id=customer, lines=tuple(lines) or (line(),), **values)


def stocked_erp() -> MemoryErp:
    """One customer, C1, with a limit of 1,000.00 and three products at 10.00 of which MAIN has 100 each."""
    erp = MemoryErp()
    erp.put(Customer(id="C1", name="One"), CreditPosition(customer_id="C1", currency="USD", limit=100_000))
    for product in ("P1", "P2", "P3"):
        erp.put(
            Product(id=product, name=product),
            Price(product_id=product, currency="USD", unit_price=Decimal("10.00")),
            StockLevel(product_id=product, warehouse="MAIN", available=Decimal(100)),
        )
    return erp
