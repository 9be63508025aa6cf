"""The sandbox's CRM, warehouse, payment gateway and tax service pass the kits of their roles, over HTTP, faults between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tallystick.documents.party import Address, Customer
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.systems.conformance.crm import CrmConformance, CrmScenario
from tallystick.systems.conformance.payments import PaymentsConformance, PaymentsScenario
from tallystick.systems.conformance.tax import TaxConformance, TaxScenario
from tallystick.systems.conformance.wms import WmsConformance, WmsScenario
from tallystick.systems.ports import ShipmentCommand
from tallystick.systems.registry import connect

RATES = {"US-CA": "0.0725"}
SHORT = 0.5


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        await sandbox.start(
            ServerPlan("crm"),
            ServerPlan("wms", settings={"weights": {"nothing": 1}}),
            ServerPlan("payments", settings={"weights": {"never": 1}}),
            ServerPlan("tax", settings={"rates": RATES, "default_rate": None}),
        )
        yield sandbox


def connecting(sandbox: Sandbox, name: str) -> dict[str, Any]:
    """What every scenario says of its server."""
    server = sandbox.servers[name]

    def connected(url: str, timeout: float) -> Any:
        return connect(name, f"sandbox_{name}", {"url": url, "token": server.token, "read_timeout": timeout})

    return {"url": server.url, "connect": connected, "secrets": (server.token,), "short_timeout": SHORT}


async def rows(sandbox: Sandbox, name: str, path: str) -> list[dict[str, Any]]:
    """A whole list of a server, read page by page as a person with its token would."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await sandbox.call(name, "GET", f"{path}{'&' if '?' in path else '?'}after={after}&limit=1000")
        found += page["items"]
        after = page["next"]
    return found


def counting(sandbox: Sandbox, name: str, path: str) -> Callable[[str], Awaitable[int]]:
    async def count(reference: str) -> int:
        return [row["reference"] for row in await rows(sandbox, name, path)].count(reference)

    return count


class TestSandboxCrm(CrmConformance):
    @pytest.fixture(scope="class")
    @classmethod
    async def scenario(cls, sandbox: Sandbox) -> CrmScenario:
        async def history(order_number: str) -> Sequence[str]:
            order = await sandbox.call("crm", "GET", f"/v1/orders/webshop/{order_number}")
            return [update["event_id"] for update in order["updates"]]

        async def count(reference: str) -> int:
            orders = await rows(sandbox, "crm", "/v1/orders?updates=true")
            return [update["event_id"] for order in orders for update in order["updates"]].count(reference)

        return CrmScenario(**connecting(sandbox, "crm"), count=count, channel="webshop", history=history)


class TestSandboxWms(WmsConformance):
    @pytest.fixture(scope="class")
    @classmethod
    async def scenario(cls, sandbox: Sandbox) -> WmsScenario:
        async def left(number: str) -> bool:
            return number in [row["order_number"] for row in await rows(sandbox, "wms", "/v1/shipments")]

        @asynccontextmanager
        async def shipping(request: ShipmentCommand) -> AsyncIterator[None]:
            number = request.order.order_number
            await sandbox.call("wms", "PUT", f"/plans/{number}", {"kind": "complete", "delay_seconds": 0})
            yield
            async with asyncio.timeout(15):
                while not await left(number):  # noqa: ASYNC110 - another process; nothing tells us
                    await asyncio.sleep(0.05)

        count = counting(sandbox, "wms", "/v1/shipment-requests")
        return WmsScenario(
            **connecting(sandbox, "wms"), count=count, customer_id="C-1", product_id="P-1", shipping=shipping
        )


class TestSandboxPayments(PaymentsConformance):
    @pytest.fixture(scope="class")
    @classmethod
    async def scenario(cls, sandbox: Sandbox) -> PaymentsScenario:
        count = counting(sandbox, "payments", "/v1/payment-requests")
        return PaymentsScenario(**connecting(sandbox, "payments"), count=count, customer_id="C-1")


class TestSandboxTax(TaxConformance):
    @pytest.fixture(scope="class")
    @classmethod
    async def scenario(cls, sandbox: Sandbox) -> TaxScenario:
        return TaxScenario(
            **connecting(sandbox, "tax"),
            product_id="P-1",
            taxed=Address(country="US", region="CA"),
            jurisdiction="US-CA",
            unknown=Address(country="US", region="NY"),
            exempt=Customer(id="C-EXEMPT", name="City School", tax_exempt=True, exemption_certificate="EX-1"),
        )
