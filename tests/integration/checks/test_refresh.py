"""The change feed becomes the replica: as a whole, once, and credit holds are told to whoever must know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.integration.checks.conftest import Installation
from tests.integration.checks.memory_systems import entity, order

from tallystick.checks.refresh import Hold, apply_holds, refresh_replicas
from tallystick.documents.party import CreditPosition
from tallystick.settings import FactsPolicy
from tallystick.store.pool import Connection
from tallystick.systems.failure import Transient, Unavailable
from tallystick.systems.ports import Changes


def credit(on_hold: bool) -> CreditPosition:
    return CreditPosition(customer_id="C1", currency="USD", limit=100_000, on_hold=on_hold)


async def state(installation: Installation) -> tuple[str, bool, int]:
    row = await installation.pool.fetchrow("select cursor, complete, masters from replica_feeds where system = 'erp'")
    assert row is not None
    return row[0], row[1], row[2]


async def test_all_pages_are_read_and_the_replica_is_complete_only_after_the_last(installation: Installation) -> None:
    installation.erp.page = 4
    applied, holds = await refresh_replicas(installation.pool, "erp", installation.erp)
    assert (applied, holds) == (11, [])
    assert (await state(installation))[:2] == ("11", True)
    assert await installation.pool.fetchval("select count(*) from replica_products") == 3


async def test_a_feed_that_breaks_off_goes_on_from_the_last_page_that_was_applied(installation: Installation) -> None:
    installation.erp.page = 4
    read = installation.erp.read_changes

    async def away_at_the_third_page(cursor: str | None) -> Changes:
        if cursor == "8":
            raise Unavailable("away", system="erp")
        return await read(cursor)

    installation.erp.read_changes = away_at_the_third_page  # type: ignore[method-assign]  # the fault
    with pytest.raises(Unavailable):
        await installation.refresh()
    assert (await state(installation))[:2] == ("8", False)
    installation.erp.read_changes = read  # type: ignore[method-assign]  # healed
    assert (await refresh_replicas(installation.pool, "erp", installation.erp))[0] == 3
    assert (await state(installation))[:2] == ("11", True)


async def test_masters_count_as_changed_only_when_they_did(fresh: Installation) -> None:
    before = await state(fresh)
    fresh.erp.put(fresh.erp.customers["C1"], fresh.erp.products["P1"], credit(on_hold=False))
    await fresh.refresh()
    assert (await state(fresh))[2] == before[2]
    fresh.erp.put(*fresh.erp.prices.values())
    await fresh.refresh()
    assert (await state(fresh))[2] > before[2]


async def test_an_empty_page_makes_the_replica_fresh_again(fresh: Installation) -> None:
    await fresh.grow_old(1_000)
    await fresh.refresh()
    [results] = await fresh.check(order())
    assert results["customer"].source == "replica"


async def test_one_process_at_a_time_reads_a_feed(installation: Installation) -> None:
    installation.erp.delay = 0.2
    results = await asyncio.gather(*(refresh_replicas(installation.pool, "erp", installation.erp) for _ in range(3)))
    assert sorted(applied for applied, _ in results) == [0, 0, 11]
    assert installation.erp.calls == [("read_changes", 0)]


async def test_a_feed_that_stays_where_it_is_ends_with_an_error(installation: Installation) -> None:
    async def stuck(cursor: str | None) -> Changes:
        return Changes((), "5", more=True)

    installation.erp.read_changes = stuck  # type: ignore[method-assign]  # the fault
    async with asyncio.timeout(5):
        with pytest.raises(Transient, match="stays at '5'"):
            await installation.refresh()


async def test_holds_placed_and_released_are_told_once_in_the_transaction_that_applies_them(
    fresh: Installation,
) -> None:
    told: list[Hold] = []

    async def announce(connection: Connection, holds: Sequence[Hold]) -> None:
        assert connection.is_in_transaction()
        told.extend(holds)

    for on_hold in (True, True, False):
        fresh.erp.put(credit(on_hold))
        await refresh_replicas(fresh.pool, "erp", fresh.erp, announce)
    assert told == [("C1", True), ("C1", False)]


async def test_a_hold_that_could_not_be_told_is_told_at_the_next_time(fresh: Installation) -> None:
    async def fails(_: Connection, __: Sequence[Hold]) -> None:
        raise RuntimeError("no")

    fresh.erp.put(credit(on_hold=True))
    with pytest.raises(RuntimeError):
        await refresh_replicas(fresh.pool, "erp", fresh.erp, fails)
    assert (await refresh_replicas(fresh.pool, "erp", fresh.erp))[1] == [("C1", True)]


async def test_a_live_answer_does_not_swallow_the_news_of_a_hold(fresh: Installation) -> None:
    fresh.erp.put(credit(on_hold=True))
    fresh.entity = entity(credit=FactsPolicy(source="live"))
    await fresh.check(order())
    assert await fresh.pool.fetchval("select on_hold from replica_credit")
    assert (await refresh_replicas(fresh.pool, "erp", fresh.erp))[1] == [("C1", True)]


async def say(installation: Installation, *holds: Hold) -> list[Hold]:
    """The ERP's word on holds, outside of its feed."""
    async with installation.pool.acquire() as connection, connection.transaction():
        return await apply_holds(connection, "erp", holds)


async def test_a_hold_outside_the_feed_counts_at_once_and_is_told_once(fresh: Installation) -> None:
    assert await fresh.check(order())  # what is cached of the customer must not outlive the word
    assert await say(fresh, ("C1", True)) == [("C1", True)]
    assert await say(fresh, ("C1", True)) == []
    [results] = await fresh.check(order())
    assert [reason.code for reason in results["credit"].reasons] == ["credit.on_hold"]
    fresh.erp.put(credit(on_hold=True))
    assert (await refresh_replicas(fresh.pool, "erp", fresh.erp))[1] == []
    assert await say(fresh, ("C1", True), ("C1", False)) == [("C1", False)]
    [results] = await fresh.check(order())
    assert results["credit"].reasons == ()


async def test_a_hold_of_a_customer_that_the_replica_does_not_know_is_told(fresh: Installation) -> None:
    assert await say(fresh, ("NEW", True)) == [("NEW", True)]
    assert await fresh.pool.fetchval("select count(*) from replica_credit where customer_id = 'NEW'") == 0
