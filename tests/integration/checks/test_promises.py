"""What accepted orders take counts until the ERP knows them, exactly once, whatever is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.integration.checks.conftest import Installation, codes
from tests.integration.checks.memory_systems import line, order

from tallystick.checks.promises import (
    Promise,
    keep,
    promise,
    promise_of,
    promise_of_change,
    promises_of_changes,
    release,
)
from tallystick.documents.decision import Decision
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import StockLevel


async def promised(installation: Installation, *orders: Order) -> list[Promise]:
    """Check orders and promise them, as intake does."""
    results = await installation.runner.check(installation.entity, orders)
    made = [
        promise_of(each, "erp", installation.entity.policy, result)
        for each, result in zip(orders, results, strict=True)
    ]
    await write(installation, promise, made)
    return made


async def write(installation: Installation, what: object, promises: Sequence[Promise]) -> None:
    async with installation.pool.acquire() as connection, connection.transaction():
        await what(connection, promises)  # type: ignore[operator]  # one of the three


async def sums(installation: Installation) -> tuple[dict[str, int], dict[tuple[str, str], Decimal]]:
    """What is promised now, by customer and by (product, warehouse)."""
    credit = await installation.pool.fetch("select customer_id, amount from promised_credit where amount <> 0")
    stock = await installation.pool.fetch(
        "select product_id, warehouse, quantity from promised_stock where quantity <> 0"
    )
    return {row[0]: row[1] for row in credit}, {(row[0], row[1]): row[2] for row in stock}


def eight(number: str) -> Order:
    return order(number, lines=[line("P1", "8")])


async def test_the_next_batch_counts_what_was_promised(fresh: Installation) -> None:
    fresh.erp.put(
        StockLevel(product_id="P1", warehouse="MAIN", available=Decimal(10)),
        CreditPosition(customer_id="C1", currency="USD", limit=12_000),
    )
    await fresh.refresh()
    await promised(fresh, eight("A"))
    [results] = await fresh.check(eight("B"))
    assert codes(results) == ["inventory.insufficient", "credit.over_limit"]


async def test_a_promise_is_made_at_the_customers_warehouse_with_the_services_tax(fresh: Installation) -> None:
    fresh.erp.put(
        Customer(id="C1", name="One", warehouse="EAST"),
        StockLevel(product_id="P1", warehouse="EAST", available=Decimal(10)),
    )
    await fresh.refresh()
    fresh.entity = fresh.entity.model_copy(update={"tax": "tax"})
    await promised(fresh, eight("A"))
    assert await sums(fresh) == ({"C1": 8_400}, {("P1", "EAST"): Decimal(8)})
    [results] = await fresh.check(eight("B"))
    assert codes(results) == ["inventory.insufficient"]


async def test_a_kept_promise_moves_into_the_replica_until_the_erps_next_word(fresh: Installation) -> None:
    made = await promised(fresh, eight("A"))
    await write(fresh, keep, made)
    assert await sums(fresh) == ({}, {})
    row = await fresh.pool.fetchrow(
        "select c.open_orders, s.available from replica_credit c, replica_stock s where s.product_id = 'P1'"
    )
    assert row is not None
    assert tuple(row) == (8_000, Decimal(92))
    fresh.erp.put(CreditPosition(customer_id="C1", currency="USD", limit=100_000, open_orders=8_000))
    await fresh.refresh()
    assert await fresh.pool.fetchval("select open_orders from replica_credit") == 8_000


async def test_what_the_replica_has_learnt_since_the_erp_was_asked_is_not_added_again(fresh: Installation) -> None:
    [made] = await promised(fresh, eight("A"))
    asked_at = datetime.now(UTC) - timedelta(seconds=1)
    fresh.erp.put(CreditPosition(customer_id="C1", currency="USD", limit=100_000, open_orders=8_000))
    await fresh.refresh()  # the ERP has the order, and its feed was faster than we
    await write(fresh, keep, [promise_of(eight("A"), made.system, fresh.entity.policy, asked_at=asked_at)])
    assert await fresh.pool.fetchval("select open_orders from replica_credit") == 8_000


async def test_repeating_changes_nothing(fresh: Installation) -> None:
    made = await promised(fresh, eight("A"), eight("B"))
    await write(fresh, promise, made)
    assert await sums(fresh) == ({"C1": 16_000}, {("P1", "MAIN"): Decimal(16)})
    for _ in range(2):
        await write(fresh, release, made[:1])
    assert await sums(fresh) == ({"C1": 8_000}, {("P1", "MAIN"): Decimal(8)})
    for _ in range(2):
        await write(fresh, keep, made)
    assert await sums(fresh) == ({}, {})
    assert await fresh.pool.fetchval("select available from replica_stock where product_id = 'P1'") == 92


async def test_an_order_promised_anew_is_promised_what_it_asks_now_beside_those_that_are_new(
    fresh: Installation,
) -> None:
    await promised(fresh, eight("A"))
    policy = fresh.entity.policy
    anew = promise_of(order("A", lines=[line("P1", "3"), line("P2", "1", number=2)]), "erp", policy)
    await write(fresh, promise, [promise_of(eight("B"), "erp", policy), anew])
    assert (await sums(fresh))[1] == {("P1", "MAIN"): Decimal(11), ("P2", "MAIN"): Decimal(1)}


async def test_what_was_promised_is_taken_back_even_if_the_order_has_changed_since(fresh: Installation) -> None:
    await promised(fresh, eight("A"))
    smaller = promise_of(order("A", lines=[line("P1", "1")]), "erp", fresh.entity.policy)
    await write(fresh, release, [smaller])
    assert await sums(fresh) == ({}, {})


async def changed(installation: Installation, before: Order, after: Order, revision: int = 2) -> None:
    """Check a change of an order in force and promise it, as the stage does."""
    [results] = await installation.runner.check(installation.entity, [after], replacing=[before])
    policy = installation.entity.policy
    await write(installation, promise, [promise_of_change(before, after, revision, "erp", policy, results)])


async def test_a_change_promises_only_what_it_takes_more_beside_the_order_itself(fresh: Installation) -> None:
    await promised(fresh, eight("A"))
    await changed(fresh, eight("A"), order("A", lines=[line("P1", "11"), line("P2", "1", number=2)]))
    assert await sums(fresh) == ({"C1": 12_000}, {("P1", "MAIN"): Decimal(11), ("P2", "MAIN"): Decimal(1)})
    await write(fresh, release, promises_of_changes(eight("A"), "erp", [2]))
    assert await sums(fresh) == ({"C1": 8_000}, {("P1", "MAIN"): Decimal(8)})


async def test_a_change_that_takes_less_promises_nothing_and_frees_nothing_yet(fresh: Installation) -> None:
    await promised(fresh, eight("A"))
    await changed(fresh, eight("A"), order("A", lines=[line("P1", "3")]))
    assert await sums(fresh) == ({"C1": 8_000}, {("P1", "MAIN"): Decimal(8)})


async def test_a_kept_change_moves_into_the_replica(fresh: Installation) -> None:
    made = await promised(fresh, eight("A"))
    await write(fresh, keep, made)
    await changed(fresh, eight("A"), order("A", lines=[line("P1", "10")]))
    await write(fresh, keep, promises_of_changes(eight("A"), "erp", [2]))
    assert await sums(fresh) == ({}, {})
    assert await fresh.pool.fetchval("select available from replica_stock where product_id = 'P1'") == 90
    assert await fresh.pool.fetchval("select open_orders from replica_credit") == 10_000


async def test_an_undone_transaction_promises_nothing(fresh: Installation) -> None:
    async with fresh.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await promise(connection, [promise_of(eight("A"), "erp", fresh.entity.policy)])
        await transaction.rollback()
    assert await sums(fresh) == ({}, {})
    assert await fresh.decide(eight("A")) == [Decision.ACCEPT]


async def test_batches_side_by_side_neither_deadlock_nor_lose_a_piece(fresh: Installation) -> None:
    products = ["P1", "P2", "P3"]
    fresh.erp.put(*[Customer(id=f"C{number}", name="N") for number in range(2, 6)])
    await fresh.refresh()

    async def batch(name: str, turn: int) -> None:
        orders = [
            order(
                f"{name}-{index}",
                customer=f"C{1 + (index + turn) % 5}",
                lines=[line(products[(index + turn + at) % 3], "1", number=at + 1) for at in range(3)],
            )
            for index in range(20)
        ]
        made = [promise_of(each, "erp", fresh.entity.policy) for each in (orders if turn % 2 else orders[::-1])]
        await write(fresh, promise, made)
        await write(fresh, keep if turn % 3 else release, made[::-1])

    async with asyncio.timeout(30):
        await asyncio.gather(*(batch(f"batch-{turn}", turn) for turn in range(12)))
    assert await sums(fresh) == ({}, {})
    available = await fresh.pool.fetch("select available from replica_stock order by product_id")
    assert [row[0] for row in available] == [100 - 8 * 20] * 3
