from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.integration.systems.sandbox_erp_masters import PRODUCTS, load, load_masters

from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.systems.conformance.erp import ErpConformance, ErpScenario
from tallystick.systems.ports import Erp
from tallystick.systems.registry import connect


@pytest.fixture(scope="module")
async def scenario(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ErpScenario]:
    async with Sandbox(tmp_path_factory.mktemp("erp")) as sandbox:
        server = (await sandbox.start(ServerPlan("erp")))["erp"]
        await load_masters(sandbox)

        def connected(url: str, timeout: float) -> Erp:
            erp = connect("erp", "sandbox_erp", {"url": url, "token": server.token, "read_timeout": timeout})
            assert isinstance(erp, Erp)
            return erp

        async def change_master() -> tuple[str, str]:
            await load(sandbox, "erp", "customers", {"id": "C-SMALL", "name": uuid4().hex, "credit_limit": 5_000})
            return ("customer", "C-SMALL")

        yield ErpScenario(
            url=server.url,
            connect=connected,
            customer_id="C-1",
            product_ids=PRODUCTS,
            warehouse="MAIN",
            over_limit_customer_id="C-SMALL",
            blocked_customer_id="C-BLOCKED",
            change_master=change_master,
            secrets=(server.token,),
            short_timeout=0.5,
        )


class TestSandboxErp(ErpConformance):
    """The sandbox's ERP passes the kit that every ERP must pass."""
