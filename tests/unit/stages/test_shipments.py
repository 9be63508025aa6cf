"""Whether a shipment fits its order, and what it is worth."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.unit.stages.test_invoice_comparison import order, shipment

from tallystick.stages.fulfilment import shipment_problems, shipped_quantities, shipped_value


def test_what_is_open_may_ship_in_any_parts() -> None:
    earlier = [shipment("A", (1, "4"), (2, "1"))]
    assert shipment_problems(order(("10", "1"), ("1", "1")), earlier, shipment("B", (1, "6"))) == []


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (((1, "7"),), "line 1: 7 shipped, only 6 open"),
        (((1, "3"), (1, "4")), "line 1: 4 shipped, only 3 open"),
        (((3, "1"),), "the order has no line 3"),
    ],
)
def test_more_than_open_and_unknown_lines_do_not_fit(lines: tuple[tuple[int, str], ...], problem: str) -> None:
    assert shipment_problems(order(("10", "1")), [shipment("A", (1, "4"))], shipment("B", *lines)) == [problem]


def test_another_product_does_not_fit() -> None:
    sent = shipment("A", (1, "1"))
    other = sent.model_copy(update={"lines": (sent.lines[0].model_copy(update={"product_id": "Q"}),)})
    assert shipment_problems(order(("1", "1")), [], other) == ["line 1 is of P, not Q"]


def test_the_parts_values_add_up_to_the_lines_amount() -> None:
    ordered = order(("3", "0.335"))
    shipped = [shipment("A", (1, "1")), shipment("B", (1, "2"))]
    first = shipped_value(ordered, shipped_quantities(shipped[:1]))
    both = shipped_value(ordered, shipped_quantities(shipped))
    assert (first, both) == (34, ordered.lines_amount)
    assert shipped_quantities(shipped) == {1: Decimal(3)}
