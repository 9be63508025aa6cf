"""A worker serves every route that messages can take, and its pollers survive whatever a feed does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.integration.checks.memory_systems import MemoryErp, MemoryTax, order, stocked_erp
from tests.integration.stages.company import until

from tallystick.mailbox.carrier import Route
from tallystick.mailbox.messages import Delivery, Done
from tallystick.settings import Settings, parse_settings
from tallystick.stages.flow import Flow
from tallystick.stages.intake import Intake, Submission, submit_orders
from tallystick.stages.rechecking import rechecking
from tallystick.stages.worker import keep_replicas_fresh, routes_of
from tallystick.store.pool import JsonText, Pool
from tallystick.systems.failure import Unavailable
from tallystick.systems.ports import Changes, Operation


def settings(**erp: Any) -> Settings:
    return parse_settings(
        {
            "systems": {
                "erp": {"kind": "sandbox_erp", **erp},
                "tax": {"kind": "sandbox_tax"},
                "crm": {"kind": "sandbox_crm"},
                "shop": {"kind": "sandbox_crm"},
            },
            "entities": {
                "default": {
                    "erp": "erp",
                    "tax": "tax",
                    "crm": "crm",
                    "channels": {"webshop": "shop"},
                    "policy": {key: {"source": "live"} for key in ("customer", "price", "inventory", "credit")},
                }
            },
        }
    )


def test_every_stage_and_listener_of_an_entity_has_its_route() -> None:
    made = Flow(None, settings(), {})  # type: ignore[arg-type]  # the routes need no database
    erp = [
        Route(stage, "erp") for stage in ("intake", "commitment", "fulfilment", "invoicing", "settlement", "returns")
    ]
    others = [Route("intake", "tax"), Route("publication", "crm"), Route("publication", "shop")]
    assert set(routes_of(made)) == {*erp, *others}


class MovingErp(MemoryErp):
    """Its feed fails in ways that nobody foresaw, and then answers."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    async def read_changes(self, cursor: str | None) -> Changes:
        if self.failures:
            raise self.failures.pop(0)
        return await super().read_changes(cursor)


async def test_a_poller_outlives_failures_of_system_database_and_our_own(pool: Pool) -> None:
    erp = MovingErp(Unavailable("away", system="erp"), OSError("no route"), RuntimeError("a bug"), TimeoutError())
    assert Operation.READ_CHANGES in erp.capabilities.operations
    made = settings(poll_seconds=0.01)
    polling = asyncio.create_task(keep_replicas_fresh(Flow(pool, made, {"erp": erp})))
    try:
        await until(lambda: pool.fetchval("select count(*) from replica_feeds where complete"), bool)
        assert not polling.done()
    finally:
        polling.cancel()


async def held_for_facts(flow: Flow) -> Delivery:
    """An order that is held because nobody answers, and the message that checks it again."""
    body = JsonText(order("A").model_dump_json(exclude_none=True).encode())
    [answer] = await submit_orders(Intake(flow), [Submission(order("A"), body, "tester", b"")])
    assert answer.body["decision"] == "hold"
    minute = timedelta(seconds=60)
    async with flow.pool.acquire() as connection:
        [delivery] = await flow.carrier.claim(connection, Route("intake", "erp"), limit=9, worker="test", lease=minute)
    assert delivery.kind == "check_again"
    return delivery


@pytest.fixture
def systems() -> tuple[MemoryErp, MemoryTax]:
    return stocked_erp(), MemoryTax()


async def test_a_held_order_waits_for_one_silent_system_after_the_other(
    pool: Pool, systems: tuple[MemoryErp, MemoryTax]
) -> None:
    erp, tax = systems
    erp.away = tax.away = True
    flow = Flow(pool, settings(), {"erp": erp, "tax": tax})
    delivery = await held_for_facts(flow)
    assert delivery.system == "erp"
    [answer] = await rechecking(flow).handle([delivery])
    assert isinstance(answer, Unavailable)
    assert answer.system == "erp"
    erp.away = False
    [answer] = await rechecking(flow).handle([delivery])
    assert isinstance(answer, Done)
    [message] = answer.outcome.messages
    assert (message.system, message.kind, message.lane) == ("tax", "check_again", delivery.transaction_id)
    assert answer.outcome.change is None
    tax.away = False
    [answer] = await rechecking(flow).handle([delivery])
    assert isinstance(answer, Done)
    assert answer.outcome.change is not None
    assert answer.outcome.change.intake == "accepted"


async def test_an_order_that_the_facts_reject_goes_back_to_its_channel(
    pool: Pool, systems: tuple[MemoryErp, MemoryTax]
) -> None:
    erp, tax = systems
    erp.away = True
    flow = Flow(pool, settings(), {"erp": erp, "tax": tax})
    delivery = await held_for_facts(flow)
    erp.away = False
    erp.remove(erp.customers["C1"])
    [answer] = await rechecking(flow).handle([delivery])
    assert isinstance(answer, Done)
    assert answer.outcome.change is not None
    assert answer.outcome.change.intake == "rejected"
    types = [each.payload["type"] for each in answer.outcome.messages if each.kind == "publish"]
    assert types == ["tallystick.order.rejected.v1"]
