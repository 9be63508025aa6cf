"""The person at the work queue: corrects what sales got wrong; what only waits for a system goes on by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tallystick.demo.hub import Hub
from tallystick.demo.trade import Sale, Trouble

_LOOK_EVERY_SECONDS = 0.5
_MOST_TRIES = 10
_REASONS = {
    Trouble.STALE_PRICE: "the customer's contract price; sales used last year's list",
    Trouble.UNKNOWN_SHIP_TO: "the customer confirmed its known dock",
}


@dataclass(slots=True)
class Clerk:
    """Works exceptions over the API, as an operator would. `sales` are the orders by their number."""

    hub: Hub
    sales: Mapping[str, Sale]
    worked: dict[str, int] = field(default_factory=dict)
    """What was done, how often."""
    _tries: dict[str, int] = field(default_factory=dict)

    async def work(self) -> None:
        """Look at the queue again and again, for ever; while Tallystick does not answer, later."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self.look()
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def look(self) -> int:
        """Work every exception once; returns how many could be worked."""
        found = 0
        async for item in self.hub.every("exceptions", state="open"):
            if item["type"] == "order.held" and self._tries.get(item["transaction_id"], 0) < _MOST_TRIES:
                found += await self._decide(await self.hub.show(f"exceptions/{item['id']}"))
        return found

    async def has_nothing_to_do(self) -> bool:
        """Whether no order is held that only waits for a system's facts."""
        async for item in self.hub.every("exceptions", state="open", type="order.held"):
            if _waits_for_facts(await self.hub.show(f"exceptions/{item['id']}")):
                return False
        return True

    async def _decide(self, exception: Mapping[str, Any]) -> bool:
        order = next(each["body"] for each in exception["documents"] if each["type"] == "order")
        sale = self.sales[order["order_number"]]
        if sale.corrected is None or sale.trouble not in _REASONS or _waits_for_facts(exception):
            return False
        body = {"order": sale.corrected.model_dump(mode="json"), "reason": _REASONS[sale.trouble]}
        return await self._act(exception, "amend", body)

    async def _act(self, exception: Mapping[str, Any], action: str, body: Mapping[str, Any]) -> bool:
        transaction_id = exception["transaction_id"]
        self._tries[transaction_id] = self._tries.get(transaction_id, 0) + 1
        done = await self.hub.work_exception(exception, action, body)
        if done:
            self.worked[action] = self.worked.get(action, 0) + 1
        return done


def _waits_for_facts(exception: Mapping[str, Any]) -> bool:
    """Whether an order is held only because a system did not answer; it is checked again when it does."""
    return all(reason["code"].endswith(".facts_unavailable") for reason in exception["reasons"])
