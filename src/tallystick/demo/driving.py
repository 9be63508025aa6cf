"""Drives the orders: submits them through the API, some twice, takes the ERP away meanwhile, and waits until all is quiet."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tallystick.demo.clerk import Clerk
from tallystick.demo.failure import DemoError
from tallystick.demo.hub import Hub
from tallystick.demo.surroundings import Injected, Surroundings
from tallystick.demo.trade import Sale, Trade

_SENDERS = 8
_TWICE_EVERY = 10
_LOOK_EVERY_SECONDS = 1.0
_ERP_GOES_AFTER = 0.3
_QUIET_SECONDS = 120.0
_QUIET_SECONDS_AN_ORDER = 3.0

Progress = Callable[["Standing"], None]


@dataclass(slots=True)
class Standing:
    """How far the orders are, by what the hub knows."""

    submitted: int = 0
    rejected: int = 0
    held: int = 0
    committed: int = 0
    shipped: int = 0
    invoiced: int = 0
    settled: int = 0
    """Wholly invoiced, and paid in full or more."""


@dataclass(slots=True)
class Submissions:
    """What the hub answered to the channels."""

    transactions: dict[str, str] = field(default_factory=dict)
    """Transaction id by order number."""
    decisions: Counter[str] = field(default_factory=Counter)
    sent_twice: int = 0
    mistaken: list[str] = field(default_factory=list)
    """Repetitions that were not answered as such: there must be none."""


async def drive(
    hub: Hub, surroundings: Surroundings, trade: Trade, injected: Injected, progress: Progress
) -> tuple[Submissions, Clerk]:
    """Submit all orders and see them through. Raises DemoError when it is not quiet in time."""
    await surroundings.submit_to_crm(trade)
    await surroundings.inject()
    submissions = Submissions()
    clerk = Clerk(hub, {sale.order.order_number: sale for sale in trade.sales})
    standing = Standing()
    working = asyncio.create_task(clerk.work())
    outage = asyncio.create_task(_outage(hub, surroundings, len(trade.sales), injected))
    try:
        await _submit_all(hub, trade.sales, submissions, lambda: _advance(standing, submissions, progress))
        injected.add("order sent twice by its channel", submissions.sent_twice)

        async def look() -> bool:
            for task in (working, outage):
                if task.done():
                    task.result()
            progress(await _standing(hub, standing))
            return outage.done()

        await until_quiet(hub, surroundings, _QUIET_SECONDS + _QUIET_SECONDS_AN_ORDER * len(trade.sales), look)
    finally:
        working.cancel()
        outage.cancel()
    await surroundings.count_faults(injected)
    return submissions, clerk


def _advance(standing: Standing, submissions: Submissions, progress: Progress) -> None:
    standing.submitted = len(submissions.transactions)
    progress(standing)


async def _submit_all(hub: Hub, sales: Sequence[Sale], submissions: Submissions, advance: Callable[[], None]) -> None:
    waiting = list(enumerate(sales, start=1))[::-1]

    async def send() -> None:
        while waiting:
            number, sale = waiting.pop()
            answers = [hub.submit(sale.order) for _ in range(2 if number % _TWICE_EVERY == 0 else 1)]
            _note(sale, await asyncio.gather(*answers), submissions)
            advance()

    async with asyncio.TaskGroup() as group:
        for _ in range(_SENDERS):
            group.create_task(send())


def _note(sale: Sale, answers: Sequence[httpx.Response], submissions: Submissions) -> None:
    first, *again = answers
    if first.status_code not in (201, 422):
        raise DemoError(f"order {sale.order.order_number}: status {first.status_code}: {first.text[:300]}")
    body: dict[str, Any] = first.json()
    submissions.transactions[sale.order.order_number] = body["transaction_id"]
    submissions.decisions[body["decision"]] += 1
    for each in again:
        submissions.sent_twice += 1
        if each.json().get("transaction_id") != body["transaction_id"]:
            submissions.mistaken.append(sale.order.order_number)


async def _outage(hub: Hub, surroundings: Surroundings, orders: int, injected: Injected) -> None:
    """Wait until a good part of the orders is in the ERP, then take it away in the middle of the work."""
    committed = 0
    while committed < orders * _ERP_GOES_AFTER:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        committed = (await _standing(hub, Standing())).committed
    await surroundings.take_erp_away(injected)


async def _standing(hub: Hub, standing: Standing) -> Standing:
    counts: Counter[str] = Counter()
    async for each in hub.every("transactions"):
        counts[each["intake"]] += 1
        counts["committed"] += each["commitment"] == "committed"
        counts["shipped"] += each["fulfilment"] == "complete"
        counts["invoiced"] += each["invoicing"] == "complete"
        counts["settled"] += each["invoicing"] == "complete" and each["settlement"] in ("paid", "overpaid")
    standing.rejected, standing.held, standing.committed = counts["rejected"], counts["held"], counts["committed"]
    standing.shipped, standing.invoiced, standing.settled = counts["shipped"], counts["invoiced"], counts["settled"]
    return standing


async def until_quiet(
    hub: Hub, surroundings: Surroundings, seconds: float, look: Callable[[], Awaitable[bool]] | None = None
) -> None:
    """Wait for quiet: twice in a row nobody around has anything to do and no message is under way in the hub.

    `look` is called at each look and says whether it may be quiet at all. Raises DemoError when it is not quiet in time.
    """
    deadline = time.monotonic() + seconds
    quiet = 0
    while quiet < 2:
        may_be = await look() if look else True
        quiet = quiet + 1 if may_be and await surroundings.idle() and await _hub_idle(hub) else 0
        if time.monotonic() > deadline:
            raise DemoError(f"after {seconds:.0f} s the flow has not come to rest: {await _depths(hub)}")
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _depths(hub: Hub) -> list[dict[str, Any]]:
    depths: list[dict[str, Any]] = (await hub.show("messages:depths"))["items"]
    return depths


async def _hub_idle(hub: Hub) -> bool:
    return not any(each["waiting"] or each["in_flight"] for each in await _depths(hub))
