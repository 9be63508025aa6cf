"""The CRM kit: subclass CrmConformance with a `scenario` fixture; news of orders is taken once, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tallystick.documents.event import EventType
from tallystick.systems.conformance.accepted import AcceptedRequests, RequestScenario
from tallystick.systems.conformance.verdicts import succeeded
from tallystick.systems.failure import Failure
from tallystick.systems.ports import Accepted, Crm, Operation, Role, StatusUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmScenario(RequestScenario):
    """A CRM that runs. `count` tells how often it keeps an event's id."""

    channel: str = "crm"
    history: Callable[[str], Awaitable[Sequence[str]]] | None = None
    """The ids of the events the CRM keeps for an order number, in its order, asked by the test's own means."""


class CrmConformance(AcceptedRequests):
    """Everything a connector to a sales system must pass."""

    role = Role.CRM
    operation = Operation.PUBLISH_STATUS
    port = Crm

    def make(self, scenario: Any) -> StatusUpdate:
        """News of an order that nobody heard of yet."""
        return StatusUpdate(
            reference=str(uuid4()),
            event_type=EventType.ORDER_COMMITTED,
            transaction_id=str(uuid4()),
            order_number=f"C-{uuid4().hex[:16]}",
            channel=scenario.channel,
            occurred_at=datetime.now(UTC),
            data={"erp_reference": "SO-1"},
        )

    async def send(self, system: Any, requests: Sequence[Any]) -> Sequence[Accepted | Failure]:
        """Deliver news."""
        answers: Sequence[Accepted | Failure] = await system.publish_status(requests)
        return answers

    async def test_the_story_of_an_order_is_kept_in_order(self, system: Any, scenario: CrmScenario) -> None:
        if scenario.history is None:
            pytest.skip("the scenario cannot read an order's history")
        first = self.make(scenario)
        story = [
            replace(first, reference=str(uuid4()), event_type=kind)
            for kind in (EventType.ORDER_ACCEPTED, EventType.ORDER_COMMITTED, EventType.ORDER_CANCELLED)
        ]
        size = system.capabilities.batch_size
        for start in range(0, len(story), size):
            succeeded(await system.publish_status(story[start : start + size]))
        succeeded(await system.publish_status([replace(story[0], verify=True)]))
        assert list(await scenario.history(first.order_number)) == [each.reference for each in story]
