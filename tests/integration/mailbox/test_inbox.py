"""Effectively once on the way in: of requests with one key the first decides, however close the second follows."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.mailbox.mailroom import eventually, somebody_waits

from tallystick.mailbox.inbox import Entry, accept_entries, find_entries, forget_entries
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool


def entry(key: str, payload_hash: bytes = b"one", source: str = "web") -> Entry:
    return Entry(source, key, payload_hash, new_id(), 201, {"decision": "accept"})


async def test_what_was_answered_is_found_again(mailbox: Pool) -> None:
    first, other = entry("A"), entry("A", source="edi")
    async with mailbox.acquire() as connection:
        assert await accept_entries(connection, [first, other]) == {("web", "A"), ("edi", "A")}
        assert await find_entries(connection, [("web", "A"), ("web", "B")]) == {("web", "A"): first}
        assert await find_entries(connection, []) == {}
        assert await accept_entries(connection, []) == set()


async def test_a_second_one_is_not_new_and_changes_nothing(mailbox: Pool) -> None:
    first = entry("A")
    async with mailbox.acquire() as connection:
        await accept_entries(connection, [first])
        assert await accept_entries(connection, [entry("A", b"other"), entry("B")]) == {("web", "B")}
        assert (await find_entries(connection, [("web", "A")]))["web", "A"] == first


@pytest.mark.parametrize("commits", [True, False])
async def test_who_comes_second_waits_for_what_becomes_of_the_first(mailbox: Pool, commits: bool) -> None:
    async with mailbox.acquire() as one, mailbox.acquire() as two:
        deciding = one.transaction()
        await deciding.start()
        await accept_entries(one, [entry("A")])
        second = asyncio.create_task(accept_entries(two, [entry("A")]))
        await eventually(lambda: somebody_waits(mailbox))
        await (deciding.commit() if commits else deciding.rollback())
        assert await second == (set() if commits else {("web", "A")})


async def test_batches_that_share_keys_in_another_order_do_not_deadlock(mailbox: Pool) -> None:
    keys = [f"K{number}" for number in range(50)]

    async def accept(order: list[str]) -> int:
        async with mailbox.acquire() as connection, connection.transaction():
            return len(await accept_entries(connection, [entry(key) for key in order]))

    taken = await asyncio.gather(*(accept(keys if turn % 2 else keys[::-1]) for turn in range(8)))
    assert sum(taken) == 50


async def test_old_keys_are_forgotten_a_bounded_number_at_a_time(mailbox: Pool) -> None:
    async with mailbox.acquire() as connection:
        await accept_entries(connection, [entry(f"K{number}") for number in range(5)])
        await connection.execute("update inbox set received_at = now() - interval '8 days' where key <> 'K4'")
        assert [await forget_entries(connection, 7, at_most=3) for _ in range(3)] == [3, 1, 0]
        assert list(await find_entries(connection, [("web", f"K{number}") for number in range(5)])) == [("web", "K4")]
