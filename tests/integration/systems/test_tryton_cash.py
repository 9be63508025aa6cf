"""Cash in a real Tryton: a discount settles its invoice on an account of its own, and without such an account none is booked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from tallystick.sandbox.tryton.server import TrytonServer
from tallystick.systems.conformance.erp_scenario import Desk, ErpScenario
from tallystick.systems.conformance.verdicts import only
from tallystick.systems.ports import Erp, PaymentShare
from tallystick.systems.tryton import connect
from tallystick.systems.tryton.connector import Tryton


@asynccontextmanager
async def desk_with(server: TrytonServer, **more: str) -> AsyncIterator[tuple[Desk, Tryton]]:
    def connected(url: str, read_timeout: float) -> Erp:
        options = {"url": url, "database": server.database, "user": server.user, "password": SecretStr(server.password)}
        return connect("erp", options | more | {"read_timeout": read_timeout})

    scenario = ErpScenario(
        url=server.url, connect=connected, customer_id="C-OPEN", product_ids=("P-1", "P-2"), warehouse="MAIN"
    )
    erp = connected(server.url, 60)
    assert isinstance(erp, Tryton)
    try:
        yield Desk(erp, scenario), erp
    finally:
        await erp.close()


async def test_a_discount_settles_the_invoice_where_there_is_an_account_for_it(tryton_server: TrytonServer) -> None:
    with tryton_server.client() as client:
        accounts = client.search("account.account", [("type.expense", "=", True), ("code", "!=", None)], ["code"])
    async with desk_with(tryton_server, discount_account=accounts[0]["code"]) as (desk, erp):
        _, invoice = await desk.invoiced(3)
        net = invoice.total_amount - 60
        answer = only(await erp.record_payments([desk.sharing(net, PaymentShare(invoice.number, net, 60))]))
        assert (answer.applied_amount, answer.on_account_amount, answer.discount_amount) == (net, 0, 60)
        assert invoice.number not in {each.number for each in await erp.read_open_items()}


async def test_without_such_an_account_the_discount_stays_open(tryton_server: TrytonServer) -> None:
    async with desk_with(tryton_server) as (desk, erp):
        _, invoice = await desk.invoiced(3)
        net = invoice.total_amount - 60
        answer = only(await erp.record_payments([desk.sharing(net, PaymentShare(invoice.number, net, 60))]))
        assert (answer.applied_amount, answer.discount_amount) == (net, 0)
        assert {each.number: each.open_amount for each in await erp.read_open_items()}[invoice.number] == 60
