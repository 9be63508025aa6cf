"""Processes are killed with -9 while orders flow into a real Tryton; what was acknowledged is there, once, to the cent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from tests.acceptance.distributor import Distributor, running

from tallystick.demo.clerk import Clerk
from tallystick.demo.driving import until_quiet
from tallystick.demo.erp import repeated
from tallystick.demo.evidence import gather_sides
from tallystick.demo.tie_out import tie_out
from tallystick.stages.references import order_reference

_ORDERS = 9


async def _kill_in_turn(distributor: Distributor, done: asyncio.Event) -> list[str]:
    """Kill each kind of process, let it come back, go on with the next until all had their turn and `done` is set."""
    hub, erp = distributor.hub, distributor.surroundings.erp
    killed: list[str] = []

    async def worker() -> None:
        await hub.kill("worker")
        await hub.come_back("worker")

    async def api() -> None:
        await hub.kill("api")
        await hub.come_back("api")

    async def database() -> None:
        distributor.crash_database()

    async def tryton() -> None:
        await erp.kill()
        await asyncio.sleep(1)
        await erp.come_back()

    turns: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("worker", worker),
        ("api", api),
        ("database", database),
        ("worker", worker),
        ("erp", tryton),
        ("worker", worker),
        ("database", database),
        ("worker", worker),
    ]
    for name, turn in turns:
        await asyncio.sleep(1.5)
        await turn()
        killed.append(name)
    await done.wait()
    return killed


@pytest.mark.timeout(400)
async def test_what_was_acknowledged_is_in_tryton_once_whatever_is_killed() -> None:
    async with running(_ORDERS, "tryton") as distributor:
        submitted = asyncio.Event()
        killing = asyncio.create_task(_kill_in_turn(distributor, submitted))
        clerk = Clerk(distributor.hub, {sale.order.order_number: sale for sale in distributor.trade.sales})
        working = asyncio.create_task(clerk.work())
        acknowledged: dict[str, str] = {}
        for sale in distributor.trade.sales:
            answer = await distributor.submit(sale.order)
            assert answer["decision"] in ("accept", "hold"), answer
            acknowledged[sale.order.order_number] = str(answer["transaction_id"])
            await asyncio.sleep(0.5)
        submitted.set()
        assert len(await killing) == 8
        await until_quiet(distributor.hub, distributor.surroundings, 240, clerk.has_nothing_to_do)
        working.cancel()

        references = await distributor.surroundings.erp.references()
        assert repeated(references) == []
        orders = {reference for kind, reference in references if kind == "order"}
        assert orders == {order_reference(UUID(each)) for each in acknowledged.values()}
        result = tie_out(await gather_sides(distributor.hub, distributor.surroundings))
        assert [each for each in result.differences if each.cause is None] == []
        assert result.unexplained == 0
        dead = [each["dead"] for each in (await distributor.hub.show("messages:depths"))["items"]]
        assert sum(dead) == 0
