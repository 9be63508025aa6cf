"""Where goods come from and go to in a real Tryton: warehouses with a stock of their own, and the ship-to that is meant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError
from tests.fixtures.tryton import tryton_with_masters

from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address, Customer
from tallystick.sandbox.tryton.masters import Masters, load_masters
from tallystick.sandbox.tryton.server import TrytonServer
from tallystick.systems.failure import Rejected
from tallystick.systems.ports import Erp, OrderCommand, OrderCommitted, PriceQuery
from tallystick.systems.tryton import connect

YARD = Address(id="YARD", street="9 Yard Road", city="Reno", postal_code="89501", region="NV")
SHOP = Address(id="SHOP", street="2 Shop Street", city="Sparks", postal_code="89431", region="NV")
BUYER = Customer(id="C-PLACES", name="Two Places Inc", ship_to=(YARD, SHOP))


@pytest.fixture(scope="module")
def east(tryton_server: TrytonServer) -> int:
    """A second warehouse with 40 of P-3, and a customer with two addresses."""
    with tryton_server.client() as client:
        kinds = ("input", "output", "storage")
        places = [{"name": f"East {kind}", "type": "storage"} for kind in kinds]
        at = dict(zip(kinds, client("model.stock.location.create", places), strict=True))
        lost = client.search("stock.location", [("type", "=", "lost_found")], ["id"])[0]["id"]
        values = {"name": "East", "code": "E", "type": "warehouse", "lost_found_location": lost}
        values |= {f"{kind}_location": at[kind] for kind in kinds}
        made: int = client("model.stock.location.create", [values])[0]
        product = client.search("product.product", [("code", "=", "P-3")], ["id"])[0]["id"]
        lines = [["create", [{"product": product, "quantity": 40.0}]]]
        counted = {"location": at["storage"], "date": datetime.now(UTC).date(), "lines": lines}
        client("model.stock.inventory.confirm", client("model.stock.inventory.create", [counted]))
        load_masters(client, Masters((BUYER,), {}, (), {}, (), {}), today=datetime.now(UTC).date())
    return made


def _options(server: TrytonServer, **more: Any) -> dict[str, Any]:
    secret = SecretStr(server.password)
    return {"url": server.url, "database": server.database, "user": server.user, "password": secret, **more}


@pytest.fixture
async def erp(tryton_server: TrytonServer, east: int) -> AsyncIterator[Erp]:
    with tryton_server.client() as client:
        main = client.search("stock.location", [("type", "=", "warehouse"), ("id", "!=", east)], ["name"])[0]["name"]
    connected = connect("erp", _options(tryton_server, warehouses={"EAST": "E", "MAIN": main}))
    yield connected
    await connected.close()


def _order(*warehouses: str | None, ship_to: Address | None = None, **more: Any) -> Order:
    lines = tuple(
        OrderLine(
            line_number=number, product_id="P-3", quantity=Decimal(3), unit_price=Decimal("12.50"), warehouse=warehouse
        )
        for number, warehouse in enumerate(warehouses, 1)
    )
    number = uuid4().hex[:12]
    return Order(
        channel="edi", order_number=number, customer_id="C-PLACES", currency="USD", ordered_at=datetime.now(UTC),
        lines=lines, ship_to=ship_to, **more,
    )  # fmt: skip


async def _commit(erp: Erp, order: Order) -> OrderCommand:
    command = OrderCommand(f"TS-{uuid4().hex}", order)
    answer = (await erp.commit_orders([command]))[0]
    assert isinstance(answer, OrderCommitted), answer
    return replace(command, erp_reference=answer.erp_reference)


async def _refusal(erp: Erp, order: Order) -> str:
    answer = (await erp.commit_orders([OrderCommand(f"TS-{uuid4().hex}", order)]))[0]
    assert isinstance(answer, Rejected)
    return answer.message


def _sale(server: TrytonServer, command: OrderCommand) -> dict[str, Any]:
    """The sale's warehouse and address, and those of its shipment."""
    fields = ["warehouse", "shipment_address.building_name", "shipments", "description"]
    with server.client() as client:
        sale = client.search("sale.sale", [("reference", "=", command.reference)], fields)[0]
        shipments = client.search(
            "stock.shipment.out", [("id", "in", sale["shipments"])], ["warehouse", "delivery_address.building_name"]
        )
    return {
        "warehouse": sale["warehouse"],
        "address": sale["shipment_address."]["building_name"],
        "description": sale["description"],
        "shipments": [(each["warehouse"], each["delivery_address."]["building_name"]) for each in shipments],
    }


async def _stock(erp: Erp) -> dict[str, Decimal]:
    return {each.warehouse: each.available for each in await erp.read_stock(["P-3"])}


async def test_each_warehouse_promises_its_own_stock_and_an_order_takes_from_the_one_it_names(
    erp: Erp, tryton_server: TrytonServer, east: int
) -> None:
    before = await _stock(erp)
    assert (before["EAST"], set(before)) == (Decimal(40), {"MAIN", "EAST"})
    there, here = await _commit(erp, _order("EAST")), await _commit(erp, _order(None))
    assert _sale(tryton_server, there)["warehouse"] == east
    assert _sale(tryton_server, here)["warehouse"] != east
    after = await _stock(erp)
    assert {name: before[name] - after[name] for name in before} == {"MAIN": 3, "EAST": 3}
    told = (await erp.read_changes(None)).changes
    assert {each.key for each in told if each.kind == "stock"} >= {"P-3:MAIN", "P-3:EAST"}


async def test_without_names_for_them_only_the_warehouse_that_orders_are_sold_from_counts(
    erp: Erp, tryton_server: TrytonServer
) -> None:
    plain = connect("erp", _options(tryton_server))
    assert await _stock(plain) == {"MAIN": (await _stock(erp))["MAIN"]}
    await plain.close()


async def test_what_one_sale_can_not_hold_is_refused_in_words(erp: Erp) -> None:
    assert "its lines are sold from EAST and MAIN" in await _refusal(erp, _order("EAST", None))
    assert "there is no warehouse WEST; known are MAIN, EAST" in await _refusal(erp, _order("WEST"))


async def test_a_warehouse_that_tryton_does_not_have_or_we_do_not_name_is_a_setting_to_correct(
    tryton_server: TrytonServer,
) -> None:
    wrong = connect("erp", _options(tryton_server, warehouses={"MAIN": "Nowhere"}))
    with pytest.raises(Rejected, match="no warehouse of the code or name 'Nowhere', which is to be MAIN"):
        await wrong.read_stock(["P-3"])
    await wrong.close()
    with pytest.raises(ValidationError, match="warehouse: 'MAIN' is none of warehouses: EAST"):
        connect("erp", _options(tryton_server, warehouses={"EAST": "E"}))


async def test_goods_go_to_the_address_that_is_meant_by_its_id_or_by_its_place(
    erp: Erp, tryton_server: TrytonServer
) -> None:
    shop = SHOP.model_copy(update={"id": None, "street": "2 SHOP street"})
    for ship_to, meant in ((None, "YARD"), (Address(id="SHOP"), "SHOP"), (shop, "SHOP")):
        command = await _commit(erp, _order(None, ship_to=ship_to))
        assert _sale(tryton_server, command)["address"] == meant
    elsewhere = SHOP.model_copy(update={"id": None, "street": "3 Shop Street"})
    message = await _refusal(erp, _order(None, ship_to=elsewhere))
    assert "has no address at 3 Shop Street, Sparks, NV, 89431, US" in message


async def test_a_change_can_send_goods_elsewhere_and_from_elsewhere(
    erp: Erp, tryton_server: TrytonServer, east: int
) -> None:
    command = await _commit(erp, _order(None, ship_to=Address(id="YARD"), customer_po="PO 77"))
    before = _sale(tryton_server, command)
    assert (before["address"], before["description"]) == ("YARD", f"edi {command.order.order_number}, PO PO 77")
    line = command.order.lines[0].model_copy(update={"warehouse": "EAST"})
    changed = command.order.model_copy(update={"ship_to": Address(id="SHOP"), "lines": (line,)})
    for revision, already_there in ((2, False), (2, True)):
        answer = (await erp.change_orders([replace(command, order=changed, revision=revision)]))[0]
        assert isinstance(answer, OrderCommitted), answer
        assert answer.already_there is already_there
    assert _sale(tryton_server, command) == before | {
        "warehouse": east,
        "address": "SHOP",
        "shipments": [(east, "SHOP")],
    }
    nowhere = changed.model_copy(update={"ship_to": Address(id="NOWHERE")})
    refused = (await erp.change_orders([replace(command, order=nowhere, revision=3)]))[0]
    assert isinstance(refused, Rejected)
    assert "has no address NOWHERE" in refused.message


async def test_prices_and_credit_are_in_the_currency_of_the_company() -> None:
    # On a server of its own: a company that has booked anything keeps its currency.
    with tryton_with_masters() as server, server.client() as client:
        company = client.search("company.company", [], ["id"])[0]
        [yen] = client(
            "model.currency.currency.create", [{"name": "Yen", "code": "JPY", "digits": 0, "rounding": Decimal(1)}]
        )
        client("model.company.company.write", [company["id"]], {"currency": yen})
        erp = connect("erp", _options(server))
        try:
            customer = (await erp.read_customers(["C-TIGHT"]))["C-TIGHT"]
            prices = await erp.read_prices([PriceQuery("C-OPEN", ("P-1",), datetime.now(UTC).date())])
            credit = (await erp.read_credit(["C-TIGHT"]))["C-TIGHT"]
        finally:
            await erp.close()
    assert (customer.currency, {each.currency for each in prices[0]}) == ("JPY", {"JPY"})
    assert (credit.currency, credit.limit) == ("JPY", 50)
