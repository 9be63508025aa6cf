"""Makes the traffic that leads past crash points which orders alone seldom reach: held, changed and cancelled orders, returns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx
from faults.world import World

from tallystick.demo.failure import DemoError
from tallystick.demo.trade import Sale, Trouble, totalled

_TRIES = 60
_PAUSE_SECONDS = 0.25
_SHIPS_AFTER_SECONDS = 30.0


async def provoke(world: World, chance: Random, point: str) -> None:
    """Do what leads past the point, if it takes more than orders; errors are the point's doing and are borne with."""
    doing = next((each for part, each in _PROVOCATIONS.items() if part in point), None)
    if doing is not None:
        with contextlib.suppress(httpx.HTTPError, DemoError):
            await doing(world, chance)


async def hold_one(world: World, _chance: Random) -> None:
    """An order that a clerk has to correct."""
    with contextlib.suppress(LookupError):
        await world.channels.submit(world.channels.take(trouble=Trouble.STALE_PRICE))


async def cancel_one(world: World, _chance: Random) -> None:
    """An order that its channel takes back before it ships."""
    sale = await _slow_sale(world)
    transaction = await _committed(world, sale)
    if transaction is not None:
        await _patiently(lambda: _cancel(world, str(transaction["id"])))


async def change_one(world: World, _chance: Random) -> None:
    """An order of which its channel wants one piece less, before it ships."""
    sale = await _slow_sale(world)
    transaction = await _committed(world, sale)
    first, *rest = sale.order.lines
    if transaction is None or first.quantity <= 1:
        return
    fewer = first.model_copy(update={"quantity": first.quantity - 1})
    order = totalled(sale.order.model_copy(update={"lines": (fewer, *rest)}))
    await _patiently(lambda: _change(world, str(transaction["id"]), order.model_dump_json()))


async def return_one(world: World, chance: Random) -> None:
    """Goods of an order that was invoiced come back, one piece of one line."""
    invoiced = [each async for each in world.hub.every("transactions") if each["invoicing"] == "complete"]
    if not invoiced:
        return
    shipments = [each async for each in world.surroundings.every("wms", "/v1/shipments")]
    chosen = chance.choice(invoiced)
    lines = [line for each in shipments if each["order_number"] == chosen["order_number"] for line in each["lines"]]
    if lines:
        line = {"line_number": lines[0]["line_number"], "product_id": lines[0]["product_id"], "quantity": "1"}
        announcement = {"order_reference": chosen["order_number"], "lines": [line], "reason": "broken"}
        with contextlib.suppress(httpx.HTTPError):
            await world.surroundings.sandbox.call("wms", "POST", "/returns", announcement)


_PROVOCATIONS: dict[str, Callable[[World, Random], Awaitable[None]]] = {
    "resolution": hold_one,
    "cancel": cancel_one,
    "change": change_one,
    "return": return_one,
}


async def _slow_sale(world: World) -> Sale:
    """A sound order that the warehouse will let lie for a while."""
    sale = world.channels.take(sound=True)
    plan = {"kind": "complete", "delay_seconds": _SHIPS_AFTER_SECONDS}
    await world.surroundings.sandbox.call("wms", "PUT", f"/plans/{sale.order.order_number}", plan)
    return sale


async def _committed(world: World, sale: Sale) -> dict[str, Any] | None:
    """The order's transaction once the ERP has it."""
    transaction_id = await world.channels.submit(sale)
    for _ in range(_TRIES):
        with contextlib.suppress(httpx.HTTPError):
            transaction: dict[str, Any] = await world.hub.show(f"transactions/{transaction_id}")
            if transaction["commitment"] == "committed":
                return transaction
        await asyncio.sleep(_PAUSE_SECONDS)
    return None


async def _patiently(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until there is an answer: yes, no, or changed meanwhile and read again."""
    for _ in range(_TRIES):
        with contextlib.suppress(httpx.HTTPError):
            if await ask():
                return
        await asyncio.sleep(_PAUSE_SECONDS)


async def _cancel(world: World, transaction_id: str) -> bool:
    answer = await world.hub.client("clerk").post(
        f"/v1/orders/{transaction_id}:cancel",
        json={"reason": "ordered by mistake"},
        headers=await _version(world, transaction_id),
    )
    return _is_final(answer)


async def _change(world: World, transaction_id: str, order: str) -> bool:
    headers = await _version(world, transaction_id) | {"content-type": "application/json"}
    answer = await world.hub.client("clerk").put(f"/v1/orders/{transaction_id}", content=order, headers=headers)
    return _is_final(answer)


async def _version(world: World, transaction_id: str) -> dict[str, str]:
    transaction = await world.hub.show(f"transactions/{transaction_id}")
    return {"if-match": f'"{transaction["version"]}"'}


def _is_final(answer: httpx.Response) -> bool:
    return answer.status_code not in (412, 429) and answer.status_code < 500
