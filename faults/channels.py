"""The sales channels: orders at a steady rate, each sent again under its key until it is answered; some lose patience."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

import httpx
from faults.history import History

from tallystick.demo.failure import DemoError
from tallystick.demo.hub import Hub
from tallystick.demo.trade import Sale, Trouble

_ANSWERED = (201, 422)
_PAUSE_SECONDS = 0.2
_ONE_TRY_SECONDS = 15.0
_IMPATIENT_SECONDS = 0.4
_IMPATIENT_EVERY = 9
LONGEST_SECONDS = 120.0
_KEPT_BACK = 20


class Channels:
    """All channels together. `sales` are the orders they may send, each once; what was answered stands in `history`."""

    def __init__(self, hub: Hub, sales: Sequence[Sale], history: History) -> None:
        self._hub = hub
        self._waiting = list(sales)[::-1]
        self._history = history
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, orders_a_second: float, until: asyncio.Event) -> None:
        """Send orders until told to stop, or until only those are left that faults are measured with; then wait until every
        channel has its answer or has given up."""
        due = time.monotonic()
        for number in itertools.count(1):
            if until.is_set() or len(self._waiting) <= _KEPT_BACK:
                break
            sale = self.take()
            sending = self._try_once(sale) if number % _IMPATIENT_EVERY == 0 else self._see_through(sale)
            task = asyncio.create_task(sending)
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            due = max(due + 1 / orders_a_second, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
        if self._under_way:
            await asyncio.gather(*self._under_way)

    def take(self, *, sound: bool = False, trouble: Trouble | None = None) -> Sale:
        """The next order that nobody has sent yet: any, one with nothing wrong with it, or one with this trouble.

        Raises DemoError when none is left, LookupError when none with the trouble is.
        """
        for index in reversed(range(len(self._waiting))):
            if (not sound and trouble is None) or self._waiting[index].trouble is trouble:
                return self._waiting.pop(index)
        if trouble is not None:
            raise LookupError(f"no order with {trouble} is left")
        raise DemoError("the campaign has run out of orders; make it shorter or its rate lower")

    async def _see_through(self, sale: Sale) -> None:
        """As a channel that wants its answer; one that never gets it gives up, and that is against a promise."""
        try:
            await self.submit(sale)
        except DemoError as error:
            self._history.abandoned.add(sale.order.order_number)
            self._history.unexpected.append(str(error))

    async def submit(self, sale: Sale) -> str:
        """Send an order again and again under its key until there is an answer; returns its transaction's id."""
        number = sale.order.order_number
        self._history.note_sent(number)
        deadline = time.monotonic() + LONGEST_SECONDS
        for tries in itertools.count(1):
            transaction_id = await self._send(sale, tries, _ONE_TRY_SECONDS)
            if transaction_id:
                return transaction_id
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        raise DemoError(f"order {number} was not answered in {LONGEST_SECONDS:.0f} s, {tries} tries")

    async def _try_once(self, sale: Sale) -> None:
        """As a channel that goes away: whether the hub took the order, it will never ask."""
        number = sale.order.order_number
        self._history.note_sent(number)
        self._history.abandoned.add(number)
        await self._send(sale, 1, _IMPATIENT_SECONDS)

    async def _send(self, sale: Sale, tries: int, seconds: float) -> str | None:
        order = sale.order
        headers = {"idempotency-key": order.order_number, "content-type": "application/json"}
        try:
            answer = await self._hub.client("channels").post(
                "/v1/orders", content=order.model_dump_json(), headers=headers, timeout=seconds
            )
        except httpx.HTTPError:
            self._history.statuses[0] += 1
            return None
        self._history.statuses[answer.status_code] += 1
        if answer.status_code in _ANSWERED:
            body = answer.json()
            self._history.note_answer(order.order_number, body["transaction_id"], body["decision"], tries)
            return str(body["transaction_id"])
        if answer.status_code not in (429, 503):
            self._history.unexpected.append(f"{order.order_number}: {answer.status_code} {answer.text[:300]}")
        return None
