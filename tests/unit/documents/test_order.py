"""Orders: what is refused, by which field and in which words, before any check sees it; and that the arithmetic ties out."""

from __future__ import annotations

import decimal
import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.documents.orders import line, mistakes, order_data, parsed

from tallystick.documents.money import MINOR_DIGITS, Rounding
from tallystick.documents.order import Charge, ChargeKind, Order, OrderLine
from tallystick.documents.values import MAXIMUM_LINES


def test_order_is_taken_as_sent() -> None:
    order = parsed(charges=[{"code": "FREIGHT", "amount": 500}], tax_amount=100, total_amount=2600)
    assert (order.entity, order.lines_amount, order.net_amount) == ("default", 2000, 2500)
    assert order.ordered_at.isoformat() == "2026-11-24T09:30:00+00:00"


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"lines": []}, "lines", "at least one line"),
        ({"lines": [line(n) for n in range(1, 10_001)]}, "lines", f"at most {MAXIMUM_LINES} items"),
        ({"lines": [line(1), line(2), line(1)]}, "lines.2.line_number", "1 is used by an earlier line"),
        ({"lines": [line(0)]}, "lines.0.line_number", "greater than or equal to 1"),
        ({"lines": [line(1_000_000)]}, "lines.0.line_number", "less than or equal to 999999"),
        ({"lines": [line("1")]}, "lines.0.line_number", "valid integer"),  # type: ignore[arg-type]  # the wrong type is the case
        ({"lines": [line(quantity="-3")]}, "lines.0.quantity", "greater than 0"),
        ({"lines": [line(quantity=0)]}, "lines.0.quantity", "greater than 0"),
        ({"lines": [line(quantity="10000001")]}, "lines.0.quantity", "less than or equal to 10000000"),
        ({"lines": [line(quantity="1e30")]}, "lines.0.quantity", "less than or equal to|no more than 14 digits"),
        ({"lines": [line(quantity="0.00001")]}, "lines.0.quantity", "no more than 4 decimal places"),
        ({"lines": [line(quantity="NaN")]}, "lines.0.quantity", "finite"),
        ({"lines": [line(quantity="1_000")]}, "lines.0.quantity", "digits 0 to 9"),
        ({"lines": [line(quantity="１２")]}, "lines.0.quantity", "digits 0 to 9"),
        ({"lines": [line(quantity="1,5")]}, "lines.0.quantity", "valid decimal"),
        ({"lines": [line(quantity=True)]}, "lines.0.quantity", "Decimal"),
        ({"lines": [line(unit_price="-0.01")]}, "lines.0.unit_price", "greater than or equal to 0"),
        ({"lines": [line(unit_price="0.0000001")]}, "lines.0.unit_price", "no more than 6 decimal places"),
        ({"lines": [line(discount="1.01")]}, "lines.0.discount", "less than or equal to 1"),
        ({"lines": [line(discount="-0.1")]}, "lines.0.discount", "greater than or equal to 0"),
        ({"lines": [line(amount=1999)]}, "lines.0.amount", r"stated 1999, but .* is 2000 \(half_up\)"),
        ({"lines": [line(amount=20.0)]}, "lines.0.amount", "valid integer"),
        ({"total_amount": 1999}, "total_amount", "stated 1999, but lines, charges and tax_amount add up to 2000"),
        ({"charges": [{"kind": "allowance", "code": "X", "amount": 2001}]}, "total_amount", "-1 is outside 0 to"),
        ({"lines": [line(quantity=10_000_000, unit_price=100_000_000)]}, "total_amount", "is outside 0 to"),
        ({"charges": [{"code": "X", "amount": -1}]}, "charges.0.amount", "greater than or equal to 0"),
        ({"charges": [{"code": "X", "amount": 1}] * 101}, "charges", "at most 100 items"),
        ({"charges": [{"kind": "gift", "code": "X", "amount": 1}]}, "charges.0.kind", "'allowance' or 'charge'"),
        ({"currency": "XXX"}, "currency", "not an active ISO 4217"),
        ({"currency": "usd"}, "currency", "not an active ISO 4217"),
        ({"tax_amount": 1.5}, "tax_amount", "valid integer"),
        ({"rounding": "up"}, "rounding", "'half_up' or 'half_even'"),
        ({"ordered_at": "2026-11-24T09:30:00"}, "ordered_at", "timezone"),
        ({"ordered_at": 1_795_512_600}, "ordered_at", "written as"),
        ({"ordered_at": "1795512600"}, "ordered_at", "written as"),
        ({"ordered_at": "0001-01-01T00:00:00+05:00"}, "ordered_at", "outside the years 1 to 9999"),
        ({"requested_delivery": 0}, "requested_delivery", "written as"),
        ({"requested_delivery": "2026-02-30"}, "requested_delivery", "day value is outside"),
        (
            {"requested_shipment": "2026-12-02", "requested_delivery": "2026-12-01"},
            "requested_delivery",
            "2026-12-01 is before requested_shipment, which is 2026-12-02",
        ),
        (
            {"requested_shipment": "2026-12-02", "cancel_after": "2026-12-01"},
            "cancel_after",
            "before requested_shipment",
        ),
        ({"customer_id": "C\x001"}, "customer_id", "pattern"),
        ({"customer_id": "C\u202e1"}, "customer_id", "pattern"),
        ({"order_number": "W\n1"}, "order_number", "pattern"),
        ({"order_number": "   "}, "order_number", "at least 1 character"),
        ({"order_number": "x" * 65}, "order_number", "at most 64 characters"),
        ({"notes": "bell \x07"}, "notes", "pattern"),
        ({"notes": "\x9b31m"}, "notes", "pattern"),
        ({"notes": "x" * 2_001}, "notes", "at most 2000 characters"),
        ({"ship_to": {"country": "usa"}}, "ship_to.country", "pattern"),
        ({"colour": "red"}, "colour", "not permitted"),
        ({"lines": [line(colour="red")]}, "lines.0.colour", "not permitted"),
        ({"lines": {"1": line()}}, "lines", "array"),
    ],
)
def test_mistake_is_told_by_its_field(changes: dict[str, Any], where: str, said: str) -> None:
    found = mistakes(**changes)
    assert [place for place, _ in found] == [where]
    assert re.search(said, found[0][1]), found[0][1]


def test_every_wrong_field_is_told_at_once() -> None:
    wrong = mistakes(currency="XXX", lines=[line(quantity="-1"), line(2, unit_price="x")])
    assert {place for place, _ in wrong} == {"currency", "lines.0.quantity", "lines.1.unit_price"}


def test_misfit_names_its_field_in_the_message_too() -> None:
    assert mistakes(lines=[line(amount=1)])[0][1].startswith("lines[0].amount: stated 1, ")


def test_surrogates_and_absurd_numbers_are_not_json_or_out_of_bounds() -> None:
    text = json.dumps(order_data())
    for wrong in (
        text.replace('"W-1"', '"\\ud800"'),
        text.replace('"2"', "1e400"),
        text.replace('"2"', "NaN"),
        text.replace('"2"', "-Infinity"),
        text.replace('"2"', "9" * 5_000),
        text.replace('"2"', "[" * 5_000 + "]" * 5_000),
    ):
        with pytest.raises(ValidationError):
            Order.model_validate_json(wrong)


@pytest.mark.parametrize("quantity", [2, "2", "2.0", " 2 ", "2E0", 2.0, Decimal(2)])
def test_same_quantity_however_it_is_written(quantity: Any) -> None:
    assert OrderLine.model_validate(line(quantity=quantity)).quantity == 2


def test_largest_order_is_taken() -> None:
    order = parsed(lines=[line(n) for n in range(1, MAXIMUM_LINES + 1)])
    assert order.lines_amount == MAXIMUM_LINES * 2000


def test_spaces_around_names_are_not_part_of_them() -> None:
    assert parsed(order_number="  W-1 ", customer_po="\tPO ").order_number == "W-1"


def test_instant_is_kept_in_utc() -> None:
    assert parsed(ordered_at="2026-11-24T09:30:00+05:30").ordered_at.isoformat() == "2026-11-24T04:00:00+00:00"


@pytest.mark.parametrize(
    ("changes", "net"),
    [
        ({"currency": "JPY", "lines": [line(quantity="3", unit_price="0.5")]}, 2),
        ({"currency": "JPY", "lines": [line(quantity="3", unit_price="1.5")], "rounding": "half_even"}, 4),
        ({"currency": "KWD", "lines": [line(quantity="1", unit_price="1.2345")]}, 1235),
        ({"currency": "KWD", "lines": [line(quantity="1", unit_price="1.2345")], "rounding": "half_even"}, 1234),
        ({"lines": [line(quantity="3", unit_price="33.335", discount="0.1")]}, 9000),
        ({"lines": [line(unit_price="0")]}, 0),
        ({"lines": [line(discount="1")]}, 0),
        ({"lines": [line()], "charges": [{"kind": "allowance", "code": "X", "amount": 2000}]}, 0),
        ({"lines": [line()], "charges": [{"code": "FREIGHT", "amount": 1}]}, 2001),
    ],
)
def test_net_amount_is_rounded_line_by_line_in_the_currencys_digits(changes: dict[str, Any], net: int) -> None:
    assert parsed(**changes).net_amount == net


def test_line_is_rounded_once_even_where_the_exact_amount_has_31_digits() -> None:
    # Exactly half a cent less 1e-16: rounding to 28 digits first would make it half a cent, and then a cent more.
    wanted = OrderLine.model_validate(line(quantity="1000000.0001", unit_price="1000000.000001", discount="0.000003"))
    exact = Fraction(wanted.quantity) * Fraction(wanted.unit_price) * (1 - Fraction(wanted.discount))
    assert wanted.net_amount("USD", Rounding.HALF_UP) == int(exact * 100 + Fraction(1, 2))


def test_order_and_its_lines_do_not_change() -> None:
    order = parsed()
    with pytest.raises(ValidationError, match="frozen"):
        order.customer_id = "C-2"  # type: ignore[misc]  # what is refused
    with pytest.raises(ValidationError, match="frozen"):
        order.lines[0].quantity = Decimal(3)  # type: ignore[misc]  # what is refused
    assert isinstance(order.lines, tuple)


def test_a_copy_with_other_lines_has_their_amounts() -> None:
    order = parsed(lines=[line(quantity="2", unit_price="10")])
    assert order.line_amounts == (2000,)
    other = order.lines[0].model_copy(update={"quantity": Decimal(3)})
    copied = order.model_copy(update={"lines": (other,)})
    assert (copied.line_amounts, copied.net_amount) == ((3000,), 3000)
    assert copied.model_dump(exclude={"lines"}) == order.model_dump(exclude={"lines"})
    assert order.model_copy() == order


def test_charge_has_its_sign_by_its_kind() -> None:
    assert Charge(code="F", amount=5).signed_amount == 5
    assert Charge(kind=ChargeKind.ALLOWANCE, code="D", amount=5).signed_amount == -5


_LINES = st.builds(
    lambda quantity, unit_price, discount: {"quantity": quantity, "unit_price": unit_price, "discount": discount},
    st.decimals("0.0001", 9_999_999, places=4).map(str),
    st.decimals(0, 9_999, places=6).map(str),
    st.decimals(0, 1, places=6).map(str),
)


@given(
    lines=st.lists(_LINES, min_size=1, max_size=8),
    charges=st.lists(st.integers(0, 10**9), max_size=3),
    tax=st.none() | st.integers(0, 10**9),
    currency=st.sampled_from(sorted(MINOR_DIGITS)),
    rounding=st.sampled_from(Rounding),
)
def test_order_survives_its_json_and_its_amounts_add_up(
    lines: list[dict[str, Any]], charges: list[int], tax: int | None, currency: str, rounding: Rounding
) -> None:
    numbered = [line(number, **each) for number, each in enumerate(lines, 1)]
    added = [{"code": "FREIGHT", "amount": amount} for amount in charges]
    order = parsed(lines=numbered, charges=added, tax_amount=tax, currency=currency, rounding=rounding)
    assert Order.model_validate_json(order.model_dump_json()) == order
    assert Order.model_validate(json.loads(order.model_dump_json(exclude_none=True))) == order
    exact = [
        Fraction(each["quantity"]) * Fraction(each["unit_price"]) * (1 - Fraction(each["discount"]))
        for each in numbered
    ]
    scale = 10 ** MINOR_DIGITS[currency]
    off = [
        abs(each.net_amount(currency, rounding) - part * scale) for each, part in zip(order.lines, exact, strict=True)
    ]
    assert max(off) <= Fraction(1, 2)
    assert order.net_amount == sum(each.net_amount(currency, rounding) for each in order.lines) + sum(charges)
    # Stated as they are, the same amounts are taken; one more anywhere, they are not.
    stated = [
        each | {"amount": kept.net_amount(currency, rounding)} for each, kept in zip(numbered, order.lines, strict=True)
    ]
    same = {"charges": added, "tax_amount": tax, "currency": currency, "rounding": rounding}
    total = order.net_amount + (tax or 0)
    assert parsed(lines=stated, total_amount=total, **same).net_amount == order.net_amount
    assert mistakes(lines=stated, total_amount=total + 1, **same)[0][0] == "total_amount"
    stated[-1]["amount"] += 1
    assert mistakes(lines=stated, **same)[0][0] == f"lines.{len(stated) - 1}.amount"


def test_threads_precision_changes_nothing() -> None:
    with decimal.localcontext(prec=4):
        assert parsed(lines=[line(quantity="12345.6789", unit_price="98.765432")]).net_amount == 121932631
