"""Invoices beside orders: either way of rounding is right, everything else that differs is named with the money at risk."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tallystick.documents.invoice import Invoice, InvoiceLine
from tallystick.documents.order import Charge, ChargeKind, Order, OrderLine
from tallystick.documents.shipment import Shipment, ShipmentLine
from tallystick.stages.invoice_comparison import Expectation, invoice_differences


def order(*lines: tuple[str, str], charges: tuple[Charge, ...] = ()) -> Order:
    """An order of (quantity, unit price) lines."""
    return Order(
        channel="crm",
        order_number="SO-1",
        customer_id="C-1",
        currency="USD",
        ordered_at=datetime(2026, 11, 24, tzinfo=UTC),
        lines=tuple(
            OrderLine(line_number=at, product_id="P", quantity=Decimal(quantity), unit_price=Decimal(price))
            for at, (quantity, price) in enumerate(lines, start=1)
        ),
        charges=charges,
    )


def shipment(number: str, *lines: tuple[int, str]) -> Shipment:
    return Shipment(
        number=number,
        shipped_at=datetime(2026, 11, 24, tzinfo=UTC),
        lines=tuple(
            ShipmentLine(line_number=line, product_id="P", quantity=Decimal(quantity)) for line, quantity in lines
        ),
    )


def invoice(number: str, shipped: str, *lines: tuple[int | None, str, int], tax: int = 0, **changes: Any) -> Invoice:
    """An invoice of (line number or None for a charge, quantity, amount) lines for one shipment."""
    net = sum(amount for _, _, amount in lines)
    made = Invoice(
        number=number,
        currency="USD",
        invoice_date=date(2026, 11, 24),
        shipment_numbers=(shipped,),
        lines=tuple(
            InvoiceLine(line_number=line, quantity=Decimal(quantity), unit_price=Decimal(1), amount=amount)
            for line, quantity, amount in lines
        ),
        net_amount=net,
        tax_amount=tax,
        total_amount=net + tax,
    )
    return made.model_copy(update=changes)


def found(
    billed: Invoice,
    ordered: Order,
    *shipments: Shipment,
    earlier: tuple[Invoice, ...] = (),
    tax: int | None = None,
    last: bool = True,
) -> list[tuple[str, int]]:
    """(code, money at risk) of each difference."""
    expected = Expectation(ordered, shipments, earlier, tax, 1, last)
    return [(each["code"], each["money_at_risk"]) for each in invoice_differences(billed, expected)]


def test_an_invoice_for_what_shipped_at_the_orders_price_fits() -> None:
    assert found(invoice("I", "S", (1, "3", 3_000), tax=90), order(("3", "10")), shipment("S", (1, "3")), tax=90) == []


def test_another_price_is_a_difference_with_its_money() -> None:
    billed = invoice("I", "S", (1, "3", 3_300))
    assert found(billed, order(("3", "10")), shipment("S", (1, "3"))) == [("invoice.line_differs", 300)]


@pytest.mark.parametrize(("first", "second"), [(33, 34), (33, 33)], ids=["cumulative", "each by itself"])
def test_parts_may_be_rounded_each_by_itself_or_all_so_far(first: int, second: int) -> None:
    ordered = order(("2", "0.333"))
    shipments = (shipment("A", (1, "1")), shipment("B", (1, "1")))
    earlier = invoice("I", "A", (1, "1", first))
    assert found(earlier, ordered, shipments[0], last=False) == []
    assert found(invoice("J", "B", (1, "1", second)), ordered, *shipments, earlier=(earlier,)) == []


def test_neither_rounding_gives_a_third_cent() -> None:
    ordered = order(("2", "0.333"))
    earlier = invoice("I", "A", (1, "1", 33))
    shipments = (shipment("A", (1, "1")), shipment("B", (1, "1")))
    billed = invoice("J", "B", (1, "1", 35))
    assert found(billed, ordered, *shipments, earlier=(earlier,)) == [("invoice.line_differs", 2)]


def test_more_invoiced_than_shipped_is_a_difference_even_at_the_right_price() -> None:
    billed = invoice("I", "S", (1, "3", 3_000))
    assert found(billed, order(("3", "10")), shipment("S", (1, "2"))) == [("invoice.quantity_differs", 1_000)]


def test_a_shipped_line_that_is_not_invoiced_is_missed() -> None:
    billed = invoice("I", "S", (1, "1", 1_000))
    ordered = order(("1", "10"), ("2", "5"))
    assert found(billed, ordered, shipment("S", (1, "1"), (2, "2"))) == [("invoice.quantity_differs", 1_000)]


def test_a_line_that_the_order_does_not_have_is_named() -> None:
    billed = invoice("I", "S", (1, "1", 1_000), (9, "1", 500))
    assert found(billed, order(("1", "10")), shipment("S", (1, "1"))) == [("invoice.line_unknown", 500)]


FREIGHT = Charge(code="FREIGHT", amount=700)
REBATE = Charge(code="REBATE", kind=ChargeKind.ALLOWANCE, amount=200)


def test_freight_comes_once_with_whichever_invoice() -> None:
    ordered = order(("2", "10"), charges=(FREIGHT, REBATE))
    shipments = (shipment("A", (1, "1")), shipment("B", (1, "1")))
    first = invoice("I", "A", (1, "1", 1_000), (None, "1", 700), (None, "1", -100))
    second = invoice("J", "B", (1, "1", 1_000), (None, "1", -100))
    assert found(first, ordered, shipments[0], last=False) == []
    assert found(second, ordered, *shipments, earlier=(first,)) == []
    twice = invoice("J", "B", (1, "1", 1_000), (None, "1", 700), (None, "1", -100))
    assert found(twice, ordered, *shipments, earlier=(first,)) == [("invoice.charges_differ", 700)]


def test_freight_that_never_comes_is_missed_with_the_last_invoice_only() -> None:
    ordered = order(("1", "10"), charges=(FREIGHT,))
    billed = invoice("I", "S", (1, "1", 1_000))
    assert found(billed, ordered, shipment("S", (1, "1")), last=False) == []
    assert found(billed, ordered, shipment("S", (1, "1"))) == [("invoice.charges_differ", 700)]


def test_charges_of_an_order_that_was_closed_short_are_the_erps_to_share_out() -> None:
    ordered = order(("2", "10"), charges=(FREIGHT, REBATE))
    billed = invoice("I", "S", (1, "1", 1_000), (None, "1", 700), (None, "1", -100))
    assert found(billed, ordered, shipment("S", (1, "1"))) == []


@pytest.mark.parametrize(
    ("tax", "expected"), [(90, []), (91, []), (93, [("invoice.tax_differs", 3)]), (80, [("invoice.tax_differs", 10)])]
)
def test_tax_in_all_is_the_orders_within_the_tolerance(tax: int, expected: list[tuple[str, int]]) -> None:
    ordered = order(("2", "10"))
    shipments = (shipment("A", (1, "1")), shipment("B", (1, "1")))
    first = invoice("I", "A", (1, "1", 1_000), tax=45)
    second = invoice("J", "B", (1, "1", 1_000), tax=tax - 45)
    assert found(first, ordered, shipments[0], tax=90, last=False) == []
    assert found(second, ordered, *shipments, earlier=(first,), tax=90) == expected


def test_tax_that_nobody_but_the_erp_has_said_is_not_compared() -> None:
    assert found(invoice("I", "S", (1, "1", 1_000), tax=80), order(("1", "10")), shipment("S", (1, "1"))) == []


def test_an_invoice_that_does_not_add_up_is_named() -> None:
    billed = invoice("I", "S", (1, "1", 1_000), net_amount=990, total_amount=1_000)
    codes = [code for code, _ in found(billed, order(("1", "10")), shipment("S", (1, "1")))]
    assert codes == ["invoice.does_not_add_up", "invoice.does_not_add_up"]


def test_an_invoice_that_names_no_known_shipment_is_compared_by_its_prices() -> None:
    assert found(invoice("I", "UNKNOWN", (1, "1", 1_000)), order(("1", "10")), shipment("S", (1, "1"))) == []
