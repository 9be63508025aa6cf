"""What all stages share, at the moments that a running worker hits only by chance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tallystick.documents.transaction import FulfilmentState, IntakeState
from tallystick.mailbox.carrier import Deferral, Route
from tallystick.mailbox.messages import Delivery, Done, Message
from tallystick.settings import Entity, Settings, SystemSettings
from tallystick.stages.early import Early
from tallystick.stages.flow import Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.stage import Result, Stage, Work, wait_outside
from tallystick.stages.transactions import TransactionChange, apply_changes, read_transactions
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool
from tallystick.systems.failure import Rejected, Transient

ROUTE = Route("settlement", "erp")


class Kit:
    """A stage of one kind on an empty database, and its mailbox worked by hand."""

    def __init__(self, pool: Pool) -> None:
        settings = Settings(systems={"erp": SystemSettings(kind="sandbox_erp")}, entities={"default": Entity()})
        self.pool = pool
        self.flow = Flow(pool, settings, {})
        self.seen: list[Work] = []
        self.answer: Result = Done(Outcome())
        self.stage = Stage("settlement", self.flow, {"record_payment": self._record})

    async def _record(self, _flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
        self.seen += works
        return [self.answer] * len(works)

    async def transaction(self) -> UUID:
        transaction_id = new_id()
        body = {
            "channel": "crm",
            "order_number": "1",
            "customer_id": "C-1",
            "currency": "USD",
            "ordered_at": "2026-11-24T00:00:00Z",
            "lines": [{"line_number": 1, "product_id": "P", "quantity": "1", "unit_price": "10"}],
        }
        await self.pool.execute(
            """
            with made as (
                insert into transactions (id, entity, channel, order_number, customer_id, currency, intake, ordered_amount)
                values ($1, 'default', 'crm', $2, 'C-1', 'USD', 'accepted', 1000))
            insert into documents (transaction_id, type, number, system, body) values ($1, 'order', '1', 'crm', $3)
            """,
            transaction_id,
            transaction_id.hex,
            body,
        )
        return transaction_id

    async def claim(self, transaction_id: UUID, lane: UUID | None = None, kind: str = "record_payment") -> Delivery:
        """A delivery of a new message for this transaction."""
        message = Message("settlement", "erp", kind, lane or transaction_id, {"a": 1}, transaction_id=transaction_id)
        async with self.pool.acquire() as connection:
            await self.flow.carrier.offer(connection, [message])
            [delivery] = await self.flow.carrier.claim(
                connection, ROUTE, limit=1, worker="test", lease=timedelta(seconds=60)
            )
        return delivery

    async def bury(self, delivery: Delivery, failure: Rejected) -> None:
        """As the dispatcher does with what failed for good."""
        async with self.pool.acquire() as connection, connection.transaction():
            deferral = Deferral(delivery, failure, timedelta(0), burn_attempt=True, dead=True)
            await self.flow.carrier.defer(connection, [deferral], "test")
            await self.stage.bury(connection, [(delivery, failure)])

    async def change(self, *changes: TransactionChange) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await apply_changes(connection, changes)

    async def state(self, delivery: Delivery) -> str:
        found: str = await self.pool.fetchval("select state from messages where id = $1", delivery.id)
        return found

    async def exceptions(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("select type, state from exceptions order by opened_at")
        return [(row["type"], row["state"]) for row in rows]


@pytest.fixture
def kit(pool: Pool) -> Kit:
    return Kit(pool)


async def too_early(kit: Kit, transaction_id: UUID) -> Early:
    """The judgement of a stage that reads the transaction now."""
    async with kit.pool.acquire() as connection:
        transaction = (await read_transactions(connection, [transaction_id]))[transaction_id]
    return Early("not yet", system="erp", code="payment.before_invoice", transaction=transaction)


async def test_what_it_waits_for_may_come_between_the_judgement_and_its_record(kit: Kit) -> None:
    transaction_id = await kit.transaction()
    delivery = await kit.claim(transaction_id)
    failure = await too_early(kit, transaction_id)
    await kit.change(TransactionChange(transaction_id, invoiced=1_000))
    await kit.bury(delivery, failure)
    assert (await kit.state(delivery), await kit.exceptions()) == ("ready", [])


async def test_set_aside_it_is_ready_again_with_the_next_change_and_keeps_its_exception_until_done(kit: Kit) -> None:
    transaction_id = await kit.transaction()
    delivery = await kit.claim(transaction_id)
    await kit.bury(delivery, await too_early(kit, transaction_id))
    assert (await kit.state(delivery), await kit.exceptions()) == ("dead", [("settlement.early", "open")])
    async with kit.pool.acquire() as connection, connection.transaction():
        other = Outcome(change=TransactionChange(transaction_id, paid=1))
        await kit.stage.record(connection, [(delivery, other)])
    assert await kit.state(delivery) == "ready"


async def test_early_that_turns_into_a_refusal_gets_an_exception_that_promises_nothing(kit: Kit) -> None:
    transaction_id = await kit.transaction()
    delivery = await kit.claim(transaction_id)
    await kit.bury(delivery, await too_early(kit, transaction_id))
    async with kit.pool.acquire() as connection:
        await connection.execute("update messages set state = 'ready'")
        [again] = await kit.flow.carrier.claim(connection, ROUTE, limit=1, worker="t", lease=timedelta(seconds=60))
    await kit.bury(again, Rejected("never", system="erp"))
    assert await kit.exceptions() == [("settlement.early", "resolved"), ("settlement.rejected", "open")]


async def test_what_waited_outside_goes_to_the_end_of_its_transactions_lane(kit: Kit) -> None:
    transaction_id = await kit.transaction()
    outside = await kit.claim(transaction_id, lane=new_id())
    [answer] = await kit.stage.handle([outside])
    assert isinstance(answer, Done)
    [message] = answer.outcome.messages
    assert (message.lane, message.payload["waited"], message.payload["a"]) == (transaction_id, True, 1)
    assert kit.seen == []
    later = wait_outside(outside, timedelta(seconds=5))
    assert later.lane not in (transaction_id, outside.lane)
    assert later.available_at is not None


async def test_facts_say_how_long_the_outside_took_and_failures_stay_as_they_are(kit: Kit) -> None:
    transaction_id = await kit.transaction()
    delivery = await kit.claim(transaction_id)
    [work] = [Work(delivery, (await dossier_of(kit, transaction_id)))]
    kit.answer = Done(Outcome(facts=(work.fact("settlement", "paid"),)))
    [answer] = await kit.stage.handle([delivery])
    assert isinstance(answer, Done)
    assert answer.outcome.facts[0].duration_ms is not None
    kit.answer = Transient("busy", system="erp")
    assert await kit.stage.handle([delivery]) == [kit.answer]


async def dossier_of(kit: Kit, transaction_id: UUID) -> Any:
    await kit.stage.handle([await kit.claim(await kit.transaction())])
    return kit.seen[-1].dossier


async def test_messages_of_no_known_transaction_or_kind_go_to_a_person(kit: Kit) -> None:
    strange = await kit.claim(await kit.transaction(), kind="dance")
    lost = await kit.claim(new_id())
    answers = await kit.stage.handle([strange, lost])
    assert [each.code if isinstance(each, Rejected) else None for each in answers] == ["message.impossible"] * 2


async def test_a_wholly_shipped_order_stays_so_and_invoicing_follows_from_the_documents(kit: Kit) -> None:
    transaction_id = await kit.transaction()
    await kit.change(TransactionChange(transaction_id, fulfilment=FulfilmentState.COMPLETE, shipped=600))
    await kit.change(TransactionChange(transaction_id, fulfilment=FulfilmentState.PARTIAL, shipped=400))
    async with kit.pool.acquire() as connection:
        found = (await read_transactions(connection, [transaction_id]))[transaction_id]
    assert (found.fulfilment, found.shipped_amount, found.version) == (FulfilmentState.COMPLETE, 1_000, 3)
    await kit.change(TransactionChange(transaction_id, fulfilment=FulfilmentState.CANCELLED))
    async with kit.pool.acquire() as connection:
        found = (await read_transactions(connection, [transaction_id]))[transaction_id]
    assert found.fulfilment is FulfilmentState.CANCELLED


@pytest.mark.parametrize(
    ("invoiced", "credited", "paid", "expected"),
    [
        (0, 0, 0, "none"),
        (0, 0, 500, "partial"),
        (1_000, 0, 0, "none"),
        (1_000, 0, 400, "partial"),
        (1_000, 0, 1_000, "paid"),
        (1_000, 300, 700, "paid"),
        (1_000, 0, 1_001, "overpaid"),
        (1_000, 300, 1_000, "overpaid"),
    ],
)
async def test_settlement_compares_what_was_paid_with_what_is_owed(
    kit: Kit, invoiced: int, credited: int, paid: int, expected: str
) -> None:
    transaction_id = await kit.transaction()
    await kit.change(TransactionChange(transaction_id, invoiced=invoiced, credited=credited))
    await kit.change(TransactionChange(transaction_id, intake=IntakeState.ACCEPTED, paid=paid))
    assert await kit.pool.fetchval("select settlement from transactions") == expected
