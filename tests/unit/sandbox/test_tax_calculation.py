from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tallystick.documents.money import Rounding
from tallystick.sandbox.tax.calculation import Calculation, calculate
from tallystick.sandbox.tax.rates import RateSettings, RateTable


def asked(*amounts: int, region: str = "CA", rounding: Rounding = Rounding.HALF_UP) -> Calculation:
    return Calculation.model_validate(
        {
            "reference": "O-1",
            "currency": "USD",
            "rounding": rounding,
            "country": "US",
            "region": region,
            "on": "2026-03-01",
            "lines": [{"line_number": n, "amount": amount} for n, amount in enumerate(amounts, start=1)],
        }
    )


def table(rate: str = "0.05") -> RateTable:
    return RateTable(RateSettings(rates={"US-CA": Decimal(rate)}, default_rate=None))


def test_half_a_minor_unit_goes_by_the_orders_rounding_rule() -> None:
    up = calculate(asked(10, 30), table())  # 0.5 and 1.5
    even = calculate(asked(10, 30, rounding=Rounding.HALF_EVEN), table())
    assert up is not None
    assert even is not None
    assert (up["by_line"], even["by_line"]) == ({"1": 1, "2": 2}, {"1": 0, "2": 2})


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.decimals(0, 1, places=5))
def test_the_total_is_the_sum_of_lines_each_within_half_a_unit(amounts: list[int], rate: Decimal) -> None:
    answer = calculate(asked(*amounts), table(str(rate)))
    assert answer is not None
    assert answer["total_amount"] == sum(answer["by_line"].values())
    for amount, tax in zip(amounts, answer["by_line"].values(), strict=True):
        assert abs(tax - amount * rate) <= Decimal("0.5")


def test_there_is_no_tax_without_a_rate() -> None:
    assert calculate(asked(100, region="NY"), table()) is None


def test_the_built_in_table_names_jurisdictions_and_rates_that_can_be() -> None:
    rates = RateSettings().rates
    assert rates["US-CA"] == Decimal("0.0725")
    assert all(0 <= rate < Decimal("0.3") for rate in rates.values())
    assert sum(key.startswith("US-") for key in rates) == 51
