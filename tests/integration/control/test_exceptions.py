"""The work queue: one open item a message, sorted and paged, changed by whoever read it last, closed once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.integration.control.conftest import MakeTransaction

from tallystick.control.exceptions import (
    SORTS,
    Closing,
    ExceptionConflict,
    ExceptionOpening,
    ExceptionResolved,
    Holding,
    assign_exception,
    close_decided,
    early_messages,
    holdings,
    list_exceptions,
    lock_exception,
    note_exception,
    open_exceptions,
    read_exception,
    resolve_exceptions,
)
from tallystick.store.pool import Connection, Pool


def opening(**changes: Any) -> ExceptionOpening:
    made = ExceptionOpening(
        "east", "order.held", "intake", "order 1 is held", money_at_risk=500, currency="USD", due_in=timedelta(hours=4)
    )
    return replace(made, **changes)


async def opened(connection: Connection, **changes: Any) -> UUID:
    made = opening(**changes)
    assert await open_exceptions(connection, [made]) == {made.id}
    return made.id


async def test_a_message_has_one_open_exception_and_a_new_one_after_that_was_closed(pool: Pool) -> None:
    message = uuid4()
    async with pool.acquire() as connection:
        first = await opened(connection, message_id=message)
        await assign_exception(connection, first, "mary")
        assert await open_exceptions(connection, [opening(message_id=message, summary="again")]) == set()
        shown = await read_exception(connection, first, None)
        assert shown is not None
        assert (shown["owner"], shown["summary"]) == ("mary", "order 1 is held")
        assert await resolve_exceptions(connection, by="mary", resolution="retried", message_ids=[message]) == 1
        assert await resolve_exceptions(connection, by="mary", resolution="retried", message_ids=[message]) == 0
        second = await opened(connection, message_id=message)
        assert second != first


async def test_a_message_that_fails_again_comes_back_to_its_owner_with_what_was_noted(
    pool: Pool, make_transaction: MakeTransaction
) -> None:
    transaction_id, message = await make_transaction(), uuid4()
    async with pool.acquire() as connection:
        first = await opened(connection, transaction_id=transaction_id, message_id=message, type="commitment.rejected")
        await assign_exception(connection, first, "mary")
        await note_exception(connection, first, "mary", "comment", "product is created now")
        await resolve_exceptions(connection, by="mary", resolution="retried", message_ids=[message])
        second = await opened(connection, transaction_id=transaction_id, message_id=message, type="commitment.rejected")
        other = await opened(connection, transaction_id=transaction_id, message_id=uuid4(), type="commitment.rejected")
        await note_exception(connection, second, "mary", "comment", "it was another one")
        notes = {}
        for each in (first, second, other):
            shown = await read_exception(connection, each, None)
            assert shown is not None
            notes[each] = (shown["owner"], [note["note"] for note in shown["notes"]])
    earlier = "product is created now"
    assert notes == {first: ("mary", [earlier]), second: ("mary", [earlier, "it was another one"]), other: (None, [])}


async def test_it_is_due_after_the_time_that_policy_gives(pool: Pool) -> None:
    async with pool.acquire() as connection:
        shown = await read_exception(connection, await opened(connection), ["east"])
    assert shown is not None
    due_in: timedelta = shown["due_at"] - datetime.now(UTC)
    assert timedelta(hours=3, minutes=59) < due_in < timedelta(hours=4, seconds=1)


async def test_other_entities_see_nothing_of_it(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await opened(connection)
        assert await read_exception(connection, made, ["west"]) is None
        assert await lock_exception(connection, made, ["west"]) is None
        assert await list_exceptions(connection, ["west"]) == []
        assert len(await list_exceptions(connection, ["east", "west"])) == 1


async def test_a_change_names_the_version_that_was_read(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await opened(connection)
        await note_exception(connection, made, "mary", "comment", "asked sales")
        with pytest.raises(ExceptionConflict, match="version 2"):
            await lock_exception(connection, made, None, 1)
        assert await lock_exception(connection, made, None, 2) is not None
        await resolve_exceptions(connection, by="mary", resolution="resolved", exception_ids=[made])
        with pytest.raises(ExceptionResolved, match="'resolved' by mary"):
            await lock_exception(connection, made, None)


@pytest.mark.parametrize("sort", sorted(SORTS))
async def test_pages_of_every_sorting_hold_each_item_once_and_in_order(pool: Pool, sort: str) -> None:
    async with pool.acquire() as connection:
        for number in range(7):
            due, money = timedelta(hours=number * 3 % 7), number * 5 % 7 // 2  # some alike
            await opened(connection, due_in=due, money_at_risk=money)
        seen: list[Any] = []
        after = None
        while page := await list_exceptions(connection, None, sort=sort, after=after, limit=3):
            seen += page
            after = (page[-1][SORTS[sort].column], page[-1]["id"])
    values = [each[SORTS[sort].column] for each in seen]
    assert len({each["id"] for each in seen}) == len(seen) == 7
    assert values == sorted(values, reverse=sort == "money")


async def test_the_queue_is_filtered_by_type_owner_transaction_and_due_time(
    pool: Pool, make_transaction: MakeTransaction
) -> None:
    transaction_id = await make_transaction()
    async with pool.acquire() as connection:
        late = await opened(connection, due_in=timedelta(hours=-1))
        mine = await opened(connection, type="invoice.differs", transaction_id=transaction_id)
        await assign_exception(connection, mine, "mary")

        async def found(**wanted: Any) -> list[UUID]:
            return [each["id"] for each in await list_exceptions(connection, None, **wanted)]

        assert await found(type="invoice.differs") == await found(owner="mary") == [mine]
        assert await found(transaction_id=transaction_id) == [mine]
        assert await found(due_before=datetime.now(UTC)) == [late]
        await resolve_exceptions(connection, by="mary", resolution="resolved", exception_ids=[late])
        assert await found() == [mine]
        assert await found(state=None) == [late, mine]


async def test_a_new_decision_closes_what_intake_and_commitment_opened_and_nothing_else(
    pool: Pool, make_transaction: MakeTransaction
) -> None:
    transaction_id, other = await make_transaction(), await make_transaction()
    async with pool.acquire() as connection:
        held = await opened(connection, transaction_id=transaction_id)
        refused = await opened(connection, transaction_id=transaction_id, stage="commitment", message_id=uuid4())
        goods = await opened(connection, transaction_id=transaction_id, stage="fulfilment", message_id=uuid4())
        elsewhere = await opened(connection, transaction_id=other)
        await close_decided(connection, [Closing(transaction_id, "mary", "cancelled", "too dear")])
        still = {each["id"] for each in await list_exceptions(connection, None)}
        assert still == {goods, elsewhere}
        for closed in (held, refused):
            shown = await read_exception(connection, closed, None)
            assert shown is not None
            assert (shown["resolved_by"], shown["resolution"], shown["resolution_reason"]) == (
                "mary",
                "cancelled",
                "too dear",
            )


async def test_only_open_early_messages_are_taken_up_again(pool: Pool, make_transaction: MakeTransaction) -> None:
    transaction_id = await make_transaction()
    early, dead, done = uuid4(), uuid4(), uuid4()
    async with pool.acquire() as connection:
        for message, kind in ((early, "settlement.early"), (dead, "settlement.rejected"), (done, "fulfilment.early")):
            await opened(connection, transaction_id=transaction_id, message_id=message, type=kind)
        await resolve_exceptions(connection, by="mary", resolution="retried", message_ids=[done])
        assert await early_messages(connection, [transaction_id]) == [early]
        assert await early_messages(connection, []) == []


async def test_the_codes_that_hold_an_order_are_those_of_its_open_exception(
    pool: Pool, make_transaction: MakeTransaction
) -> None:
    transaction_id, free = await make_transaction(), await make_transaction()
    reasons = ({"code": "credit.on_hold"}, {"code": "price.below_list"})
    async with pool.acquire() as connection:
        context = {"overridden": ["tax.differs"]}
        await opened(connection, transaction_id=transaction_id, reasons=reasons, context=context)
        found = await holdings(connection, [transaction_id, free])
    codes = frozenset({"credit.on_hold", "price.below_list"})
    assert found == {transaction_id: Holding(codes, frozenset({"tax.differs"}))}
