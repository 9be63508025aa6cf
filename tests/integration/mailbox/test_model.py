"""The mailbox beside a model of a few lines: whatever is offered, claimed, settled, replayed or discarded, they agree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.integration.machines import model_timeout, run_length
from tests.integration.mailbox.mailroom import CARRIER, LEASE, ROUTE, live, message

from tallystick.mailbox.breaker import Breakers, pause_system, resume_system
from tallystick.mailbox.dead_letters import discard_messages, queue_depths, replay_messages
from tallystick.mailbox.messages import Delivery
from tallystick.mailbox.retry import plan_retry
from tallystick.settings import SystemSettings, Worker
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown

Value = TypeVar("Value")
NOW, LATER = timedelta(0), timedelta(hours=1)
SETTINGS = Worker(maximum_attempts=3, backoff_seconds=3_600, backoff_limit_seconds=3_600)
"""What is tried again is tried again when the model says that time passes."""
FAILURES = (Rejected, Rejected, Throttled, Unavailable, Transient, Unknown)
BURNING = (Transient, Unknown)


@dataclass
class Modelled:
    """A live message as the model has it."""

    id: UUID
    payload: int
    due: bool = True
    state: str = "waiting"
    """waiting, in hand or dead"""
    claimed: bool = False
    """By a delivery that has neither settled it nor given it back, be its lease over or not."""
    deliveries: int = 0
    attempts: int = 0
    failed: str | None = None
    """The kind of the last failure."""


class MailboxMachine(RuleBasedStateMachine):
    """Two lanes; a model lane is a list, and only its first message may be anything but waiting."""

    loop: asyncio.AbstractEventLoop
    pool: Pool
    held: Bundle[tuple[Modelled, Delivery]] = Bundle("held")
    lost: Bundle[Delivery] = Bundle("lost")

    def __init__(self) -> None:
        super().__init__()
        self.lanes: dict[UUID, list[Modelled]] = {new_id(): [] for _ in range(2)}
        self.numbers = 0
        self.paused = False
        self.over: dict[UUID, tuple[str, int, int]] = {}
        """Outcome, deliveries and attempts of what is not live any more."""
        self.failures: list[tuple[UUID, int, str]] = []
        """Each failed attempt: the message, its delivery, the kind of failure."""
        self._do(self.pool.execute("truncate messages, message_attempts, message_log, system_states restart identity"))
        self.breakers = Breakers(self.pool, {ROUTE.system: SystemSettings(kind="test")})
        self._do(self._in_transaction(self.breakers.learn))

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self.loop.run_until_complete(work)

    async def _in_transaction(self, act: Any) -> Any:
        async with self.pool.acquire() as connection, connection.transaction():
            return await act(connection)

    def _heads(self) -> list[Modelled]:
        return [lane[0] for lane in self.lanes.values() if lane]

    def _lane_of(self, wanted: Modelled) -> list[Modelled]:
        return next(lane for lane in self.lanes.values() if any(each is wanted for each in lane))

    @precondition(lambda self: len(self._live()) < 8)
    @rule(choices=st.lists(st.integers(0, 1), min_size=1, max_size=4), due=st.sampled_from([True, True, True, False]))
    def offer(self, choices: list[int], due: bool) -> None:
        """One call with messages for several lanes, in order; perhaps not before some instant."""
        offered = []
        for choice in choices:
            lane = list(self.lanes)[choice]
            sent = message(self.numbers, lane=lane, available_at=None if due else datetime.now(UTC) + LATER)
            self.lanes[lane].append(Modelled(sent.id, self.numbers, due))
            self.numbers += 1
            offered.append(sent)
        self._do(self._in_transaction(lambda connection: CARRIER.offer(connection, offered)))

    @precondition(lambda self: any(each.state == "waiting" and each.due for each in self._heads()))
    @rule(target=held, limit=st.integers(1, 4))
    def claim(self, limit: int) -> Any:
        """Exactly the heads that wait and are due, as many as may be."""
        expected = [each for each in self._heads() if each.state == "waiting" and each.due]

        async def act() -> list[Delivery]:
            async with self.pool.acquire() as connection:
                claimed = await CARRIER.claim(connection, ROUTE, limit=limit, worker="model", lease=LEASE)
                if len(claimed) < limit:
                    assert await CARRIER.claim(connection, ROUTE, limit=4, worker="model", lease=LEASE) == []
                return claimed

        deliveries = self._do(act())
        by_id = {each.id: each for each in expected}
        assert {each.id for each in deliveries} <= set(by_id)
        assert len(deliveries) == min(limit, len(expected))
        for each in deliveries:
            head = by_id[each.id]
            assert (each.verify, each.attempts) == (head.deliveries > 0, head.attempts)
            assert each.payload == {"number": head.payload}
            head.state, head.claimed = "in hand", True
            head.deliveries += 1
        return multiple(*((by_id[each.id], each) for each in deliveries))

    @precondition(lambda self: not self.paused)
    @rule()
    def pause_and_resume(self) -> None:
        """A person stops deliveries to the system, and lets them flow again; doing it twice changes nothing."""

        async def change(connection: Any) -> None:
            for act, admitted in ((pause_system, 0), (resume_system, 1)):
                assert await act(connection, ROUTE.system, by="model", reason="to see")
                assert not await act(connection, ROUTE.system, by="model", reason="again")
                await self.breakers.learn(connection)
                assert await self.breakers.admit(ROUTE.system, 1) == admitted

        self._do(self._in_transaction(change))
        self.paused = True  # once is enough

    @rule(target=lost, one=consumes(held))
    def lose_the_lease(self, one: tuple[Modelled, Delivery]) -> Delivery:
        """Time passes, and the worker does not come back."""
        head, delivery = one
        self._do(self.pool.execute("update messages set available_at = now() where id = $1", delivery.id))
        head.state = "waiting"
        return delivery

    @rule(target=held, delivery=consumes(lost))
    def come_back_late(self, delivery: Delivery) -> Any:
        """Who lost a lease may go on where nobody has taken the message; else nothing that they do counts."""
        head = next((each for each in self._heads() if each.id == delivery.id), None)
        late = plan_retry(delivery, Rejected("late", system="erp"), SETTINGS)

        async def act(connection: Any) -> None:
            assert await CARRIER.extend(connection, [delivery], LATER) == set()
            assert await CARRIER.finish(connection, [delivery], "late") == set()
            assert await CARRIER.defer(connection, [late], "late") == set()
            await CARRIER.give_back(connection, [delivery], NOW)

        if head is None or not head.claimed or head.deliveries != delivery.delivery:
            self._do(self._in_transaction(act))
        elif head.state == "waiting":
            self._renew(delivery)
            head.state = "in hand"
            return head, delivery
        return multiple()

    def _renew(self, delivery: Delivery) -> None:
        renewed = self._do(self._in_transaction(lambda connection: CARRIER.extend(connection, [delivery], LEASE)))
        assert renewed == {delivery.id}

    @rule(target=lost, one=consumes(held))
    def finish(self, one: tuple[Modelled, Delivery]) -> Delivery:
        """Done: the next in the lane is its head."""
        head, delivery = one
        self._renew(delivery)
        done = self._do(self._in_transaction(lambda connection: CARRIER.finish(connection, [delivery], "model")))
        assert done == {head.id}
        self._end(head, "done")
        return delivery

    def _end(self, head: Modelled, outcome: str) -> None:
        assert self._lane_of(head).pop(0) is head
        self.over[head.id] = (outcome, head.deliveries, head.attempts)

    @rule(target=lost, one=consumes(held), kind=st.sampled_from(FAILURES), answers=st.booleans())
    def defer(self, one: tuple[Modelled, Delivery], kind: type[Failure], answers: bool) -> Delivery:
        """Failed in one of the five ways, by a system that answers somebody or nobody: for now, or for good."""
        head, delivery = one
        failure = kind("no", system="erp", retry_after=3_600)
        deferral = plan_retry(delivery, failure, SETTINGS, system_answers=answers)
        given = self._do(self._in_transaction(lambda connection: CARRIER.defer(connection, [deferral], "model")))
        assert given == {head.id}
        head.attempts += kind is Rejected or (kind in BURNING and answers)
        dead = kind is Rejected or (kind in BURNING and head.attempts >= SETTINGS.maximum_attempts)
        head.state, head.claimed, head.failed = "dead" if dead else "waiting", False, failure.kind
        self.failures.append((head.id, head.deliveries, failure.kind))
        if not dead:
            for each in self._lane_of(head):  # its followers wait as long
                each.due = False
        return delivery

    @rule(target=lost, one=consumes(held), delay=st.sampled_from([NOW, LATER]))
    def give_back(self, one: tuple[Modelled, Delivery], delay: timedelta) -> Delivery:
        """Nothing was done with it."""
        head, delivery = one
        self._do(self._in_transaction(lambda connection: CARRIER.give_back(connection, [delivery], delay)))
        head.state, head.claimed, head.due = "waiting", False, not delay
        return delivery

    @precondition(lambda self: not all(each.due for lane in self.lanes.values() for each in lane))
    @rule()
    def let_time_pass(self) -> None:
        """What was to be tried later is due."""
        later = "update messages set available_at = now() where claimed_by is null and available_at > now()"
        self._do(self.pool.execute(later))
        for lane in self.lanes.values():
            for each in lane:
                each.due = True

    @precondition(lambda self: self._dead())
    @rule(act=st.sampled_from(["replay", "edit", "discard"]), number=st.integers(1_000, 2_000))
    def work_on_dead_letters(self, act: str, number: int) -> None:
        """Again, perhaps edited, or given up, and their lanes flow on; what is not dead is left as it is."""
        dead, ids = self._dead(), self._live()
        payload = {"number": number} if act == "edit" else None

        async def work(connection: Any) -> list[UUID]:
            if act == "discard":
                return await discard_messages(connection, ids)
            return await replay_messages(connection, ids, payload=payload)

        assert set(self._do(self._in_transaction(work))) == {each.id for each in dead}
        for each in dead:
            if act == "discard":
                self._end(each, "discarded")
                continue
            each.state, each.attempts, each.due = "waiting", 0, True
            each.payload = number if payload else each.payload

    def _dead(self) -> list[Modelled]:
        return [each for each in self._heads() if each.state == "dead"]

    def _live(self) -> list[UUID]:
        return [each.id for lane in self.lanes.values() for each in lane]

    @invariant()
    def they_agree(self) -> None:
        """Every live message, its place, counts, time and state."""
        rows = self._do(live(self.pool))
        for lane, modelled in self.lanes.items():
            found = [each for each in rows if each["lane"] == lane]
            assert [each["id"] for each in found] == [each.id for each in modelled]
            for row, each in zip(found, modelled, strict=True):
                assert (row["deliveries"], row["attempts"]) == (each.deliveries, each.attempts)
                assert row["number"] == each.payload
                assert row["code"] == (each.failed and f"erp.{each.failed}")
                assert (row["claimed_by"] is not None) == each.claimed
                assert each.state != "in hand" or not row["due"]
                behind_dead = each is not modelled[0] and modelled[0].state == "dead"
                assert row["state"] == ("dead" if each.state == "dead" else "parked" if behind_dead else "ready")
                assert each.state != "waiting" or row["due"] == each.due

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """The log of what is over, every failed attempt, and the counts that people see."""
        logged = self._do(self.pool.fetch("select id, outcome, deliveries, attempts from message_log"))
        assert {row["id"]: tuple(row)[1:] for row in logged} == self.over
        kept = self._do(self.pool.fetch("select message_id, delivery, failure from message_attempts"))
        assert sorted(tuple(row) for row in kept) == sorted(self.failures)
        depths = self._do(self._in_transaction(queue_depths))
        everything = [each for lane in self.lanes.values() for each in lane]
        dead = [each for each in everything if each.state == "dead"]
        counted = sum(row["waiting"] + row["in_flight"] + row["dead"] for row in depths)
        assert (counted, sum(row["dead"] for row in depths)) == (len(everything), len(dead))


@model_timeout
def test_the_mailbox_does_what_the_model_does(mailbox_url: str) -> None:
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(open_pool(mailbox_url, size=1))
    machine = type("Machine", (MailboxMachine,), {"loop": loop, "pool": pool})
    try:
        run_state_machine_as_test(machine, settings=run_length(examples=20, steps=40))
    finally:
        loop.run_until_complete(pool.close())
        loop.close()
