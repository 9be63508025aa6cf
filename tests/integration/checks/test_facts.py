"""Replica or live, by policy and age; and what happens when the system is away, slow or wrong."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from tests.integration.checks.conftest import Installation, codes
from tests.integration.checks.memory_systems import entity, line, order

from tallystick.documents.decision import Decision
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, PriceKind, StockLevel
from tallystick.settings import FactsPolicy

KINDS = ("customer", "price", "inventory", "credit")


def policies(**facts: Any) -> dict[str, Any]:
    return {kind: FactsPolicy(**facts) for kind in KINDS}


def calls(installation: Installation) -> dict[str, int]:
    """Keys asked for, by call."""
    return dict(sorted(installation.erp.calls))


async def test_a_fresh_replica_answers_alone(fresh: Installation) -> None:
    [results] = await fresh.check(order())
    assert fresh.erp.calls == []
    assert {name: each.source for name, each in results.items() if name != "tax"} == dict.fromkeys(KINDS, "replica")
    age = results["credit"].facts_age_seconds
    assert age is not None
    assert 0 <= age < 60
    assert codes(results) == []


async def test_a_fresh_complete_replica_is_trusted_that_something_is_unknown(fresh: Installation) -> None:
    [results] = await fresh.check(order(customer="C9", lines=[line("P9")]))
    assert codes(results) == ["customer.unknown", "product.unknown"]
    assert fresh.erp.calls == []


async def test_an_unknown_key_is_asked_live_when_the_feed_is_too_old(fresh: Installation) -> None:
    fresh.erp.put(Customer(id="C2", name="Two"))
    await fresh.grow_old(1_000)
    [results] = await fresh.check(order(customer="C2"))
    assert codes(results) == []
    assert results["customer"].source == "live"


async def test_without_a_replica_the_whole_batch_is_one_call_a_kind(installation: Installation) -> None:
    batch = [order(f"SO-{number}", lines=[line(f"P{number}")]) for number in (1, 2, 3)]
    assert await installation.decide(*batch) == [Decision.ACCEPT] * 3
    expected = {"read_credit": 1, "read_customers": 1, "read_prices": 1, "read_products": 3, "read_stock": 3}
    assert calls(installation) == expected


async def test_live_answers_are_kept_and_only_missing_keys_are_asked(installation: Installation) -> None:
    await installation.check(order(lines=[line("P1")]))
    installation.erp.calls.clear()
    [results] = await installation.check(order(lines=[line("P1"), line("P2", number=2)]))
    assert calls(installation) == {"read_prices": 1, "read_products": 1, "read_stock": 1}
    assert results["customer"].source == "replica"
    installation.erp.calls.clear()
    installation.erp.away = True
    [results] = await installation.check(order(lines=[line("P1"), line("P2", number=2)]))
    assert installation.erp.calls == []
    assert codes(results) == []


async def test_kept_answers_are_asked_again_when_they_are_too_old(installation: Installation) -> None:
    await installation.check(order())
    installation.erp.put(Price(product_id="P1", currency="USD", unit_price=Decimal("11.00")))
    await installation.grow_old(1_000)
    [results] = await installation.check(order())
    assert codes(results) == ["price.below_list"]
    assert results["price"].source == "live"


async def test_the_live_policy_asks_every_time(fresh: Installation) -> None:
    fresh.entity = entity(**policies(source="live"))
    [results] = await fresh.check(order())
    assert set(calls(fresh)) == {"read_credit", "read_customers", "read_prices", "read_products", "read_stock"}
    assert {results[kind].source for kind in KINDS} == {"live"}


async def test_a_live_answer_replaces_what_other_processes_have_cached(fresh: Installation) -> None:
    other = Installation(fresh.pool, fresh.erp)
    assert await other.decide(order(payment_terms="NET30")) == [Decision.ACCEPT]
    fresh.erp.put(Customer(id="C1", name="One", payment_terms="NET10"))
    fresh.entity = entity(**policies(source="live"))
    await fresh.check(order())
    [results] = await other.check(order(payment_terms="NET30"))
    assert codes(results) == ["customer.terms_differ"]
    assert results["customer"].source == "replica"


@pytest.mark.parametrize("decision", ["hold", "accept", "reject"])
async def test_an_old_replica_of_a_system_that_is_away_is_decided_by_policy(fresh: Installation, decision: Any) -> None:
    await fresh.grow_old(1_000)
    fresh.erp.away = True
    fresh.entity = entity(**policies(when_unavailable=decision))
    [results] = await fresh.check(order())
    assert sorted(codes(results)) == sorted(f"{kind}.facts_unavailable" for kind in KINDS)
    assert {results[kind].decision for kind in KINDS} == {Decision(decision)}
    [reason] = results["credit"].reasons
    assert reason.system_value == "erp"
    assert "our replica of it is 100" in reason.message
    assert "more than the policy's 900 s" in reason.message


async def test_a_fresh_replica_bridges_the_time_a_system_is_away(fresh: Installation) -> None:
    fresh.erp.away = True
    assert await fresh.decide(order()) == [Decision.ACCEPT]


async def test_a_check_that_is_late_is_decided_by_policy_and_the_others_stand(fresh: Installation) -> None:
    fresh.tax.delay = 5
    fresh.entity = entity(tax="tax", deadline_seconds=0.2)
    started = asyncio.get_running_loop().time()
    [results] = await fresh.check(order(lines=[line(price="9.00")]))
    assert asyncio.get_running_loop().time() - started < 2
    assert codes(results) == ["price.below_list", "tax.facts_unavailable"]
    [reason] = results["tax"].reasons
    assert "tax gave no answer within 0.2 s" in reason.message


async def test_what_checks_share_being_late_fails_each_of_them_and_leaves_nothing_running(
    installation: Installation,
) -> None:
    installation.erp.delay = 5
    installation.entity = entity(deadline_seconds=0.2)
    [results] = await installation.check(order())
    assert sorted(codes(results)) == sorted(f"{kind}.facts_unavailable" for kind in KINDS)
    assert not [task for task in asyncio.all_tasks() if "read_" in repr(task.get_coro())]


async def test_an_unexpected_error_is_raised_as_it_is(fresh: Installation) -> None:
    await fresh.pool.execute("drop table replica_credit")
    with pytest.raises(Exception, match="replica_credit") as raised:
        await fresh.check(order())
    assert not isinstance(raised.value, BaseExceptionGroup)


async def test_a_change_in_the_feed_is_seen_by_every_process_at_the_next_batch(fresh: Installation) -> None:
    other = Installation(fresh.pool, fresh.erp)
    assert await other.decide(order()) == [Decision.ACCEPT]
    fresh.erp.put(
        Price(product_id="P1", kind=PriceKind.CONTRACT, customer_id="C1", currency="USD", unit_price=Decimal("8.00"))
    )
    await fresh.refresh()
    [results] = await other.check(order())
    assert codes(results) == ["price.above_contract"]


async def test_what_is_removed_in_the_erp_is_gone_from_the_replica(fresh: Installation) -> None:
    assert await fresh.decide(order()) == [Decision.ACCEPT]
    fresh.erp.remove(fresh.erp.products["P1"])
    for price in list(fresh.erp.prices.values()):
        fresh.erp.remove(price)
    for level in list(fresh.erp.stock.values()):
        fresh.erp.remove(level)
    await fresh.refresh()
    [first, second] = await fresh.check(order(), order("SO-2", lines=[line("P2")]))
    assert codes(first) == ["price.not_found", "product.unknown"]
    assert codes(second) == ["price.not_found", "inventory.insufficient"]


async def test_orders_of_one_batch_see_each_other_in_order_of_arrival(fresh: Installation) -> None:
    fresh.erp.put(StockLevel(product_id="P1", warehouse="MAIN", available=Decimal(10)))
    fresh.erp.put(CreditPosition(customer_id="C1", currency="USD", limit=15_000))
    await fresh.refresh()
    eight, two = [line("P1", "8")], [line("P1", "2")]
    batch = [
        order("A", lines=[line("P1", "8", price="9.00")]),  # held for its price: takes nothing
        order("B", lines=eight),
        order("C", lines=eight),
        order("D", lines=two),
        order("E", lines=[line("P2", "6")]),
    ]
    results = await fresh.check(*batch)
    assert [codes(each) for each in results] == [
        ["price.below_list"],
        [],
        ["inventory.insufficient", "credit.over_limit"],
        [],
        ["credit.over_limit"],
    ]


async def test_an_overridden_reason_is_kept_and_accepts(fresh: Installation) -> None:
    [results] = await fresh.check(order(lines=[line(price="9.00")]), overrides=frozenset({"price.below_list"}))
    [reason] = results["price"].reasons
    assert (reason.code, reason.decision, results["price"].decision) == (
        "price.below_list",
        Decision.ACCEPT,
        Decision.ACCEPT,
    )
    assert reason.message.startswith("overridden: ")


async def test_the_policy_may_decide_a_code_otherwise(fresh: Installation) -> None:
    fresh.entity = entity(decisions={"price.below_list": "reject", "customer.unknown": "hold"})
    assert await fresh.decide(order(lines=[line(price="9.00")]), order(customer="C9")) == [
        Decision.REJECT,
        Decision.HOLD,
    ]


async def test_a_disabled_check_is_not_made(fresh: Installation) -> None:
    fresh.entity = entity(disabled_checks=frozenset({"price", "tax"}))
    [results] = await fresh.check(order(lines=[line(price="9.00")]))
    assert set(results) == {"customer", "inventory", "credit"}
