"""The checks over real servers: what the sandbox's ERP and tax service say live, and what the replicas of them say, agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.integration.checks.memory_systems import line, order
from tests.integration.systems.sandbox_erp_masters import load, load_masters

from tallystick.checks.promises import keep, promise, promise_of
from tallystick.checks.refresh import refresh_replicas
from tallystick.checks.runner import CheckRunner
from tallystick.documents.decision import CheckResult
from tallystick.documents.order import Order
from tallystick.documents.party import Address
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.settings import Entity, FactsPolicy, Policy
from tallystick.store.pool import Pool
from tallystick.systems.ports import Erp, OrderCommand, OrderCommitted, System
from tallystick.systems.registry import connect

CALIFORNIA = Address(street="1 Main St", region="CA")


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("checks")) as sandbox:
        await sandbox.start(ServerPlan("erp"), ServerPlan("tax", settings={"default_rate": None}))
        await load_masters(sandbox)
        await load(sandbox, "erp", "customers", {"id": "C-SCARCE", "name": "Scarce", "credit_limit": 100_000})
        await load(sandbox, "erp", "products", {"id": "RARE", "name": "Rare"})
        await load(sandbox, "erp", "prices", {"product_id": "RARE", "currency": "USD", "unit_price": "10.00"})
        await load(sandbox, "erp", "stock", {"product_id": "RARE", "on_hand": "10"})
        january = {"kind": "promotion", "unit_price": "8.00", "valid_from": "2026-01-01", "valid_to": "2026-01-31"}
        await load(sandbox, "erp", "prices", {"product_id": "RARE", "currency": "USD", **january})
        yield sandbox


@pytest.fixture
async def systems(sandbox: Sandbox) -> AsyncIterator[dict[str, System]]:
    connected = {
        name: connect(name, f"sandbox_{name}", {"url": server.url, "token": server.token})
        for name, server in sandbox.servers.items()
    }
    yield connected
    for system in connected.values():
        await system.close()


def policy(source: Any) -> Entity:
    facts = FactsPolicy(source=source)
    kinds = dict.fromkeys(("customer", "price", "tax", "inventory", "credit"), facts)
    return Entity(erp="erp", tax="tax", policy=Policy(**kinds, deadline_seconds=20))


def orders() -> list[Order]:
    """One that passes, and one for each thing that can be wrong."""
    return [
        order("FINE", customer="C-1", lines=[line("ANVIL", "3"), line("BOLT", "7", number=2)], ship_to=CALIFORNIA),
        order("WHO", customer="NOBODY", lines=[line("ANVIL")], ship_to=CALIFORNIA),
        order("BLOCKED", customer="C-BLOCKED", lines=[line("ANVIL")], ship_to=CALIFORNIA),
        order("TERMS", customer="C-1", lines=[line("ANVIL")], ship_to=CALIFORNIA, payment_terms="NET10"),
        order("CHEAP", customer="C-1", lines=[line("ANVIL", price="9.00")], ship_to=CALIFORNIA),
        order("WHAT", customer="C-1", lines=[line("NOTHING")], ship_to=CALIFORNIA),
        order("MUCH", customer="C-1", lines=[line("RARE", "11")], ship_to=CALIFORNIA),
        order("DEAR", customer="C-SMALL", lines=[line("ANVIL", "6")], ship_to=CALIFORNIA),
        order("QUOTE", customer="C-1", lines=[line("ANVIL", "100")], ship_to=CALIFORNIA, tax_amount=1),
        order("WHERE", customer="C-1", lines=[line("ANVIL")], ship_to=Address(country="AQ")),
    ]


EXPECTED = {
    "FINE": [],
    "WHO": ["customer.unknown"],
    "BLOCKED": ["customer.blocked"],
    "TERMS": ["customer.terms_differ"],
    "CHEAP": ["price.below_list"],
    "WHAT": ["price.not_found", "product.unknown"],
    "MUCH": ["inventory.insufficient"],
    "DEAR": ["credit.over_limit"],
    "QUOTE": ["tax.differs"],
    "WHERE": ["tax.jurisdiction_unknown"],
}


def found(results: list[tuple[CheckResult, ...]]) -> dict[str, list[str]]:
    """Reason codes by order number."""
    return {
        each.order_number: [reason.code for check in result for reason in check.reasons]
        for each, result in zip(orders(), results, strict=True)
    }


@pytest.mark.parametrize("source", ["live", "replica"])
async def test_every_deviation_is_found_live_and_on_the_replica(
    pool: Pool, systems: dict[str, System], source: str
) -> None:
    erp = systems["erp"]
    assert isinstance(erp, Erp)
    if source == "replica":
        await refresh_replicas(pool, "erp", erp)
    results = await CheckRunner(pool, systems).check(policy(source), orders())
    assert found(results) == EXPECTED
    assert {check.source for check in results[0]} == ({"live"} if source == "live" else {"replica"})


@pytest.mark.parametrize("source", ["live", "replica"])
async def test_an_order_is_judged_by_the_prices_of_its_own_day(
    pool: Pool, systems: dict[str, System], source: str
) -> None:
    erp = systems["erp"]
    assert isinstance(erp, Erp)
    if source == "replica":
        await refresh_replicas(pool, "erp", erp)
    days = (datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 1, 12, tzinfo=UTC))
    promoted = [line("RARE", price="8.00")]
    wanted = [
        order(f"{each:%d-%m}", customer="C-1", lines=promoted, ship_to=CALIFORNIA, ordered_at=each) for each in days
    ]
    results = await CheckRunner(pool, systems).check(policy(source), wanted)
    assert [[reason.code for check in each for reason in check.reasons] for each in results] == [
        [],
        ["price.below_list"],
    ]


async def test_tax_from_the_replica_of_rates_is_the_services_to_the_cent(
    pool: Pool, systems: dict[str, System]
) -> None:
    wanted = [
        order(
            f"{country}-{region}-{quantity}",
            customer="C-1",
            lines=[line("ANVIL", quantity, "0.37"), line("BOLT", "13", "19.99", number=2)],
            ship_to=Address(country=country, region=region),
        )
        for country, region in (("US", "CA"), ("US", "MN"), ("CA", "QC"), ("DE", None), ("CA", "XX"), ("US", "OR"))
        for quantity in ("1", "3", "7", "1.5")
    ]
    runner = CheckRunner(pool, systems)
    taxes = [
        [
            check.tax_amount
            for result in await runner.check(policy(source), wanted)
            for check in result
            if check.check == "tax"
        ]
        for source in ("live", "replica")
    ]
    assert taxes[0] == taxes[1]
    assert None not in taxes[0]


async def test_an_order_counts_once_from_acceptance_over_commitment_to_the_erps_own_word(
    pool: Pool, systems: dict[str, System]
) -> None:
    erp = systems["erp"]
    assert isinstance(erp, Erp)
    runner, entity = CheckRunner(pool, systems), policy("replica")
    first = order("R-1", customer="C-SCARCE", lines=[line("RARE", "6")], ship_to=CALIFORNIA)
    second = order("R-2", customer="C-SCARCE", lines=[line("RARE", "4")], ship_to=CALIFORNIA)
    too_much = order("R-3", customer="C-SCARCE", lines=[line("RARE", "5")], ship_to=CALIFORNIA)

    async def insufficient(wanted: Order) -> list[str | None]:
        [results] = await runner.check(entity, [wanted])
        return [reason.system_value for check in results for reason in check.reasons]

    await refresh_replicas(pool, "erp", erp)
    [results] = await runner.check(entity, [first])
    made = promise_of(first, "erp", entity.policy, results)
    async with pool.acquire() as connection, connection.transaction():
        await promise(connection, [made])
    assert (await insufficient(second), await insufficient(too_much)) == ([], ["4"])
    [answer] = await erp.commit_orders([OrderCommand("R-1", first, tax_amount=435)])
    assert isinstance(answer, OrderCommitted)
    async with pool.acquire() as connection, connection.transaction():
        await keep(connection, [made])
    assert (await insufficient(second), await insufficient(too_much)) == ([], ["4"])
    await refresh_replicas(pool, "erp", erp)
    assert (await insufficient(second), await insufficient(too_much)) == ([], ["4"])
    owed = await pool.fetchval("select open_orders from replica_credit where customer_id = 'C-SCARCE'")
    assert owed == 6_435
    assert await pool.fetchval("select sum(quantity) from promised_stock") == Decimal(0)
