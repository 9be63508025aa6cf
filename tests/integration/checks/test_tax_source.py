"""Tax from the service or from a replica of its rates."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from tests.integration.checks.conftest import Installation, codes
from tests.integration.checks.memory_systems import entity, line, order

from tallystick.documents.decision import Decision
from tallystick.documents.party import Address, Customer
from tallystick.settings import Entity, FactsPolicy, Policy
from tallystick.systems.failure import Rejected, Transient

CALIFORNIA = Address(region="CA", street="1 Main St")


def from_rates(**facts: Any) -> Entity:
    """An entity that takes tax from the replica of rates."""
    return Entity(erp="erp", tax="tax", policy=Policy(tax=FactsPolicy(**facts)))


async def test_the_services_amount_goes_on_with_the_order(fresh: Installation) -> None:
    fresh.entity = entity(tax="tax")
    [results] = await fresh.check(order(ship_to=CALIFORNIA, tax_amount=73))
    assert (results["tax"].tax_amount, results["tax"].source, codes(results)) == (73, "live", [])


async def test_one_orders_failure_is_not_anothers(fresh: Installation) -> None:
    fresh.entity = entity(tax="tax")
    fresh.tax.refusals = {"B": Transient("busy", system="tax"), "C": Rejected("no", system="tax")}
    results = await fresh.check(*[order(number, ship_to=CALIFORNIA) for number in "ABC"])
    assert [codes(each) for each in results] == [[], ["tax.facts_unavailable"], ["tax.rejected"]]


async def test_a_rate_is_asked_once_and_then_answers_for_all_processes(fresh: Installation) -> None:
    replica = fresh.entity = from_rates()
    lines = [line("P1", "3", "9.99"), line("P2", "7", "1.37", number=2)]
    live = await fresh.tax.calculate_tax([order(ship_to=CALIFORNIA, lines=lines)], {})
    fresh.tax.calls.clear()
    for installation in (fresh, fresh, Installation(fresh.pool, fresh.erp, fresh.tax, replica)):
        [results] = await installation.check(order(ship_to=CALIFORNIA, lines=lines))
        assert results["tax"].tax_amount == live[0].total_amount  # type: ignore[union-attr]  # the fake refused nothing
        assert results["tax"].source == "replica"
    assert fresh.tax.calls == [("calculate_tax", 1)]


async def test_an_old_rate_is_asked_again(fresh: Installation) -> None:
    fresh.entity = from_rates(maximum_age_seconds=0.05)
    [before] = await fresh.check(order(ship_to=CALIFORNIA))
    fresh.tax.rates["US-CA"] = Decimal("0.10")
    await asyncio.sleep(0.06)
    [after] = await fresh.check(order(ship_to=CALIFORNIA))
    assert (before["tax"].tax_amount, after["tax"].tax_amount) == (73, 100)


async def test_a_held_rate_bridges_the_time_the_service_is_away_and_an_old_one_does_not(fresh: Installation) -> None:
    fresh.entity = from_rates()
    await fresh.check(order(ship_to=CALIFORNIA))
    fresh.tax.away = True
    assert await fresh.decide(order(ship_to=CALIFORNIA)) == [Decision.ACCEPT]
    fresh.entity = from_rates(maximum_age_seconds=0.001)
    [results] = await fresh.check(order(ship_to=CALIFORNIA))
    assert codes(results) == ["tax.facts_unavailable"]


async def test_exempt_customers_are_always_asked_live(fresh: Installation) -> None:
    fresh.erp.put(Customer(id="C2", name="Two", tax_exempt=True))
    await fresh.refresh()
    fresh.entity = from_rates()
    [taxed, exempt] = await fresh.check(order("A", ship_to=CALIFORNIA), order("B", customer="C2", ship_to=CALIFORNIA))
    assert (taxed["tax"].tax_amount, exempt["tax"].tax_amount) == (73, 0)


async def test_a_tax_system_that_is_not_connected_is_not_taken_for_no_tax(fresh: Installation) -> None:
    fresh.entity = entity(tax="elsewhere")
    [results] = await fresh.check(order(ship_to=CALIFORNIA))
    assert codes(results) == ["tax.facts_unavailable"]
