"""Thirty years old and still right: Northwind's orders through the checks, with answers that are known.

Source of the counts: the data's own README; a line differs where its order's price is not the product's list price.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.integration.checks.conftest import Installation, codes
from tests.integration.checks.memory_systems import MemoryErp, entity

from tallystick.documents.decision import Decision
from tallystick.documents.money import Rounding, format_minor
from tallystick.documents.order import Charge, Order, OrderLine
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, PriceKind, Product, StockLevel
from tallystick.settings import FactsPolicy

DATA = Path(__file__).parents[4] / "shared" / "data" / "northwind"
NET = "1265793.29"
FREIGHT = "64942.69"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the Northwind data is not beside this repository ({DATA})")


def rows(name: str) -> Iterator[dict[str, str]]:
    """A table's rows."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def northwind_orders() -> list[Order]:
    """All orders, in US dollars, freight as a charge."""
    lines: dict[str, list[OrderLine]] = {}
    for row in rows("order_details"):
        order_lines = lines.setdefault(row["OrderID"], [])
        order_lines.append(
            OrderLine(
                line_number=len(order_lines) + 1,
                product_id=row["ProductID"],
                quantity=Decimal(row["Quantity"]),
                unit_price=Decimal(row["UnitPrice"]),
                discount=Decimal(row["Discount"]),
            )
        )
    return [
        Order(
            channel="northwind",
            order_number=row["OrderID"],
            customer_id=row["CustomerID"],
            currency="USD",
            ordered_at=datetime.fromisoformat(row["OrderDate"]).replace(tzinfo=UTC),
            lines=tuple(lines[row["OrderID"]]),
            charges=(Charge(code="FREIGHT", amount=int(Decimal(row["Freight"]) * 100)),),
        )
        for row in rows("orders")
    ]


def northwind_erp() -> MemoryErp:
    """Its customers without limit, and its products in plenty; no prices yet."""
    erp = MemoryErp()
    for row in rows("customers"):
        erp.put(
            Customer(id=row["CustomerID"], name=row["CompanyName"]),
            CreditPosition(customer_id=row["CustomerID"], currency="USD", limit=None),
        )
    for row in rows("products"):
        erp.put(
            Product(id=row["ProductID"], name=row["ProductName"]),
            StockLevel(product_id=row["ProductID"], warehouse="MAIN", available=Decimal(10**6)),
        )
    return erp


def list_prices_as_contracts(erp: MemoryErp) -> None:
    """Every customer has each product's list price by contract."""
    customers = list(erp.customers)
    for row in rows("products"):
        erp.put(*(_contract(customer, row["ProductID"], row["UnitPrice"]) for customer in customers))


def _contract(customer: str, product: str, price: str) -> Price:
    return Price(
        product_id=product,
        kind=PriceKind.CONTRACT,
        customer_id=customer,
        currency="USD",
        unit_price=Decimal(price),
    )


@pytest.fixture
async def northwind(installation: Installation) -> Installation:
    installation.erp = northwind_erp()
    installation.__post_init__()
    return installation


async def test_with_list_prices_as_contracts_658_of_2155_lines_are_held(northwind: Installation) -> None:
    list_prices_as_contracts(northwind.erp)
    await northwind.refresh()
    orders = northwind_orders()
    results = [each for start in range(0, 830, 100) for each in await northwind.check(*orders[start : start + 100])]
    held = [reason for each in results for reason in each["price"].reasons]
    assert (len(results), sum(len(each.lines) for each in orders), len(held)) == (830, 2_155, 658)
    assert {reason.code for reason in held} == {"price.below_contract"}
    assert {code for each in results for code in codes(each)} == {"price.below_contract"}
    listed = {row["ProductID"]: Decimal(row["UnitPrice"]) for row in rows("products")}
    assert len(held) == sum(line.unit_price != listed[line.product_id] for each in orders for line in each.lines)


@pytest.mark.parametrize("source", ["replica", "live"])
async def test_none_is_held_when_the_orders_prices_are_agreed(northwind: Installation, source: Any) -> None:
    facts = FactsPolicy(source=source)
    northwind.entity = entity(customer=facts, price=facts, inventory=facts, credit=facts)
    agreed: dict[tuple[str, str], Decimal] = {}
    batches: list[list[Order]] = [[]]
    for (
        each
    ) in northwind_orders():  # prices moved over the years: a batch ends where one contract would need two prices
        wanted = {(each.customer_id, line.product_id): line.unit_price for line in each.lines}
        if any(agreed.get(key, price) != price for key, price in wanted.items()):
            agreed.clear()
            batches.append([])
        agreed.update(wanted)
        batches[-1].append(each)
    decisions: list[Decision] = []
    for batch in batches:
        northwind.erp.put(
            *{
                (each.customer_id, line.product_id): _contract(each.customer_id, line.product_id, str(line.unit_price))
                for each in batch
                for line in each.lines
            }.values()
        )
        await northwind.refresh()
        decisions += await northwind.decide(*batch)
    assert decisions == [Decision.ACCEPT] * 830


def test_lines_and_freight_tie_out_to_the_cent() -> None:
    orders = northwind_orders()
    assert format_minor(sum(each.lines_amount for each in orders), "USD") == NET
    freight = sum(charge.signed_amount for each in orders for charge in each.charges)
    assert format_minor(freight, "USD") == FREIGHT
    half_even = [each.model_copy(update={"rounding": Rounding.HALF_EVEN}) for each in orders]
    assert format_minor(sum(each.lines_amount for each in half_even), "USD") == "1265793.02"
