"""Orders that fit one by one but not together, submitted at the same moment through several doors."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from tests.integration.checks.conftest import Installation
from tests.integration.checks.memory_systems import line, order

from tallystick.checks.promises import PromiseRaceError, keep, promise, promise_of
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.settings import Entity, Settings, SystemSettings
from tallystick.stages.flow import Flow
from tallystick.stages.intake import Intake, Submission, submit_orders
from tallystick.store.pool import JsonText

CUSTOMERS = 10


@pytest.fixture
async def crowded(fresh: Installation) -> Installation:
    """Ten customers with a limit of 100.00 each, and a product for each of which there are ten."""
    for number in range(CUSTOMERS):
        fresh.erp.put(
            Customer(id=f"K{number}", name="K"),
            CreditPosition(customer_id=f"K{number}", currency="USD", limit=10_000),
            Product(id=f"R{number}", name="R"),
            Price(product_id=f"R{number}", currency="USD", unit_price=Decimal("1.00")),
            StockLevel(product_id=f"R{number}", warehouse="MAIN", available=Decimal(10)),
        )
    await fresh.refresh()
    return fresh


def dear(number: str, customer: str) -> Order:
    """60.00: fits once, not twice."""
    return order(number, customer=customer, lines=[line("P1", "1", "10.00"), line("P2", "5", "10.00", number=2)])


async def test_the_second_of_two_that_were_checked_at_once_is_not_promised(crowded: Installation) -> None:
    policy = crowded.entity.policy
    made = []
    for number in ("A", "B"):
        results = await crowded.runner.check(crowded.entity, [dear(number, "K0")])
        made.append(promise_of(dear(number, "K0"), "erp", policy, results[0]))
    async with crowded.pool.acquire() as connection:
        async with connection.transaction():
            await promise(connection, made[:1])
        with pytest.raises(PromiseRaceError):
            async with connection.transaction():
                await promise(connection, made[1:])
        async with connection.transaction():  # the ERP takes the first over: the second fits no better
            await keep(connection, made[:1])
        with pytest.raises(PromiseRaceError):
            async with connection.transaction():
                await promise(connection, made[1:])


async def test_a_person_may_promise_more_than_fits(crowded: Installation) -> None:
    orders = [dear("A", "K0"), dear("B", "K0")]
    waived = [frozenset({"credit.over_limit"})] * 2
    results = await crowded.runner.check(crowded.entity, orders, overrides=waived)
    made = [promise_of(each, "erp", crowded.entity.policy, found) for each, found in zip(orders, results, strict=True)]
    async with crowded.pool.acquire() as connection:
        for each in made:
            async with connection.transaction():
                await promise(connection, [each])


def scarce(number: str, product: str) -> Order:
    """Four pieces: fits twice in ten, not three times."""
    return order(number, lines=[line(product, "4", "1.00")])


async def test_of_orders_that_arrive_at_once_exactly_those_that_fit_are_accepted(crowded: Installation) -> None:
    settings = Settings(systems={"erp": SystemSettings(kind="sandbox_erp")}, entities={"default": Entity(erp="erp")})
    doors = [Intake(Flow(crowded.pool, settings, {"erp": crowded.erp})) for _ in range(4)]

    async def accepted(door: Intake, submitted: Order) -> bool:
        submission = Submission(submitted, JsonText(submitted.model_dump_json().encode()), "tester", b"")
        [answer] = await submit_orders(door, [submission])
        return bool(answer.body["decision"] == "accept")

    async with asyncio.timeout(60):
        for number in range(CUSTOMERS):
            dear_ones = [accepted(door, dear(f"D{number}-{at}", f"K{number}")) for at, door in enumerate(doors)]
            scarce_ones = [accepted(door, scarce(f"S{number}-{at}", f"R{number}")) for at, door in enumerate(doors)]
            decided = await asyncio.gather(*dear_ones, *scarce_ones)
            assert (sum(decided[:4]), sum(decided[4:])) == (1, 2)
