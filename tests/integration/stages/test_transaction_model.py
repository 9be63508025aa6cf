"""A transaction's life beside a pure model: whatever comes, in whatever order, and however the outside fails, they agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.conftest import MakeDatabase
from tests.integration.checks.memory_systems import line, order
from tests.integration.machines import model_timeout, run_length
from tests.integration.stages.memory_office import (
    BY_DOCUMENTS,
    DEAD_WITHOUT_EXCEPTION,
    PROMISES_THAT_DO_NOT_ADD_UP,
    Office,
)
from tests.integration.stages.memory_outside import PRICE, SOFT
from tests.integration.stages.modelled_transaction import MAXIMUM_ATTEMPTS, OPERATIONS, ModelledTransaction, Sent

from tallystick.control.access import ALL_ENTITIES, Principal
from tallystick.documents.order import Order
from tallystick.stages.changes import cancel_order, change_order
from tallystick.stages.impossible import NotPossible
from tallystick.stages.resolution import amend_exception, override_exception, reject_exception, retry_exception
from tallystick.stages.transactions import read_transactions
from tallystick.store.pool import JsonText, Pool, open_pool

Value = TypeVar("Value")
CLERK = Principal("clerk", frozenset({"admin"}), frozenset({ALL_ENTITIES}))
AT = "2026-11-25T08:00:00Z"
ORDERS = st.integers(0, 1)
QUANTITIES = st.integers(1, 9)
FAULTS = st.lists(st.sampled_from([*SOFT, "rejected"]), max_size=4)
FACTS = ("shipped", "invoiced", "paid", "credited", "changed", "committed")
AMOUNTS = ("shipped_amount", "invoiced_amount", "credited_amount", "paid_amount")


class TransactionMachine(RuleBasedStateMachine):
    """One or two orders of one customer. What comes is only sent; `work` delivers it, and then both are compared."""

    loop: asyncio.AbstractEventLoop
    pool: Pool

    def __init__(self) -> None:
        super().__init__()
        self.office = Office(self.pool)
        self.ids: list[UUID] = []
        self.models: dict[UUID, ModelledTransaction] = {}
        self.placed: dict[UUID, Order] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.documents: list[tuple[str, str, int, dict[str, Any], str, dict[str, Any]]] = []
        self.told: Counter[UUID] = Counter()
        self.on_hold = False
        self.at_rest = True
        self.seen: dict[UUID, tuple[int, ...]] = {}
        """Amounts that never go down, as they were last."""
        self._do(self.office.open())

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self.loop.run_until_complete(work)

    def _chosen(self, of: int) -> tuple[UUID, ModelledTransaction]:
        transaction_id = self.ids[min(of, len(self.ids) - 1)]
        return transaction_id, self.models[transaction_id]

    @initialize(quantity=QUANTITIES, faults=FAULTS)
    def submit(self, quantity: int, faults: list[str]) -> None:
        """An order at its list price, held where its customer is; and how the ERP's first answers go wrong."""
        placed = order(f"SO-{len(self.ids)}", channel="crm", lines=[line(quantity=str(quantity))])
        transaction_id, decision = self._do(self.office.submit(placed))
        assert decision == ("hold" if self.on_hold else "accept")
        model = ModelledTransaction(quantity, "held", {})
        if not self.on_hold:
            model.accept()
        self.ids.append(transaction_id)
        self.models[transaction_id], self.placed[transaction_id] = model, placed
        self._plan(transaction_id, "commit_order", faults)
        self.at_rest = False

    @precondition(lambda self: len(self.ids) == 1)
    @rule(quantity=QUANTITIES, faults=FAULTS)
    def submit_another(self, quantity: int, faults: list[str]) -> None:
        """A second order beside the first."""
        self.submit(quantity, faults)

    @rule(
        of=ORDERS,
        operation=st.sampled_from([*OPERATIONS.values(), "change_order", "cancel_order", "cancel_shipment"]),
        faults=FAULTS,
    )
    def plan_faults(self, of: int, operation: str, faults: list[str]) -> None:
        """How the next answers for this order go wrong; a change or a cancellation is refused at the worst."""
        if operation not in OPERATIONS.values():
            soft = [each for each in faults if each in SOFT][: MAXIMUM_ATTEMPTS - 1]
            faults = soft + ["rejected"] * ("rejected" in faults)
        self._plan(self._chosen(of)[0], operation, faults)

    def _plan(self, transaction_id: UUID, operation: str, faults: list[str]) -> None:
        self.office.book.plan[operation, transaction_id.hex] = list(faults)
        self.models[transaction_id].plan[operation] = list(faults)

    @precondition(lambda self: any(each.shipped < each.quantity for each in self.models.values()))
    @rule(of=ORDERS, data=st.data(), final=st.sampled_from([False, False, True]))
    def ship_what_is_open(self, of: int, data: st.DataObject, final: bool) -> None:
        """Goods leave as they should: some of what is open, or all."""
        _, model = self._chosen(of)
        left = model.quantity - model.shipped - sum(each.content["quantity"] for each in model.lanes["fulfilment"])
        if left > 0:
            self._ship(of, f"T{len(self.events)}", data.draw(st.integers(1, left) | st.just(left)), final)

    @rule(of=ORDERS, quantity=QUANTITIES, final=st.booleans(), again=st.integers(0, 2))
    def ship_anything(self, of: int, quantity: int, final: bool, again: int) -> None:
        """The warehouse says that goods left: too soon, too late, too many, or what it has said before under another id."""
        self._ship(of, f"S{again}", quantity, final)

    def _ship(self, of: int, name: str, quantity: int, final: bool) -> None:
        lines = [{"line_number": 1, "product_id": "P1", "quantity": str(quantity)}]
        data = {"number": f"{name}-{quantity}", "shipped_at": AT, "lines": lines, "final": final}
        self._tell("wms", "shipment.dispatched", of, data, "fulfilment", {"quantity": quantity, "final": final})

    @precondition(lambda self: any(each.invoices for each in self.models.values()))
    @rule(of=ORDERS, data=st.data(), more=st.sampled_from([-500, 0, 0, 500]))
    def pay_what_is_open(self, of: int, data: st.DataObject, more: int) -> None:
        """Money for an invoice that is known: all of it, or a little less or more."""
        _, model = self._chosen(of)
        if model.invoices:
            invoice = data.draw(st.sampled_from(sorted(model.invoices)))
            self._pay(of, f"Q{len(self.events)}", max(500, model.invoices[invoice] + more), invoice)

    @rule(
        of=ORDERS,
        amount=st.sampled_from([500, 3_000]),
        invoice=st.sampled_from([None, "INV-S1-2"]),
        again=st.integers(0, 2),
    )
    def pay_anything(self, of: int, amount: int, invoice: str | None, again: int) -> None:
        """Money for no invoice, or for one that is to come or never was; under a number that was there, perhaps."""
        self._pay(of, f"P{again}", amount, invoice)

    def _pay(self, of: int, number: str, amount: int, invoice: str | None) -> None:
        data = {"number": number, "currency": "USD", "amount": amount, "paid_at": AT, "invoice_number": invoice}
        self._tell("payments", "payment.received", of, data, "settlement", {"amount": amount, "invoice": invoice})

    @rule(of=ORDERS, quantity=st.integers(1, 3), again=st.integers(0, 3))
    def send_back(self, of: int, quantity: int, again: int) -> None:
        """Goods come back, perhaps before we know that they left, or more than that."""
        lines = [{"line_number": 1, "product_id": "P1", "quantity": str(quantity)}]
        data = {"number": f"R{again}", "received_at": AT, "lines": lines}
        self._tell("wms", "return.received", of, data, "returns", {"quantity": quantity})

    @precondition(lambda self: any(each.invoices for each in self.models.values()))
    @rule(of=ORDERS)
    def invoice_arrives(self, of: int) -> None:
        """The ERP tells of what it has posted for an order, whether we had its answer or not."""
        transaction_id, _ = self._chosen(of)
        for (operation, reference), [invoice] in list(self.office.book.done.items()):
            if operation == "invoice_shipment" and transaction_id.hex in reference:
                data = invoice.model_dump(mode="json", exclude_none=True)
                self._tell("erp", "invoice.posted", of, data, "invoicing", {"posted": True})

    def _tell(self, system: str, kind: str, of: int, data: dict[str, Any], stage: str, sent: dict[str, Any]) -> None:
        transaction_id, model = self._chosen(of)
        self._event(system, kind, data, subject=str(transaction_id))
        self.documents.append((system, kind, of, data, stage, sent))
        self.told[transaction_id] += 1
        model.lanes[stage].append(Sent(str(data["number"]), sent))
        self.at_rest = False

    def _event(self, system: str, kind: str, data: dict[str, Any], **more: str) -> None:
        name = {"id": f"E{len(self.events)}", "source": f"/systems/{system}", "type": f"tallystick.{kind}.v1"}
        event = {"specversion": "1.0", "data": data, **name, **more}
        assert self._do(self.office.tell(system, event)) == "event.taken"
        self.events.append((system, event))

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def repeat_an_event(self, data: st.DataObject) -> None:
        """It changes nothing; its id with other content is refused."""
        system, event = data.draw(st.sampled_from(self.events))
        assert self._do(self.office.tell(system, event)) == "event.repeated"
        other = event | {"data": event["data"] | {"number": "OTHER"}}
        assert self._do(self.office.tell(system, other)) == "event.id_reused"

    @precondition(lambda self: self.documents)
    @rule(data=st.data())
    def repeat_a_document(self, data: st.DataObject) -> None:
        """What was told before is told again as news."""
        self._tell(*data.draw(st.sampled_from(self.documents)))

    @precondition(lambda self: not self.at_rest)
    @rule()
    def deliver(self) -> None:
        """Everything that has come so far."""
        self.work()

    def work(self) -> None:
        """Everything is delivered, and tried again, until nothing moves."""
        self._do(self.office.work())
        for model in self.models.values():
            model.work()
        self.at_rest = True

    @rule(on_hold=st.sampled_from([True, False, False]))
    def hold_credit(self, on_hold: bool) -> None:
        """Finance places or releases a credit hold; a release lets held orders go on."""
        self.work()
        kind = "credit.hold_placed" if on_hold else "credit.hold_released"
        self._event("erp", kind, {"customer_id": "C1", "on_hold": on_hold})
        for model in self.models.values():
            if self.on_hold and not on_hold and model.intake == "held":
                model.accept()
        self.on_hold = on_hold
        self.work()

    @rule(of=ORDERS, act=st.sampled_from(["change", "change", "cancel"]), quantity=QUANTITIES)
    def channel_asks(self, of: int, act: str, quantity: int) -> None:
        """Another quantity is wanted, or nothing any more: asked when nothing moves."""
        self.work()
        self._ask(*self._chosen(of), act, quantity)
        self.work()

    @precondition(lambda self: any(each.exceptions for each in self.models.values()))
    @rule(of=ORDERS, data=st.data(), quantity=QUANTITIES)
    def person_works(self, of: int, data: st.DataObject, quantity: int) -> None:
        """Somebody does what can be done with what stands before them."""
        self.work()
        transaction_id, model = self._chosen(of)
        dead = {stage: lane[0] for stage, lane in model.lanes.items() if lane and lane[0].verdict not in ("", "early")}
        acts = ["retry", "replay", "discard"] if dead else []
        acts += ["amend"] if "fulfilment" in dead else []
        acts += ["override", "reject"] if model.intake == "held" else []
        acts += ["reject"] if "commitment" in dead and model.undecided else []
        act = data.draw(st.sampled_from(acts or ["nothing"]))
        if act in ("override", "reject"):
            self._decide(transaction_id, model, act)
        elif act == "amend":
            self._amend(transaction_id, model, quantity)
        elif act != "nothing":
            self._work_on_dead_letters(transaction_id, model, act)
        self.work()

    def _ask(self, transaction_id: UUID, model: ModelledTransaction, act: str, quantity: int) -> None:
        by: Any = {"expected_version": self._do(self.office.version(transaction_id)), "principal": "sales"}
        asked: Coroutine[Any, Any, Any]
        agreed: Callable[[], None]
        if act == "cancel":
            asked, agreed = cancel_order(self.office.flow, transaction_id, reason="no", **by), model.cancel
        else:
            changed = self.placed[transaction_id].model_copy(update={"lines": (line(quantity=str(quantity)),)})
            body = JsonText(changed.model_dump_json(exclude_none=True).encode())
            asked = change_order(self.office.flow, transaction_id, changed, body, **by)
            agreed = lambda: model.change(quantity, self.on_hold)  # noqa: E731 - the other one has a name
        impossible = model.impossible()
        if act == "change" and self.on_hold and impossible == "order.outcome_unknown":
            impossible = None  # the checks hold it before anybody asks what became of the order
        if impossible is None:
            self._do(asked)
            agreed()
            return
        with pytest.raises(NotPossible) as refused:
            self._do(asked)
        assert refused.value.code == impossible

    def _work_on_dead_letters(self, transaction_id: UUID, model: ModelledTransaction, act: str) -> None:
        """All that failed for good is tried again, by its exception or its message, or what the ERP did not do is given up."""
        for stage, lane in model.lanes.items():
            if not lane or lane[0].verdict not in ("rejected", "dead_letter"):
                continue
            exception = self._do(self.office.exception(transaction_id, f"{stage}.{lane[0].verdict}", OPERATIONS[stage]))
            if act == "retry":
                self._do(retry_exception(self.office.flow, exception, CLERK))
                model.retry(stage)
            elif act == "replay":
                self._do(self.office.replay(exception))
                model.retry(stage)
            elif (stage, lane[0].number) not in model.outside:
                self._do(self.office.discard(exception))
                model.discard(stage)

    def _amend(self, transaction_id: UUID, model: ModelledTransaction, quantity: int) -> None:
        """A shipment that did not fit is corrected."""
        lane = model.lanes["fulfilment"]
        if not lane or lane[0].verdict != "rejected":
            return
        exception = self._do(self.office.exception(transaction_id, "fulfilment.rejected", "record_shipment"))
        number = f"A{len(self.events)}-{quantity}"
        lines = [{"line_number": 1, "product_id": "P1", "quantity": str(quantity)}]
        payload = {"shipment": {"number": number, "shipped_at": AT, "lines": lines}, "sender": "wms"}
        self._do(amend_exception(self.office.flow, exception, CLERK, payload=payload, reason="counted again"))
        model.amend("fulfilment", number, {"quantity": quantity, "final": False})

    def _decide(self, transaction_id: UUID, model: ModelledTransaction, act: str) -> None:
        """A held order passes, or goes back to its channel, as does one that the ERP refused."""
        if act == "override":
            exception = self._do(self.office.exception(transaction_id, "order.held"))
            self._do(override_exception(self.office.flow, exception, CLERK, codes=None, reason="they will pay"))
            model.accept()
        else:
            kind = "order.held" if model.intake == "held" else "commitment.rejected"
            exception = self._do(self.office.exception(transaction_id, kind))
            self._do(reject_exception(self.office.flow, exception, CLERK, reason="not this one"))
            model.reject()

    # What holds after every step.

    @invariant()
    def nothing_is_done_twice_outside(self) -> None:
        twice = [place for place, done in self.office.book.done.items() if len(done) > 1]
        assert twice == []

    @invariant()
    def amounts_and_states_are_those_of_the_documents(self) -> None:
        rows = self._do(self.pool.fetch(BY_DOCUMENTS))
        for row in rows:
            amounts = tuple(row[name] for name in AMOUNTS)
            assert amounts == tuple(row["documents_" + name] or 0 for name in AMOUNTS)
            before = self.seen.get(row["id"], (0, 0, 0, 0))
            assert all(now >= then for now, then in zip(amounts, before, strict=True)), (before, amounts)
            self.seen[row["id"]] = amounts

    @invariant()
    def sums_are_those_of_the_open_promises(self) -> None:
        assert self._do(self.pool.fetch(PROMISES_THAT_DO_NOT_ADD_UP)) == []

    @invariant()
    def every_failure_is_before_a_person(self) -> None:
        assert self._do(self.pool.fetch(DEAD_WITHOUT_EXCEPTION)) == []

    @invariant()
    def at_rest_they_agree(self) -> None:
        """States, amounts, revision, promises, exceptions and lineage, of every order."""
        if not self.at_rest:
            return
        for transaction_id, model in self.models.items():
            self._do(self._agrees(transaction_id, model))

    async def _agrees(self, transaction_id: UUID, model: ModelledTransaction) -> None:
        async with self.pool.acquire() as connection:
            found = (await read_transactions(connection, [transaction_id]))[transaction_id]
        states = {name: getattr(found, name).value for name in model.states}
        amounts = {name: getattr(found, name) for name in model.amounts}
        assert (states, amounts, found.order_revision) == (model.states, model.amounts, model.revision)
        exceptions = await self.pool.fetch(
            "select type from exceptions where transaction_id = $1 and state = 'open'", transaction_id
        )
        assert Counter(row["type"] for row in exceptions) == model.exceptions
        promised = await self.pool.fetchval(
            "select coalesce(sum(amount), 0)::int from promises where split_part(order_number, chr(31), 1) = $1",
            found.order_number,
        )
        assert promised == model.promised * PRICE
        facts = await self.pool.fetch("select stage, fact from lineage where transaction_id = $1", transaction_id)
        counted = Counter(row["fact"] for row in facts)
        assert {name: counted[name] for name in FACTS} == model.facts
        assert (counted["event_received"], counted["received"]) == (self.told[transaction_id], 1)
        waiting = await self.pool.fetch(
            "select stage, state from messages where transaction_id = $1 and state = 'ready'", transaction_id
        )
        assert waiting == []


@pytest.fixture
async def office_url(make_database: MakeDatabase) -> AsyncIterator[str]:
    async with make_database() as url:
        yield url


@model_timeout
def test_a_transaction_lives_as_the_model_does(office_url: str) -> None:
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(open_pool(office_url, size=4))
    machine = type("Machine", (TransactionMachine,), {"loop": loop, "pool": pool})
    try:
        run_state_machine_as_test(machine, settings=run_length(examples=12, steps=25))
    finally:
        loop.run_until_complete(pool.close())
        loop.close()
