"""Which price holds, and when a line's price is far enough from it to be held."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.checks.orders import case, codes, line

from tallystick.checks.price import judge_prices
from tallystick.checks.price_ladder import Ladder, PriceSheet, Tier, applicable_price
from tallystick.documents.decision import Decision
from tallystick.documents.party import Customer

DAY = date(2026, 3, 2)
EXACT = (Decimal(0), 0)


def tier(price: str, kind: str = "list", minimum: str = "0", **more: Any) -> Tier:
    values: dict[str, Any] = {"price_list": None, "currency": "USD", "unit": "EA", **more}
    return Tier(kind=kind, unit_price=Decimal(price), minimum_quantity=Decimal(minimum), **values)


def price(*tiers: Tier, quantity: str = "1", price_list: str | None = None) -> str | None:
    found = applicable_price(
        tiers, quantity=Decimal(quantity), unit="EA", currency="USD", on=DAY, price_list=price_list
    )
    return str(found.unit_price) if found else None


def test_a_contract_goes_before_the_list_even_when_it_is_dearer() -> None:
    assert price(tier("10"), tier("12", "contract")) == "12"


def test_the_customers_price_list_goes_before_the_list_for_all() -> None:
    tiers = (tier("10"), tier("11", price_list="GOLD"))
    assert (price(*tiers, price_list="GOLD"), price(*tiers), price(*tiers, price_list="TIN")) == ("11", "10", "10")


def test_the_highest_quantity_break_reached_holds() -> None:
    tiers = (tier("10"), tier("9", minimum="10"), tier("8", minimum="100"))
    assert [price(*tiers, quantity=each) for each in ("9.9999", "10", "99", "100")] == ["10", "9", "9", "8"]


def test_below_a_contracts_first_break_the_list_holds() -> None:
    tiers = (tier("10"), tier("7", "contract", minimum="50"))
    assert (price(*tiers, quantity="49"), price(*tiers, quantity="50")) == ("10", "7")


def test_a_promotion_beats_contract_and_list_only_where_it_is_lower() -> None:
    assert price(tier("10"), tier("8", "contract"), tier("7", "promotion")) == "7"
    assert price(tier("10"), tier("8", "contract"), tier("9", "promotion")) == "8"


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (DAY, DAY, "7"),
        (date(2026, 3, 3), None, "10"),
        (None, date(2026, 3, 1), "10"),
        (None, DAY, "7"),
        (DAY, None, "7"),
    ],
)
def test_a_promotion_holds_on_its_days_both_included(first: date | None, last: date | None, expected: str) -> None:
    assert price(tier("10"), tier("7", "promotion", valid_from=first, valid_to=last)) == expected


def test_prices_in_another_currency_or_unit_do_not_count() -> None:
    assert price(tier("10", currency="EUR"), tier("120", unit="CS")) is None


_TIERS = st.lists(
    st.builds(
        Tier,
        kind=st.sampled_from(["contract", "promotion", "list"]),
        price_list=st.sampled_from([None, "GOLD", "TIN"]),
        currency=st.sampled_from(["USD", "EUR"]),
        unit=st.sampled_from(["EA", "CS"]),
        unit_price=st.decimals(0, 20, places=2),
        minimum_quantity=st.decimals(0, 50, places=1),
        valid_from=st.sampled_from([None, date(2026, 3, 1), DAY, date(2026, 3, 3)]),
        valid_to=st.sampled_from([None, date(2026, 3, 1), DAY, date(2026, 3, 3)]),
    ),
    max_size=8,
)


@given(tiers=_TIERS, quantity=st.decimals("0.1", 60, places=1), price_list=st.sampled_from([None, "GOLD"]))
def test_a_ladder_says_at_every_quantity_what_the_rule_says(
    tiers: list[Tier], quantity: Decimal, price_list: str | None
) -> None:
    ladder = Ladder(tiers, unit="EA", currency="USD", on=DAY, price_list=price_list)
    expected = applicable_price(tiers, quantity=quantity, unit="EA", currency="USD", on=DAY, price_list=price_list)
    assert ladder.price(quantity) == expected


def judge(
    ordered: str, *tiers: Tier, quantity: str = "1", tolerance: tuple[Decimal, int] = EXACT, **customer: Any
) -> list[Any]:
    sheet = PriceSheet({"P1": tiers}, {})
    known = Customer(id="C1", name="One", **customer)
    return judge_prices(case(line(price=ordered, quantity=quantity)), known, sheet, tolerance)


def test_a_difference_is_held_with_both_prices_and_the_difference_of_the_extensions_at_risk() -> None:
    [reason] = judge("9.50", tier("10.00"), quantity="12")
    assert (reason.code, reason.decision, reason.path) == ("price.below_list", Decision.HOLD, "lines[0].unit_price")
    assert (reason.order_value, reason.system_value, reason.money_at_risk) == ("9.50", "10.00", 600)


def test_the_code_says_which_side_and_which_price() -> None:
    assert codes(judge("11", tier("10"), tier("9", "contract"))) == ["price.above_contract"]
    assert codes(judge("6", tier("10"), tier("7", "promotion"))) == ["price.below_promotion"]


def test_equal_prices_pass_whatever_their_number_of_digits() -> None:
    assert judge("10", tier("10.000000")) == []


@pytest.mark.parametrize(("ordered", "held"), [("9.90", False), ("9.89", True), ("10.10", False), ("10.11", True)])
def test_a_fraction_of_our_extension_is_tolerated_and_not_a_cent_more(ordered: str, held: bool) -> None:
    assert bool(judge(ordered, tier("10.00"), tolerance=(Decimal("0.01"), 0))) is held


@pytest.mark.parametrize(("ordered", "held"), [("9.50", False), ("9.49", True)])
def test_an_amount_is_tolerated_per_line_where_it_is_more_than_the_fraction(ordered: str, held: bool) -> None:
    assert bool(judge(ordered, tier("10.00"), tolerance=(Decimal("0.01"), 50))) is held


def test_a_customers_own_tolerance_stands_in_place_of_the_policys() -> None:
    assert judge("9.00", tier("10.00"), price_tolerance=Decimal("0.1")) == []
    assert judge("9.99", tier("10.00"), tolerance=(Decimal("0.5"), 10_000), price_tolerance=Decimal(0))


def test_the_lines_discount_counts_on_both_sides() -> None:
    sheet = PriceSheet({"P1": [tier("10.00")]}, {})
    discounted = case(line(price="9.00", quantity="10", discount=Decimal("0.5")))
    [reason] = judge_prices(discounted, Customer(id="C1", name="One"), sheet, EXACT)
    assert reason.money_at_risk == 500


def test_a_line_without_a_price_is_held_and_names_the_prices_that_there_are() -> None:
    [reason] = judge("10", tier("9", currency="EUR"), tier("99", unit="CS"), quantity="2")
    assert (reason.code, reason.order_value) == ("price.not_found", "10 USD per EA")
    assert reason.system_value == "9 EUR per EA (list); 99 USD per CS (list)"
    assert reason.money_at_risk == 2000


def test_a_customers_own_prices_are_not_anothers() -> None:
    sheet = PriceSheet({"P1": [tier("10")]}, {"C1": {"P1": [tier("8", "contract")]}})
    wanted = case(line(price="8"))
    assert judge_prices(wanted, Customer(id="C1", name="One"), sheet, EXACT) == []
    assert codes(judge_prices(wanted, Customer(id="C2", name="Two"), sheet, EXACT)) == ["price.below_list"]
