"""A made-up distributor for measurements: its masters in the replica tables, and orders that pass every check."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tallystick.checks.refresh import apply_changes
from tallystick.checks.replica import lock_replica
from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address, CreditPosition, Customer
from tallystick.documents.product import Price, PriceKind, Product, StockLevel
from tallystick.store.pool import Pool
from tallystick.systems.ports import Change

LINES = 20
_CONTRACT_PRICES = 50
_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Goods:
    """How many customers and products there are. The same sizes make the same data at every run."""

    customers: int = 2_000
    products: int = 5_000
    lines: int = LINES
    """Of an order."""

    def masters(self) -> list[Change]:
        """Customers with a contract on fifty products, products with list prices and stock."""
        draw = random.Random(1)  # noqa: S311 - the same data at every run
        values: list[tuple[str, str, Customer | Product | Price | StockLevel | CreditPosition]] = []
        for number in range(self.products):
            key = f"P{number}"
            values += [
                ("product", key, Product(id=key, name=key)),
                ("price", key, Price(product_id=key, currency="USD", unit_price=_price(number))),
                ("stock", key, StockLevel(product_id=key, warehouse="MAIN", available=Decimal(10**9))),
            ]
        for number in range(self.customers):
            key = f"C{number}"
            position = CreditPosition(customer_id=key, currency="USD", limit=10**12)
            values += [("customer", key, Customer(id=key, name=key)), ("credit", key, position)]
            for product in draw.sample(range(self.products), _CONTRACT_PRICES):
                contract = Price(
                    product_id=f"P{product}",
                    kind=PriceKind.CONTRACT,
                    customer_id=key,
                    currency="USD",
                    unit_price=_price(product),
                )
                values.append(("price", f"{key}/P{product}", contract))
        now = datetime.now(UTC)
        return [Change(kind, key, value, now) for kind, key, value in values]

    def orders(self, count: int) -> list[Order]:
        """Orders that pass every check, numbered B0, B1, ..."""
        draw = random.Random(2)  # noqa: S311 - the same data at every run
        address = Address(street="1 Main St", city="Sacramento", region="CA")
        ordered_at = datetime.now(UTC)
        return [
            Order(
                channel="bench",
                order_number=f"B{number}",
                customer_id=f"C{draw.randrange(self.customers)}",
                currency="USD",
                ordered_at=ordered_at,
                ship_to=address,
                lines=tuple(
                    OrderLine(
                        line_number=index + 1,
                        product_id=f"P{product}",
                        quantity=Decimal(draw.randint(1, 50)),
                        unit_price=_price(product),
                    )
                    for index, product in enumerate(draw.sample(range(self.products), self.lines))
                ),
            )
            for number in range(count)
        ]


def _price(product: int) -> Decimal:
    return Decimal(100 + product % 900) / 100


async def load_replica(pool: Pool, goods: Goods, erp: str, tax: str) -> None:
    """Fill the replicas of `erp`, as a refresh does, and of the tax service's rates, and say that they are complete and fresh."""
    changes = goods.masters()
    for start in range(0, len(changes), _AT_ONCE):
        async with pool.acquire() as connection, connection.transaction():
            await lock_replica(connection, erp)
            await apply_changes(connection, erp, changes[start : start + _AT_ONCE])
    await pool.execute(
        """
        insert into replica_feeds (system, complete, refreshed_at) values ($1, true, now())
        on conflict (system) do update set complete = true, refreshed_at = now()
        """,
        erp,
    )
    await pool.execute(
        "insert into replica_tax_rates (system, jurisdiction, currency, rate) values ($1, 'US-CA', 'USD', 0.0725)", tax
    )
    # What autovacuum does with tables just filled. Not with the empty ones: told that they are empty, the planner would go on
    # planning for tiny tables until it looks at them again.
    await pool.execute(
        "vacuum analyze replica_customers, replica_products, replica_prices, replica_stock, replica_credit"
    )
