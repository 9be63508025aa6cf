"""Lineage: facts stay in the order in which they happened, whoever wrote them and whatever their clock says."""

from __future__ import annotations

import asyncio

from tests.integration.control.conftest import MakeTransaction

from tallystick.control.lineage import LineageFact, read_lineage, record_facts
from tallystick.store.pool import Pool


async def test_facts_of_one_write_keep_their_order_and_a_later_write_comes_after(
    pool: Pool, make_transaction: MakeTransaction
) -> None:
    transaction_id = await make_transaction()
    async with pool.acquire() as connection:
        first = [LineageFact(transaction_id, "intake", fact) for fact in ("received", "accepted")]
        # Made first, written last: what counts is when it was written.
        early = LineageFact(transaction_id, "commitment", "committed", duration_ms=12.5, detail={"erp": "SO-1"})
        await record_facts(connection, first)
        await asyncio.sleep(0.01)
        await record_facts(connection, [early])
        found = await read_lineage(connection, transaction_id)
    assert [each["fact"] for each in found] == ["received", "accepted", "committed"]
    assert found[0]["seconds_since_previous"] is None
    assert found[1]["seconds_since_previous"] == 0
    assert found[2]["seconds_since_previous"] >= 0.01
    assert (found[2]["duration_ms"], found[2]["detail"]) == (12.5, {"erp": "SO-1"})


async def test_who_waited_for_the_transactions_lock_comes_after_who_held_it(
    pool: Pool, make_transaction: MakeTransaction
) -> None:
    transaction_id = await make_transaction()
    lock = "select 1 from transactions where id = $1 for update"
    async with pool.acquire() as slow, pool.acquire() as fast:
        waiting = slow.transaction()
        await waiting.start()
        await slow.execute("select 1")  # its transaction begins before the other's
        async with fast.transaction():
            await fast.execute(lock, transaction_id)
            held_up = asyncio.create_task(slow.execute(lock, transaction_id))
            await record_facts(fast, [LineageFact(transaction_id, "commitment", "committed")])
        await held_up
        await record_facts(slow, [LineageFact(transaction_id, "intake", "cancellation_asked")])
        await waiting.commit()
        found = await read_lineage(fast, transaction_id)
    assert [each["fact"] for each in found] == ["committed", "cancellation_asked"]
