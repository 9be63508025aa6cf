"""The connector for Tryton passes the conformance kit against a real Tryton 8.2."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from tallystick.sandbox.tryton.server import TrytonServer
from tallystick.systems.conformance.erp import ErpConformance
from tallystick.systems.conformance.erp_scenario import ErpScenario
from tallystick.systems.ports import Erp
from tallystick.systems.tryton import connect


class TestTrytonConformance(ErpConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def scenario(cls, tryton_server: TrytonServer) -> ErpScenario:
        def connected(url: str, read_timeout: float) -> Erp:
            options = {
                "url": url,
                "database": tryton_server.database,
                "user": tryton_server.user,
                "password": SecretStr(tryton_server.password),
                "read_timeout": read_timeout,
            }
            return connect("erp", options)

        async def change_master() -> tuple[str, str]:
            with tryton_server.client() as client:
                product = client.search("product.template", [("code", "=", "P-5")], ["id", "name"])[0]
                client("model.product.template.write", [product["id"]], {"name": f"{product['name'][:60]}'"})
            return "product", "P-5"

        return ErpScenario(
            url=tryton_server.url,
            connect=connected,
            customer_id="C-OPEN",
            product_ids=("P-1", "P-2"),
            warehouse="MAIN",
            over_limit_customer_id="C-TIGHT",
            blocked_customer_id="C-GONE",
            change_master=change_master,
            secrets=(tryton_server.password,),
            probes=6,
        )
