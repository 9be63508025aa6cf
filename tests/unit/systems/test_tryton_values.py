"""An order and a return in Tryton's form: amounts to the cent whatever the digits, and no more back than was billed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest

from tallystick.documents.order import Charge, ChargeKind, Order, OrderLine
from tallystick.documents.returns import Return, ReturnLine
from tallystick.systems.ports import ReturnCommand
from tallystick.systems.tryton.return_values import (
    Amounts,
    NotBilledYetError,
    NotReturnableError,
    Original,
    return_values,
)
from tallystick.systems.tryton.sale_values import UnknownCodeError, noted_tax, sale_lines, tax_note

AT = datetime(2026, 3, 1, tzinfo=UTC)
CENT = Decimal("0.01")


def order(*lines: OrderLine, charges: tuple[Charge, ...] = ()) -> Order:
    return Order(
        channel="edi",
        order_number="1",
        customer_id="C-1",
        currency="USD",
        ordered_at=AT,
        lines=lines,
        charges=charges,
    )


def line(quantity: str, price: str, discount: str = "0") -> OrderLine:
    return OrderLine(
        line_number=1,
        product_id="P-1",
        quantity=Decimal(quantity),
        unit_price=Decimal(price),
        discount=Decimal(discount),
    )


@pytest.mark.parametrize(
    "sold",
    [
        line("3", "10.00"),
        line("5", "18.40", "0.15"),
        line("7", "0.335", "0.333"),
        line("1", "0.125"),
        line("0.5", "0.01"),
        line("1000", "0.999995", "0.5"),
    ],
)
def test_tryton_makes_the_agreed_amount_of_the_price_it_is_given(sold: OrderLine) -> None:
    agreed = order(sold)
    (made,) = sale_lines(agreed, 6)
    amount = (made.unit_price * made.quantity).quantize(CENT, rounding=ROUND_HALF_EVEN)
    assert int(amount * 100) == agreed.net_amount
    assert made.unit_price == made.unit_price.quantize(Decimal("0.000001"))


def test_a_line_that_no_price_of_so_many_digits_makes_is_refused() -> None:
    with pytest.raises(UnknownCodeError, match=r"line 1: no unit price of 2 digits gives 3333\.50 for 10000; raise"):
        sale_lines(order(line("10000", "0.33335")), 2)


def test_charges_follow_the_lines_as_pieces_of_one() -> None:
    charges = (Charge(code="FREIGHT", amount=799), Charge(code="REBATE", kind=ChargeKind.ALLOWANCE, amount=101))
    made = sale_lines(order(line("1", "10.00"), charges=charges), 6)
    assert [(each.description, each.quantity, each.unit_price) for each in made[1:]] == [
        ("FREIGHT", Decimal(1), Decimal("7.99")),
        ("REBATE", Decimal(-1), Decimal("1.01")),
    ]
    assert len({each.sequence for each in made}) == 3


@pytest.mark.parametrize("amount", [0, 211, -73])
def test_the_tax_services_amount_is_read_back_from_its_note(amount: int) -> None:
    assert noted_tax(tax_note(amount)) == amount


@pytest.mark.parametrize("note", [None, "", "call before delivery", "tallystick tax_amount=two"])
def test_other_notes_tell_no_tax(note: str | None) -> None:
    assert noted_tax(note) is None


def original(shipped: str = "3", billed: str = "3", amount: str = "10.00", tax: str | None = None) -> Original:
    """A sale of three pieces for 10.00 in all, so that no price of one piece gives the amount of each."""
    sold = {"product": 5, "unit": 1, "unit_price": Decimal("3.333333"), "amount": Decimal(amount), "taxes": []}
    names = dict.fromkeys(("party", "invoice_address", "shipment_address", "payment_term"), 1)
    names |= dict.fromkeys(("price_list", "currency", "warehouse"), 1)
    sale = {"id": 9, "number": "S9", "currency.": {"code": "USD"}, **names}
    made = Original(sale, {1: {**sold, "actual_quantity": float(shipped)}}, tax=None if tax is None else Decimal(tax))
    made.billed[1] = Amounts(Decimal(billed), Decimal(amount))
    return made


def goods_back(quantity: str, number: int = 1) -> ReturnCommand:
    returned = Return(
        number="RMA-1",
        received_at=AT,
        reason="damaged",
        lines=(ReturnLine(line_number=number, product_id="P-1", quantity=Decimal(quantity)),),
    )
    return ReturnCommand("TS-1-R-RMA-1", "TS-1", "S9", order(line("3", "3.333333")), returned)


def credit(values: dict[str, Any]) -> tuple[Decimal, int | None]:
    """What Tryton will credit for the goods, and the tax noted beside it."""
    lines = values["lines"][0][1]
    goods = [each for each in lines if each["type"] == "line"]
    amounts = (Decimal(str(each["quantity"])) * each["unit_price"] for each in goods)
    tax = next((noted_tax(each["note"]) for each in lines if each["type"] == "comment"), None)
    return -sum((each.quantize(CENT, rounding=ROUND_HALF_EVEN) for each in amounts), Decimal(0)), tax


def test_piece_by_piece_no_cent_of_amount_or_tax_is_lost_or_left() -> None:
    sale, credited = original(tax="0.70"), []
    for _ in range(3):
        values = return_values(goods_back("1"), sale, 6)
        amount, tax = credit(values)
        assert tax is not None
        credited.append((amount, tax))
        sale.returned[1].add({"quantity": -1.0, "amount": -amount})
        sale.credited_tax -= Decimal(tax) / 100
    assert credited == [(Decimal("3.33"), -23), (Decimal("3.34"), -24), (Decimal("3.33"), -23)]


def test_a_return_is_of_its_sale_and_says_why() -> None:
    values = return_values(goods_back("3"), original(), 6)
    assert (values["origin"], values["reference"]) == ("sale.sale,9", "TS-1-R-RMA-1")
    assert values["description"] == "return RMA-1: damaged"
    assert credit(values) == (Decimal("10.00"), None)


@pytest.mark.parametrize(
    ("command", "sale", "refusal", "said"),
    [
        (goods_back("4"), original(), NotReturnableError, "line 1 of sale S9: 4 came back in all, but only 3.0 left"),
        (goods_back("3"), original(billed="2"), NotBilledYetError, "3 came back in all, but only 2 is billed"),
        (goods_back("1", 2), original(), NotReturnableError, "there is no line 2 of sale S9"),
    ],
)
def test_no_more_comes_back_than_left_and_was_billed(
    command: ReturnCommand, sale: Original, refusal: type[Exception], said: str
) -> None:
    with pytest.raises(refusal, match=said):
        return_values(command, sale, 6)
