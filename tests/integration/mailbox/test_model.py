"""The mailbox beside a model of a few lines: whatever is offered, claimed, settled, replayed or discarded, they agree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from tests.integration.mailbox.mailroom import CARRIER, LEASE, ROUTE, live, message

from tallystick.mailbox.carrier import Deferral
from tallystick.mailbox.dead_letters import discard_messages, replay_messages
from tallystick.mailbox.messages import Delivery
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.failure import Transient

Value = TypeVar("Value")
NOW, LATER = timedelta(0), timedelta(hours=1)


@dataclass
class Modelled:
    """A live message as the model has it."""

    id: UUID
    number: int
    state: str = "waiting"
    """waiting, in hand, later or dead"""
    deliveries: int = 0
    attempts: int = 0
    payload: int = field(default=0)


class MailboxMachine(RuleBasedStateMachine):
    """Three lanes; a model lane is a list, and only its first message may be anything but waiting."""

    loop: asyncio.AbstractEventLoop
    pool: Pool
    held: Bundle[tuple[Modelled, Delivery]] = Bundle("held")
    lost: Bundle[Delivery] = Bundle("lost")

    def __init__(self) -> None:
        super().__init__()
        self.lanes: dict[UUID, list[Modelled]] = {new_id(): [] for _ in range(3)}
        self.numbers = 0
        self.finished: list[UUID] = []
        self._do(self.pool.execute("truncate messages, message_attempts, message_log restart identity"))

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self.loop.run_until_complete(work)

    async def _in_transaction(self, act: Any) -> Any:
        async with self.pool.acquire() as connection, connection.transaction():
            return await act(connection)

    def _heads(self) -> list[Modelled]:
        return [lane[0] for lane in self.lanes.values() if lane]

    def _lane_of(self, wanted: Modelled) -> list[Modelled]:
        return next(lane for lane in self.lanes.values() if any(each is wanted for each in lane))

    @rule(choices=st.lists(st.integers(0, 2), min_size=1, max_size=5))
    def offer(self, choices: list[int]) -> None:
        """One call with messages for several lanes, in order."""
        offered = []
        for choice in choices:
            lane = list(self.lanes)[choice]
            sent = message(self.numbers, lane=lane)
            self.lanes[lane].append(Modelled(sent.id, self.numbers, payload=self.numbers))
            self.numbers += 1
            offered.append(sent)
        self._do(self._in_transaction(lambda connection: CARRIER.offer(connection, offered)))

    @rule(target=held, limit=st.integers(1, 4))
    def claim(self, limit: int) -> Any:
        """Exactly the heads that wait, as many as may be, in the order in which they became due."""
        expected = [each for each in self._heads() if each.state == "waiting"]

        async def act() -> list[Delivery]:
            async with self.pool.acquire() as connection:
                return await CARRIER.claim(connection, ROUTE, limit=limit, worker="model", lease=LEASE)

        deliveries = self._do(act())
        by_id = {each.id: each for each in expected}
        assert {each.id for each in deliveries} <= set(by_id)
        assert len(deliveries) == min(limit, len(expected))
        for each in deliveries:
            head = by_id[each.id]
            assert (each.verify, each.attempts) == (head.deliveries > 0, head.attempts)
            assert each.payload == {"number": head.payload}
            head.state = "in hand"
            head.deliveries += 1
        return multiple(*((by_id[each.id], each) for each in deliveries))

    @rule(target=lost, one=consumes(held))
    def lose_the_lease(self, one: tuple[Modelled, Delivery]) -> Delivery:
        """Time passes, and the worker does not come back."""
        head, delivery = one
        self._do(self.pool.execute("update messages set available_at = now() where id = $1", delivery.id))
        head.state = "waiting"
        return delivery

    @rule(one=consumes(held))
    def finish(self, one: tuple[Modelled, Delivery]) -> None:
        """Done: the next in the lane is its head."""
        head, delivery = one
        done = self._do(self._in_transaction(lambda connection: CARRIER.finish(connection, [delivery], "model")))
        assert done == {head.id}
        lane = self._lane_of(head)
        assert lane.pop(0) is head
        self.finished.append(head.id)

    @rule(one=consumes(held), dead=st.booleans(), burn=st.booleans(), delay=st.sampled_from([NOW, LATER]))
    def defer(self, one: tuple[Modelled, Delivery], dead: bool, burn: bool, delay: timedelta) -> None:
        """Failed: for now, or for good."""
        head, delivery = one
        deferral = Deferral(delivery, Transient("no", system="erp"), delay, burn_attempt=burn, dead=dead)
        given = self._do(self._in_transaction(lambda connection: CARRIER.defer(connection, [deferral], "model")))
        assert given == {head.id}
        head.state = "dead" if dead else "later" if delay else "waiting"
        head.attempts += burn

    @rule(one=consumes(held))
    def give_back(self, one: tuple[Modelled, Delivery]) -> None:
        """Nothing was done with it."""
        head, delivery = one
        self._do(self._in_transaction(lambda connection: CARRIER.give_back(connection, [delivery], NOW)))
        head.state = "waiting"

    @rule()
    def let_time_pass(self) -> None:
        """What was to be tried later is due."""
        self._do(
            self.pool.execute(
                "update messages set available_at = now() where claimed_by is null and available_at > now()"
            )
        )
        for head in self._heads():
            if head.state == "later":
                head.state = "waiting"

    @rule(delivery=lost)
    def act_without_a_lease(self, delivery: Delivery) -> None:
        """Once another has claimed it, or it was settled, nothing that the first one does counts."""
        current = next((each for each in self._heads() if each.id == delivery.id), None)
        if current is not None and current.state != "dead" and current.deliveries == delivery.delivery:
            return  # nobody took it: it may still be settled
        late = Deferral(delivery, Transient("late", system="erp"), LATER, burn_attempt=True, dead=True)

        async def act(connection: Any) -> None:
            assert await CARRIER.extend(connection, [delivery], LATER) == set()
            assert await CARRIER.finish(connection, [delivery], "late") == set()
            assert await CARRIER.defer(connection, [late], "late") == set()
            await CARRIER.give_back(connection, [delivery], NOW)

        self._do(self._in_transaction(act))

    @rule(data=st.data(), payload=st.one_of(st.none(), st.integers(1_000, 2_000)))
    def replay(self, data: st.DataObject, payload: int | None) -> None:
        """A dead letter again, perhaps edited; anything else is left as it is."""
        ids = self._some(data)
        edited = {"number": payload} if payload is not None else None
        replayed = self._do(self._in_transaction(lambda connection: replay_messages(connection, ids, payload=edited)))
        dead = [each for each in self._heads() if each.id in ids and each.state == "dead"]
        assert set(replayed) == {each.id for each in dead}
        for each in dead:
            each.state, each.attempts = "waiting", 0
            each.payload = each.payload if payload is None else payload

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """A dead letter given up: its lane flows on."""
        ids = self._some(data)
        discarded = self._do(self._in_transaction(lambda connection: discard_messages(connection, ids)))
        dead = [each for each in self._heads() if each.id in ids and each.state == "dead"]
        assert set(discarded) == {each.id for each in dead}
        for each in dead:
            self._lane_of(each).pop(0)
            self.finished.append(each.id)

    def _some(self, data: st.DataObject) -> list[UUID]:
        known = [each.id for lane in self.lanes.values() for each in lane]
        return data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else []

    @invariant()
    def they_agree(self) -> None:
        """Every live message, its place, counts and state; and the log of the others."""
        rows = self._do(live(self.pool))
        for lane, modelled in self.lanes.items():
            found = [each for each in rows if each["lane"] == lane]
            assert [each["id"] for each in found] == [each.id for each in modelled]
            for row, each in zip(found, modelled, strict=True):
                assert (row["deliveries"], row["attempts"]) == (each.deliveries, each.attempts)
                assert row["number"] == each.payload
                assert (row["state"] == "dead") == (each.state == "dead")
                assert (row["claimed_by"] is not None and not row["due"]) == (each.state == "in hand")
                assert row["state"] != "parked" or modelled[0].state == "dead", "parked behind nothing"
        logged = self._do(self.pool.fetch("select id from message_log"))
        assert sorted(row["id"] for row in logged) == sorted(self.finished)


def test_the_mailbox_does_what_the_model_does(mailbox_url: str) -> None:
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(open_pool(mailbox_url, size=1))
    machine = type("Machine", (MailboxMachine,), {"loop": loop, "pool": pool})
    bounded = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    try:
        run_state_machine_as_test(machine, settings=bounded)
    finally:
        loop.run_until_complete(pool.close())
        loop.close()
