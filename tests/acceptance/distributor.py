"""A whole installation for acceptance tests: the hub's processes, the sandbox's servers and an ERP, as the demo starts them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tallystick.demo.hub import Hub
from tallystick.demo.surroundings import Surroundings
from tallystick.demo.trade import Trade, make_trade
from tallystick.demo.wholesale import make_wholesale
from tallystick.documents.order import Order
from tallystick.store.embedded import new_folder

_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Distributor:
    """The parts of a running installation."""

    folder: Path
    hub: Hub
    surroundings: Surroundings
    trade: Trade

    async def submit(self, order: Order) -> dict[str, object]:
        """Submit as a careful channel does: again under the same key until there is an answer."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                try:
                    answer = await self.hub.submit(order)
                    if answer.status_code in (201, 422):
                        body: dict[str, object] = answer.json()
                        return body
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.2)

    def crash_database(self) -> None:
        """Kill one of PostgreSQL's processes with -9: it cuts all connections and recovers from its log, as after a power cut."""
        postmaster = int((self.folder / "data" / "postgresql" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)


@asynccontextmanager
async def running(orders: int, erp: str) -> AsyncIterator[Distributor]:
    """Start everything with `orders` TPC-H orders to trade; all of it ends with the block."""
    folder = new_folder("tallystick-acceptance-")
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        trade = make_trade(make_wholesale(folder / "tpch", orders, 5), 5)
        hub = Hub(folder)
        surroundings = Surroundings(folder, hub, erp, 5)
        stack.push_async_callback(surroundings.stop)
        await surroundings.start(trade)
        stack.push_async_callback(hub.stop)
        await hub.start(surroundings.connections)
        await surroundings.submit_to_crm(trade)
        yield Distributor(folder, hub, surroundings, trade)
