"""Money is whole minor units: the currency gives the digits, the named rule rounds, and nothing is lost on the way."""

from __future__ import annotations

import decimal
import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tallystick.documents.money import (
    MAXIMUM_MINOR,
    MINOR_DIGITS,
    Currency,
    MinorAmount,
    PositiveAmount,
    Rounding,
    format_minor,
    from_minor,
    minor_digits,
    to_minor,
)

CURRENCIES = st.sampled_from(sorted(MINOR_DIGITS))
AMOUNTS = st.integers(-MAXIMUM_MINOR, MAXIMUM_MINOR)


@pytest.mark.parametrize(
    ("currency", "digits"), [("JPY", 0), ("ISK", 0), ("USD", 2), ("EUR", 2), ("KWD", 3), ("TND", 3), ("CLF", 4)]
)
def test_digits_are_iso_4217s(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits


@pytest.mark.parametrize("code", ["XXX", "usd", "US", "", "EURO", "DEM", "XAU"])
def test_codes_that_are_no_currency_in_use_are_refused(code: str) -> None:
    with pytest.raises(ValueError, match="not an active ISO 4217 currency code"):
        minor_digits(code)
    with pytest.raises(ValidationError):
        TypeAdapter(Currency).validate_python(code)


@pytest.mark.parametrize(
    ("amount", "currency", "half_up", "half_even"),
    [
        ("1.005", "USD", 101, 100),
        ("1.015", "USD", 102, 102),
        ("1.00499999", "USD", 100, 100),
        ("-1.005", "USD", -101, -100),
        ("0.5", "JPY", 1, 0),
        ("1.5", "JPY", 2, 2),
        ("2.5", "JPY", 3, 2),
        ("1.2345", "KWD", 1235, 1234),
        ("1.2355", "KWD", 1236, 1236),
        ("1.23455", "CLF", 12346, 12346),
        ("0", "USD", 0, 0),
    ],
)
def test_rounding_is_by_the_named_rule_at_the_currencys_digits(
    amount: str, currency: str, half_up: int, half_even: int
) -> None:
    assert to_minor(Decimal(amount), currency, Rounding.HALF_UP) == half_up
    assert to_minor(Decimal(amount), currency, Rounding.HALF_EVEN) == half_even
    assert to_minor(Decimal(amount), currency) == half_up


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(101, "USD", "1.01"), (-5, "USD", "-0.05"), (12, "JPY", "12"), (1, "KWD", "0.001"), (0, "EUR", "0.00")],
)
def test_text_has_the_currencys_digits(amount: int, currency: str, text: str) -> None:
    assert format_minor(amount, currency) == text


@given(amount=AMOUNTS, currency=CURRENCIES, rule=st.sampled_from(Rounding))
def test_minor_units_survive_the_way_to_decimal_and_text_and_back(amount: int, currency: str, rule: Rounding) -> None:
    assert to_minor(from_minor(amount, currency), currency, rule) == amount
    assert to_minor(Decimal(format_minor(amount, currency)), currency, rule) == amount


@given(amount=st.decimals(-(10**12), 10**12, places=16), currency=CURRENCIES)
def test_rounding_is_to_the_nearest_whatever_the_threads_precision(amount: Decimal, currency: str) -> None:
    exact = Fraction(amount) * 10 ** minor_digits(currency)
    with decimal.localcontext(prec=6):
        up, even = to_minor(amount, currency, Rounding.HALF_UP), to_minor(amount, currency, Rounding.HALF_EVEN)
    assert even == round(exact)  # Python rounds fractions half to even
    assert up == (1 if exact >= 0 else -1) * int(abs(exact) + Fraction(1, 2))


@pytest.mark.parametrize("wrong", ["12.5", "12.0", '"12"', "true", "null", "1e3", str(MAXIMUM_MINOR + 1)])
def test_amounts_are_whole_numbers_within_bounds(wrong: str) -> None:
    for kind in (MinorAmount, PositiveAmount):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_json(wrong)


def test_amounts_reach_their_bounds_and_positive_ones_start_at_zero() -> None:
    for amount in (-MAXIMUM_MINOR, -1, 0, MAXIMUM_MINOR):
        assert TypeAdapter(MinorAmount).validate_json(json.dumps(amount)) == amount
    assert TypeAdapter(PositiveAmount).validate_json("0") == 0
    with pytest.raises(ValidationError):
        TypeAdapter(PositiveAmount).validate_json("-1")
