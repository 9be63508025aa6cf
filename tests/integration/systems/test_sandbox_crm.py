from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tallystick.documents.event import EventType
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.systems.failure import Transient, Unavailable, Unknown
from tallystick.systems.ports import Accepted, Crm, StatusUpdate
from tallystick.systems.registry import connect


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        await sandbox.start(ServerPlan("crm"))
        yield sandbox


@pytest.fixture
async def crm(sandbox: Sandbox) -> AsyncIterator[Crm]:
    system = await connected(sandbox)
    yield system
    await system.close()


async def connected(sandbox: Sandbox, **options: Any) -> Crm:
    server = sandbox.servers["crm"]
    await sandbox.put_faults("crm", {})
    settings = {"url": server.url, "token": server.token, "read_timeout": 1.0, **options}
    system = connect("crm", "sandbox_crm", settings)
    assert isinstance(system, Crm)
    return system


def update(order: str, event: str, kind: EventType, *, verify: bool = False, **data: Any) -> StatusUpdate:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return StatusUpdate(f"{order}-{event}", kind.value, f"T-{order}", order, "webshop", at, data, verify)


async def read(sandbox: Sandbox, order: str) -> dict[str, Any]:
    shown: dict[str, Any] = await sandbox.call("crm", "GET", f"/v1/orders/webshop/{order}")
    return shown


STORY: list[tuple[EventType, dict[str, Any], str]] = [
    (EventType.ORDER_HELD, {"reasons": []}, "held"),
    (EventType.ORDER_RELEASED, {}, "accepted"),
    (EventType.ORDER_COMMITTED, {"erp_reference": "SO-1"}, "committed"),
    (EventType.ORDER_SHIPPED, {"shipment": {"number": "SH-1"}, "fulfilment": "partial"}, "partly_shipped"),
    (EventType.ORDER_INVOICED, {"invoice": {"number": "I-1", "total_amount": 600}}, "invoiced"),
    (EventType.ORDER_SHIPPED, {"shipment": {"number": "SH-2"}, "fulfilment": "complete"}, "shipped"),
    (EventType.ORDER_INVOICED, {"invoice": {"number": "I-2", "total_amount": 400}}, "invoiced"),
    (EventType.ORDER_PAID, {"payment": {"amount": 600}}, "partly_paid"),
    (EventType.ORDER_PAID, {"payment": {"amount": 400}}, "paid"),
    (EventType.ORDER_CREDITED, {"credit_memo": {"total_amount": 100}}, "credited"),
]


async def test_an_orders_story_is_kept_in_order_and_shows_where_it_stands(crm: Crm, sandbox: Sandbox) -> None:
    for step, (kind, data, status) in enumerate(STORY):
        (answer,) = await crm.publish_status([update("S-1", str(step), kind, **data)])
        assert isinstance(answer, Accepted)
        assert (await read(sandbox, "S-1"))["status"] == status
    order = await read(sandbox, "S-1")
    assert [each["event_type"] for each in order["updates"]] == [kind.value for kind, _, _ in STORY]
    assert (order["invoiced_amount"], order["paid_amount"], order["credited_amount"]) == (1_000, 1_000, 100)
    assert (order["erp_reference"], order["shipments"]) == ("SO-1", ["SH-1", "SH-2"])


async def test_the_same_event_twice_changes_nothing(crm: Crm, sandbox: Sandbox) -> None:
    paid = update("S-2", "1", EventType.ORDER_PAID, payment={"amount": 500})
    invoiced = update("S-2", "0", EventType.ORDER_INVOICED, invoice={"number": "I", "total_amount": 500})
    await crm.publish_status([invoiced, paid, paid])
    verified = update("S-2", "1", EventType.ORDER_PAID, verify=True, payment={"amount": 500})
    again = await crm.publish_status([paid, verified])
    assert [each.already_there for each in again if isinstance(each, Accepted)] == [True, True]
    order = await read(sandbox, "S-2")
    assert (order["paid_amount"], len(order["updates"])) == (500, 2)


async def test_a_credit_hold_shows_on_the_order_and_its_customer_until_it_is_released(
    crm: Crm, sandbox: Sandbox
) -> None:
    sold = {"channel": "webshop", "order_number": "S-3", "customer_id": "C-9", "currency": "USD", "total_amount": 500}
    await sandbox.call("crm", "POST", "/v1/orders", {"items": [sold]})
    holds = []
    for event, kind in (("0", EventType.CREDIT_HOLD_PLACED), ("1", EventType.CREDIT_HOLD_RELEASED)):
        await crm.publish_status([update("S-3", event, kind)])
        customer = await sandbox.call("crm", "GET", "/v1/customers/C-9")
        holds.append(((await read(sandbox, "S-3"))["credit_hold"], customer["credit_hold"]))
    assert holds == [(True, True), (False, False)]
    assert (await read(sandbox, "S-3"))["submitted"]["total_amount"] == 500


async def test_after_an_answer_is_lost_nothing_of_the_order_overtakes_it(sandbox: Sandbox) -> None:
    crm = await connected(sandbox, batch_size=2)
    news = [update("S-4", str(step), EventType.ORDER_PAID, payment={"amount": 1}) for step in range(6)]
    await sandbox.put_faults("crm", {"drops": {"every": 2, "limit": 1}})
    answers = await crm.publish_status(news)
    assert [type(each) for each in answers] == [Accepted, Accepted, Unknown, Unknown, Transient, Transient]
    retry = [update("S-4", str(step), EventType.ORDER_PAID, verify=True, payment={"amount": 1}) for step in range(2, 6)]
    again = await crm.publish_status(retry)
    await crm.close()
    assert [each.already_there for each in again if isinstance(each, Accepted)] == [True, True, False, False]
    order = await read(sandbox, "S-4")
    assert [each["event_id"] for each in order["updates"]] == [each.reference for each in news]


async def test_while_the_look_up_fails_nothing_unverified_is_written_twice(sandbox: Sandbox) -> None:
    crm = await connected(sandbox)
    await sandbox.put_faults("crm", {"outages": [{"for_seconds": 60}]})
    (answer,) = await crm.publish_status([update("S-5", "0", EventType.ORDER_HELD, verify=True)])
    await crm.close()
    assert isinstance(answer, Unavailable)


async def test_the_book_outlives_a_kill(sandbox: Sandbox) -> None:
    crm = await connected(sandbox)
    await crm.publish_status(
        [update("S-6", str(step), EventType.ORDER_PAID, payment={"amount": 1}) for step in range(50)]
    )
    before = await sandbox.call("crm", "GET", "/v1/totals")
    await sandbox.kill("crm")
    with (sandbox.servers["crm"].state_file).open("ab") as journal:
        journal.write(b'{"record": "update", "event_id": "torn')  # what a death in the middle of a write leaves
    await sandbox.restart("crm")
    after = await sandbox.call("crm", "GET", "/v1/totals")
    (again,) = await crm.publish_status([update("S-6", "0", EventType.ORDER_PAID, payment={"amount": 1})])
    await crm.close()
    assert isinstance(again, Accepted)
    assert again.already_there
    assert after == before | {"repeated_updates": 0}


async def test_the_list_goes_page_by_page(crm: Crm, sandbox: Sandbox) -> None:
    await crm.publish_status([update(f"L-{index}", "0", EventType.ORDER_REFUSED) for index in range(7)])
    numbers: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await sandbox.call("crm", "GET", f"/v1/orders?status=refused&after={after}&limit=3")
        numbers += [each["order_number"] for each in page["items"]]
        after = page["next"]
    assert numbers == [f"L-{index}" for index in range(7)]
