"""How many orders a second one process checks: 20 lines each, all five checks on replica data, by size of the batch.

python -m bench.checks [--seconds N] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tallystick.checks.refresh import apply_changes
from tallystick.checks.replica import lock_replica
from tallystick.checks.runner import CheckRunner
from tallystick.documents.decision import Decision, gravest
from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address, CreditPosition, Customer
from tallystick.documents.product import Price, PriceKind, Product, StockLevel
from tallystick.settings import Entity, FactsPolicy, Policy
from tallystick.store.embedded import start_embedded
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.ports import Change

CUSTOMERS, PRODUCTS, LINES = 2_000, 5_000, 20
ENTITY = Entity(erp="erp", tax="tax", policy=Policy(tax=FactsPolicy(source="replica"), deadline_seconds=30))


def masters(seed: int) -> list[Change]:
    """Customers with a contract on fifty products, products with list prices and stock."""
    draw = random.Random(seed)  # noqa: S311 - the same data at every run
    values: list[tuple[str, str, Customer | Product | Price | StockLevel | CreditPosition]] = []
    for number in range(PRODUCTS):
        key = f"P{number}"
        price = Decimal(100 + number % 900) / 100
        values += [
            ("product", key, Product(id=key, name=key)),
            ("price", key, Price(product_id=key, currency="USD", unit_price=price)),
            ("stock", key, StockLevel(product_id=key, warehouse="MAIN", available=Decimal(10**9))),
        ]
    for number in range(CUSTOMERS):
        key = f"C{number}"
        position = CreditPosition(customer_id=key, currency="USD", limit=10**12)
        values += [("customer", key, Customer(id=key, name=key)), ("credit", key, position)]
        for product in draw.sample(range(PRODUCTS), 50):
            price = Decimal(100 + product % 900) / 100
            contract = Price(
                product_id=f"P{product}", kind=PriceKind.CONTRACT, customer_id=key, currency="USD", unit_price=price
            )
            values.append(("price", f"{key}/P{product}", contract))
    now = datetime.now(UTC)
    return [Change(kind, key, value, now) for kind, key, value in values]


def orders(count: int, seed: int) -> list[Order]:
    """Orders that pass every check."""
    draw = random.Random(seed)  # noqa: S311 - the same data at every run
    address = Address(street="1 Main St", city="Sacramento", region="CA")
    made = []
    for number in range(count):
        products = draw.sample(range(PRODUCTS), LINES)
        lines = tuple(
            OrderLine(
                line_number=index + 1,
                product_id=f"P{product}",
                quantity=Decimal(draw.randint(1, 50)),
                unit_price=Decimal(100 + product % 900) / 100,
            )
            for index, product in enumerate(products)
        )
        made.append(
            Order(
                channel="bench",
                order_number=f"B{number}",
                customer_id=f"C{draw.randrange(CUSTOMERS)}",
                currency="USD",
                ordered_at=datetime.now(UTC),
                ship_to=address,
                lines=lines,
            )
        )
    return made


async def load(pool: Pool) -> None:
    """Fill the replica and say that it is complete."""
    changes = masters(1)
    for start in range(0, len(changes), 20_000):
        async with pool.acquire() as connection, connection.transaction():
            await lock_replica(connection, "erp")
            await apply_changes(connection, "erp", changes[start : start + 20_000])
    await pool.execute("update replica_feeds set complete = true, refreshed_at = now() + interval '1 hour'")
    await pool.execute(
        "insert into replica_tax_rates (system, jurisdiction, currency, rate) values ('tax', 'US-CA', 'USD', 0.0725)"
    )
    await pool.execute("vacuum analyze")


async def measure(pool: Pool, size: int, seconds: float, made: list[Order]) -> tuple[float, float]:
    """Orders a second, and CPU milliseconds of this process an order."""
    runner = CheckRunner(pool, {})
    for start in range(0, len(made), size):  # warm
        results = await runner.check(ENTITY, made[start : start + size])
        assert all(gravest(each) is Decision.ACCEPT for each in results), results[0]  # noqa: S101
    done, start = 0, 0
    started, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        batch = made[start : start + size]
        await runner.check(ENTITY, batch)
        done += len(batch)
        start = (start + size) % len(made)
    elapsed = time.perf_counter() - started
    return done / elapsed, (time.process_time() - cpu) / done * 1000


async def run(url: str, seconds: float, profile: bool) -> None:
    """Print the table."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=8)
    await load(pool)
    made = orders(4_000, 2)
    print(f"{'batch':>6} {'orders/s':>10} {'CPU ms/order':>13}")
    for size in (1, 16, 64, 500):
        rate, cpu = await measure(pool, size, seconds, made)
        print(f"{size:>6} {rate:>10,.0f} {cpu:>13.3f}")
    if profile:
        profiler = cProfile.Profile()
        profiler.enable()
        await measure(pool, 16, seconds, made)
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
    await pool.close()


def main() -> None:
    """Run it on an embedded server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # as root the server runs as a user of its own
        asyncio.run(run(start_embedded(Path(folder) / "postgresql"), options.seconds, options.profile))


if __name__ == "__main__":
    main()
