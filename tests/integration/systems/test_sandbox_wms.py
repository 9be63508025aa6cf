from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date

import pytest
from tests.integration.systems.sandbox_servers import Hub, make_order, serve_hub

from tallystick.documents.order import Order
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.systems.failure import Failure, Rejected, Throttled, Unavailable, Unknown
from tallystick.systems.ports import Accepted, ShipmentCommand, Wms
from tallystick.systems.registry import connect


@pytest.fixture(scope="module")
async def hub() -> AsyncIterator[Hub]:
    async for hub in serve_hub():
        yield hub


@pytest.fixture(scope="module")
async def sandbox(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("sandbox"), seed=7, hub_url=hub.url) as sandbox:
        await sandbox.start(ServerPlan("wms", settings={"rest_delay_seconds": 0.05}))
        server = sandbox.servers["wms"]
        hub.secrets[server.event_source] = server.event_secret
        yield sandbox


@pytest.fixture
async def wms(sandbox: Sandbox) -> AsyncIterator[Wms]:
    server = sandbox.servers["wms"]
    await sandbox.put_faults("wms", {})
    system = connect("wms", "sandbox_wms", {"url": server.url, "token": server.token, "read_timeout": 1.0})
    assert isinstance(system, Wms)
    yield system
    await system.close()


def command(order: Order, *, verify: bool = False, revision: str = "") -> ShipmentCommand:
    reference = f"TS-{order.order_number}"
    return ShipmentCommand(f"{reference}{revision}", reference, f"ERP-{order.order_number}", order, verify=verify)


async def ships(wms: Wms, hub: Hub, sandbox: Sandbox, number: str, kind: str, *quantities: int) -> list[Shipment]:
    """Everything the warehouse ships of such an order, once it has nothing left to ship."""
    await sandbox.call("wms", "PUT", f"/plans/{number}", {"kind": kind, "rest_delay_seconds": 0.02})
    (answer,) = await wms.request_shipments([command(make_order(number, *quantities))])
    assert isinstance(answer, Accepted)
    while not any(event["data"]["final"] for event in hub.of(f"TS-{number}")):
        await hub.wait_for(len(hub.events) + 1)
    return [Shipment.model_validate(event["data"]) for event in hub.of(f"TS-{number}")]


def quantities(shipment: Shipment) -> dict[int, int]:
    return {line.line_number: int(line.quantity) for line in shipment.lines}


async def test_a_complete_plan_ships_everything_in_one_final_shipment(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    (shipment,) = await ships(wms, hub, sandbox, "W-1", "complete", 10, 3)
    assert quantities(shipment) == {1: 10, 2: 3}
    assert len(shipment.parcels) == 1
    (event,) = hub.of("TS-W-1")
    assert (event["source"], event["type"]) == ("/systems/wms", "tallystick.shipment.dispatched.v1")


async def test_a_partial_plan_ships_half_and_then_the_rest(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    first, rest = await ships(wms, hub, sandbox, "W-2", "partial_then_rest", 10, 3)
    assert (quantities(first), first.final) == ({1: 5, 2: 1}, False)
    assert (quantities(rest), rest.final) == ({1: 5, 2: 2}, True)


async def test_a_partial_final_plan_ships_half_and_says_that_nothing_follows(
    wms: Wms, hub: Hub, sandbox: Sandbox
) -> None:
    (only,) = await ships(wms, hub, sandbox, "W-3", "partial_final", 10, 4)
    assert (quantities(only), only.final) == ({1: 5, 2: 2}, True)


async def test_two_parcels_go_in_one_shipment(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    (shipment,) = await ships(wms, hub, sandbox, "W-4", "two_parcels", 10)
    assert len({parcel.tracking_number for parcel in shipment.parcels}) == 2


async def test_two_shipments_divide_the_lines(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    first, second = await ships(wms, hub, sandbox, "W-5", "two_shipments", 2, 3, 4)
    assert (quantities(first), quantities(second)) == ({1: 2}, {2: 3, 3: 4})
    assert first.number != second.number


async def test_the_same_reference_ships_once(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    order = make_order("W-6", 5)
    (first,) = await wms.request_shipments([command(order)])
    again = await wms.request_shipments([command(order), command(order, verify=True)])
    assert isinstance(first, Accepted)
    assert not first.already_there
    assert again == [replace(first, already_there=True)] * 2
    await hub.wait_for(len(hub.events) + (not hub.of("TS-W-6")))
    shipped = await sandbox.call("wms", "GET", "/v1/shipment-requests?order_reference=W-6")
    assert len(shipped["items"]) == 1


async def test_the_warehouse_is_told_where_when_and_for_which_purchase_order(wms: Wms, sandbox: Sandbox) -> None:
    order = make_order("W-DATE")
    dates = {"requested_shipment": date(2026, 11, 28), "cancel_after": date(2026, 12, 9)}
    later = order.lines[0].model_copy(update={"requested_delivery": date(2026, 12, 2)})
    order = order.model_copy(
        update={"customer_po": "PO 77", "requested_delivery": date(2026, 12, 1), "lines": (later,), **dates}
    )
    await wms.request_shipments([command(order)])
    listed = (await sandbox.call("wms", "GET", "/v1/shipment-requests?limit=1000"))["items"]
    [asked] = [each for each in listed if each["order_number"] == "W-DATE"]
    assert (asked["requested_delivery"], asked["customer_po"]) == ("2026-12-01", "PO 77")
    assert (asked["requested_shipment"], asked["cancel_after"]) == ("2026-11-28", "2026-12-09")
    assert asked["lines"][0]["requested_delivery"] == "2026-12-02"
    assert asked["ship_to"]["region"] == "CA"


async def test_a_reference_used_for_other_lines_is_rejected(wms: Wms) -> None:
    await wms.request_shipments([command(make_order("W-7", 5))])
    (answer,) = await wms.request_shipments([command(make_order("W-7", 6))])
    assert isinstance(answer, Rejected)
    assert answer.code == "wms.reference_reused"


async def test_a_cancelled_request_ships_nothing_even_when_it_comes_late(wms: Wms, sandbox: Sandbox) -> None:
    await sandbox.call("wms", "PUT", "/plans/W-8", {"delay_seconds": 60})
    await wms.request_shipments([command(make_order("W-8", 5))])
    cancelled = await wms.cancel_shipments([command(make_order("W-8", 5)), command(make_order("W-9", 5))])
    assert all(isinstance(each, Accepted) for each in cancelled)
    late = await wms.request_shipments([command(make_order("W-8", 5)), command(make_order("W-9", 5))])
    assert [each.code for each in late if isinstance(each, Failure)] == ["wms.cancelled"] * 2


async def test_goods_that_left_cannot_be_cancelled(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    await ships(wms, hub, sandbox, "W-10", "complete", 5)
    (answer,) = await wms.cancel_shipments([command(make_order("W-10", 5))])
    assert isinstance(answer, Rejected)
    assert answer.code == "wms.goods_left"


async def test_goods_come_back_at_most_as_they_left(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    await ships(wms, hub, sandbox, "W-11", "complete", 5)
    lines = [{"line_number": 1, "product_id": "P-1", "quantity": "2"}]
    await sandbox.call("wms", "POST", "/returns", {"order_reference": "W-11", "lines": lines, "reason": "damaged"})
    await sandbox.call("wms", "POST", "/returns", {"order_reference": "TS-W-11"})
    while len(hub.of("TS-W-11")) < 3:
        await hub.wait_for(len(hub.events) + 1)
    returns = [event for event in hub.of("TS-W-11") if event["type"] == "tallystick.return.received.v1"]
    assert [int(Return.model_validate(event["data"]).lines[0].quantity) for event in returns] == [2, 3]
    with pytest.raises(Exception, match="404"):
        await sandbox.call("wms", "POST", "/returns", {"order_reference": "W-11"})


async def test_an_answer_lost_after_the_work_is_unknown_and_found_by_the_next_try(wms: Wms, sandbox: Sandbox) -> None:
    order = make_order("W-12", 5)
    await sandbox.put_faults("wms", {"drops": {"rate": 1, "limit": 1}})
    (lost,) = await wms.request_shipments([command(order)])
    assert isinstance(lost, Unknown)
    (found,) = await wms.request_shipments([command(order, verify=True)])
    assert isinstance(found, Accepted)
    assert found.already_there


@pytest.mark.parametrize(
    ("faults", "failure"),
    [
        ({"errors": {"rate": 1}}, Unknown),
        ({"throttles": {"rate": 1, "retry_after_seconds": 3}}, Throttled),
        ({"late_answers": {"rate": 1, "seconds": 1.5}}, Unknown),
        ({"garbage": {"rate": 1}}, Unknown),
        ({"half_answers": {"rate": 1}}, Unknown),
        ({"outages": [{"for_seconds": 60}]}, Unavailable),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.__name__,
)
async def test_each_fault_is_told_as_what_it_means(
    wms: Wms, sandbox: Sandbox, faults: dict[str, object], failure: type[Failure]
) -> None:
    await sandbox.put_faults("wms", faults)
    (answer,) = await wms.request_shipments([command(make_order(f"F-{next(iter(faults))}", 5))])
    assert type(answer) is failure
    assert sum((await sandbox.faults("wms")).injected.values()) >= 1


async def test_a_refused_outage_closes_the_port_and_opens_it_again(wms: Wms, sandbox: Sandbox) -> None:
    await sandbox.put_faults("wms", {"outages": [{"for_seconds": 1.0, "mode": "refused"}]})
    answers: list[Accepted | Failure] = []
    async with asyncio.timeout(10):
        while not answers or isinstance(answers[-1], Failure):
            answers += await wms.request_shipments([command(make_order("W-13", 5))])
            await asyncio.sleep(0.05)
    assert {type(each) for each in answers} >= {Unavailable, Accepted}


async def test_a_slow_drip_within_the_timeout_is_an_answer(wms: Wms, sandbox: Sandbox) -> None:
    await sandbox.put_faults("wms", {"slow_drip": {"rate": 1, "seconds": 1.5}})
    (answer,) = await wms.request_shipments([command(make_order("W-14", 5))])
    assert isinstance(answer, Accepted)


async def test_duplicated_events_come_twice_with_the_same_id(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    await sandbox.put_faults("wms", {"duplicates": {"every": 2, "gap_seconds": 0.01}})
    before = len(hub.events)
    await wms.request_shipments([command(make_order(f"D-{index}", 5)) for index in range(10)])
    events = (await hub.wait_for(before + 15))[before:]
    assert len(events) == 15
    assert len({event["id"] for event in events}) == 10


async def test_reordered_events_are_overtaken(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    await sandbox.put_faults("wms", {"reordering": {"every": 2, "hold_seconds": 0.3}})
    before = len(hub.events)
    await wms.request_shipments([command(make_order(f"R-{index}", 5)) for index in range(4)])
    events = (await hub.wait_for(before + 4))[before:]
    assert [event["subject"] for event in events] == ["TS-R-0", "TS-R-2", "TS-R-1", "TS-R-3"]


async def test_events_wait_for_a_hub_in_trouble_and_keep_their_order(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    before = len(hub.events)
    hub.answers = [503, 500, 429]
    await wms.request_shipments([command(make_order(f"H-{index}", 5)) for index in range(5)])
    events = (await hub.wait_for(before + 5))[before:]
    assert [event["subject"] for event in events] == [f"TS-H-{index}" for index in range(5)]


async def test_a_refused_batch_is_sent_event_by_event(wms: Wms, hub: Hub, sandbox: Sandbox) -> None:
    before = len(hub.events)
    hub.answers = [422]
    await wms.request_shipments([command(make_order(f"B-{index}", 5)) for index in range(5)])
    events = (await hub.wait_for(before + 5))[before:]
    assert {event["subject"] for event in events} == {f"TS-B-{index}" for index in range(5)}


async def test_a_killed_warehouse_keeps_what_it_answered_and_ships_it_after_its_restart(
    wms: Wms, hub: Hub, sandbox: Sandbox
) -> None:
    orders = [make_order(f"K-{index}", 4) for index in range(20)]
    await sandbox.call("wms", "PUT", "/simulation", {"delay_seconds": 0.5})
    answers = await wms.request_shipments([command(order) for order in orders])
    assert all(isinstance(answer, Accepted) for answer in answers)
    await sandbox.kill("wms")
    (away,) = await wms.request_shipments([command(orders[0])])
    assert isinstance(away, (Unavailable, Unknown))
    before = len(hub.events)
    await sandbox.restart("wms")
    again = await wms.request_shipments([command(order, verify=True) for order in orders])
    assert [each.already_there for each in again if isinstance(each, Accepted)] == [True] * 20
    await hub.wait_for(before + 20)
    assert all(len(hub.of(f"TS-K-{index}")) == 1 for index in range(20))


async def test_a_wrong_token_says_so_and_does_nothing(sandbox: Sandbox) -> None:
    system = connect("wms", "sandbox_wms", {"url": sandbox.servers["wms"].url, "token": "wrong"})
    assert isinstance(system, Wms)
    (answer,) = await system.request_shipments([command(make_order("T-1", 5))])
    await system.close()
    assert isinstance(answer, Unavailable)
    assert answer.code == "wms.misconfigured"
