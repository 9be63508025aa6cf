"""What a claim or a page of a list reads does not grow with what is dead, parked, waits for later or is long finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.integration.mailbox.mailroom import CARRIER, LEASE, ROUTE, message

from tallystick.mailbox.carrier import Deferral
from tallystick.mailbox.dead_letters import MessageFilter, dead_ids, list_messages, replay_messages
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Transient

MANY = 5_000
_FILL = """
    insert into messages (id, entity, stage, system, kind, lane, transaction_id, payload, state, deliveries, available_at)
    select gen_random_uuid(), 'default', 'commitment', 'erp', 'commit_order', lane, lane, '{{"number": 0}}', state, deliveries,
           now() + wait
    from (select gen_random_uuid() as lane from generate_series(1, $1)) lanes,
        (values {rows}) as m (state, deliveries, wait)
"""
_READ = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relname = 'messages'"
DEAD = "('dead', 3, interval '0'), ('parked', 0, interval '0'), ('parked', 0, interval '0')"
WAITING = "('ready', 0, interval '0')"
LATER = "('ready', 1, interval '1 hour'), ('ready', 0, interval '1 hour')"


async def _claim(connection: Connection) -> Any:
    return await CARRIER.claim(connection, ROUTE, limit=10, worker="test", lease=LEASE)


async def _next_due(connection: Connection) -> Any:
    return await CARRIER.next_due(connection, [ROUTE])


async def _list_dead(connection: Connection) -> Any:
    return await list_messages(connection, MessageFilter(["default"], "dead"), limit=10)


async def _dead_ids(connection: Connection) -> Any:
    return await dead_ids(connection, MessageFilter(["default"], stage=ROUTE.stage), limit=10)


async def _of_a_transaction(connection: Connection) -> Any:
    return await list_messages(connection, MessageFilter(transaction_id=new_id()))


async def _offer(connection: Connection) -> Any:
    await CARRIER.offer(connection, [message(number) for number in range(10)])


async def _offer_behind_dead(connection: Connection) -> Any:
    lane = await connection.fetchval("select lane from messages where state = 'dead' limit 1") or new_id()
    await CARRIER.offer(connection, [message(1, lane=lane)])


async def _settle(connection: Connection) -> Any:
    held = await _claim(connection)
    no = Transient("no", system="erp")
    await CARRIER.extend(connection, held, LEASE)
    await CARRIER.finish(connection, held[:2], "test")
    await CARRIER.give_back(connection, held[2:3], LEASE)
    deferrals = [
        Deferral(each, no, LEASE, burn_attempt=True, dead=index % 2 == 0) for index, each in enumerate(held[3:])
    ]
    await CARRIER.defer(connection, deferrals, "test")


async def _replay(connection: Connection) -> Any:
    await replay_messages(connection, await dead_ids(connection, MessageFilter(), limit=1))


Ask = Callable[[Connection], Awaitable[Any]]


async def _fill(connection: Connection) -> None:
    await connection.execute(_FILL.format(rows=DEAD), MANY)
    await connection.execute(_FILL.format(rows=LATER), MANY)
    await connection.execute(_FILL.format(rows=WAITING), 5)


async def _read_by(connection: Connection, ask: Ask) -> tuple[int, int]:
    """How often the whole table was read, and how many of its rows were fetched by an index."""
    async with connection.transaction():
        before = await connection.fetchrow(_READ)
        await ask(connection)
        after = await connection.fetchrow(_READ)
    assert before is not None
    assert after is not None
    return after["seq_scan"] - before["seq_scan"], after["idx_tup_fetch"] - before["idx_tup_fetch"]


@pytest.mark.parametrize("ask", [_claim, _settle, _next_due, _offer, _offer_behind_dead, _replay])
async def test_what_a_worker_reads_is_bounded_even_by_a_plan_of_an_empty_table(mailbox: Pool, ask: Ask) -> None:
    async with mailbox.acquire() as connection:
        await connection.execute("analyze messages")  # it is empty, says the planner's book from now on
        for _ in range(8):  # from the sixth time on a plan is kept
            await ask(connection)
        await _fill(connection)
        whole, rows = await _read_by(connection, ask)
    assert whole == 0
    assert rows < 100


@pytest.mark.parametrize("ask", [_list_dead, _dead_ids, _of_a_transaction])
async def test_a_page_of_a_list_reads_a_page(mailbox: Pool, ask: Ask) -> None:
    async with mailbox.acquire() as connection:
        await _fill(connection)
        await connection.execute("analyze messages")
        whole, rows = await _read_by(connection, ask)
    assert whole == 0
    assert rows < 100
