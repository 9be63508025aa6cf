"""Everybody around the hub: the ERP, and CRM, warehouse, tax service and payment gateway as HTTP servers, with their faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tallystick.demo.erp import DemoErp, SandboxErp, TrytonErp, sandbox_connection
from tallystick.demo.failure import DemoError
from tallystick.demo.hub import Hub
from tallystick.demo.trade import Sale, Trade
from tallystick.sandbox.launch import LaunchError, Sandbox, ServerPlan

SERVERS = ("crm", "wms", "tax", "payments")
ERPS = ("tryton", "sandbox")
AWAY_SECONDS = 10.0
_BATCH = 100
_PAGE = 1_000
_READS = 10
_EVENT_FAULTS = {
    "duplicates": {"every": 10, "gap_seconds": 0.3},
    "reordering": {"every": 7, "hold_seconds": 2.0},
}


@dataclass(slots=True)
class Injected:
    """What was done to the flow, for the report: how often, by what it was."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, times: int = 1) -> None:
        """Count a fault."""
        if times:
            self.counts[what] = self.counts.get(what, 0) + times


class Surroundings:
    """The other companies' systems of one demo."""

    def __init__(self, folder: Path, hub: Hub, erp: str, seed: int) -> None:
        self.sandbox = Sandbox(folder / "sandbox", seed=seed, hub_url=hub.url)
        self.erp: DemoErp = TrytonErp() if erp == "tryton" else SandboxErp(self.sandbox)
        self._seed = seed

    async def start(self, trade: Trade) -> None:
        """Start all servers, load the masters, plan how each order ships and is paid. Raises DemoError."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_servers(trade))
                group.create_task(self.erp.start(trade.masters))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _start_servers(self, trade: Trade) -> None:
        try:
            await self.sandbox.start(*(ServerPlan(name) for name in SERVERS))
        except LaunchError as error:
            raise DemoError(str(error)) from error
        for sale in trade.sales:
            number = sale.order.order_number
            await self.sandbox.call("wms", "PUT", f"/plans/{number}", {"kind": sale.shipping, "rest_delay_seconds": 3})
            await self.sandbox.call("payments", "PUT", f"/plans/{number}", _paying(sale))

    async def stop(self) -> None:
        """Stop everything."""
        await self.erp.stop()
        await self.sandbox.stop()

    @property
    def connections(self) -> dict[str, Any]:
        """How the hub connects to each, by name."""
        return {"erp": self.erp.connection(), **{name: sandbox_connection(self.sandbox, name) for name in SERVERS}}

    async def submit_to_crm(self, trade: Trade) -> None:
        """Sales keeps its own record of every order: what was promised to the customer."""
        for at in range(0, len(trade.sales), _BATCH):
            items = [_sales_record(sale) for sale in trade.sales[at : at + _BATCH]]
            await self.sandbox.call("crm", "POST", "/v1/orders", {"items": items})

    async def inject(self) -> None:
        """Switch on: events twice and out of order, a tax service that times out, a CRM and a warehouse that err at times."""
        await self.sandbox.put_faults("wms", {"seed": self._seed, **_EVENT_FAULTS, "drops": {"every": 5, "limit": 3}})
        await self.sandbox.put_faults("payments", {"seed": self._seed, **_EVENT_FAULTS})
        await self.sandbox.put_faults("crm", {"seed": self._seed, "errors": {"every": 9, "status": 503, "limit": 5}})
        await self.sandbox.put_faults("tax", {"late_answers": {"every": 4, "seconds": 5, "limit": 2}})

    async def take_erp_away(self, injected: Injected) -> None:
        """The ERP's server is killed with -9 and comes back after ten seconds."""
        await self.erp.kill()
        await asyncio.sleep(AWAY_SECONDS)
        await self.erp.come_back()
        injected.add(f"{self.erp.title} killed with -9, back after {AWAY_SECONDS:g} s")

    async def count_faults(self, injected: Injected) -> None:
        """Add what the servers' switches did."""
        for name in SERVERS:
            report = await self.sandbox.faults(name)
            for fault, times in report.injected.items():
                injected.add(f"{name}: {_FAULT_NAMES.get(fault, fault)}", times)

    async def idle(self) -> bool:
        """Whether nobody has anything left to ship, to pay or to tell the hub."""
        for name in ("wms", "payments"):
            if (await self._read(name, "/events"))["pending"]:
                return False
        async for request in self.every("wms", "/v1/shipment-requests"):
            if request["state"] == "open":
                return False
        async for request in self.every("payments", "/v1/payment-requests"):
            if request["payments_to_come"]:
                return False
        return True

    async def every(self, server: str, path: str) -> AsyncIterator[Mapping[str, Any]]:
        """All items of one of a server's lists."""
        after: int | None = 0
        while after is not None:
            page = await self._read(server, f"{path}{'&' if '?' in path else '?'}after={after}&limit={_PAGE}")
            for item in page["items"]:
                yield item
            after = page["next"]

    async def _read(self, server: str, path: str) -> Any:
        """One page; the faults that were switched on strike whoever looks as well as the hub."""
        for _ in range(_READS):
            try:
                return await self.sandbox.call(server, "GET", path)
            except httpx.HTTPError:
                await asyncio.sleep(0.2)
        raise DemoError(f"sandbox {server} did not show {path} in {_READS} tries")


_FAULT_NAMES = {
    "duplicates": "event sent twice",
    "reordering": "event held back, so that later ones overtake it",
    "late_answers": "answer later than the deadline",
    "errors": "error answered",
    "drops": "connection cut after the work was done",
}


def _paying(sale: Sale) -> dict[str, Any]:
    return {"kind": sale.paying, "difference": 12_500, "late_seconds": 4}


def _sales_record(sale: Sale) -> dict[str, Any]:
    order = sale.order
    return {
        "channel": order.channel,
        "order_number": order.order_number,
        "customer_id": order.customer_id,
        "currency": order.currency,
        "total_amount": order.total_amount,
    }
