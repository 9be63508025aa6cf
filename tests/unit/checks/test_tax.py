"""The quoted tax against the service's, and when a replica of its rates may stand in."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.checks.orders import TODAY, case, codes, line, order

from tallystick.checks.tax import judge_tax
from tallystick.checks.tax_rates import Rates, destination, rate_key, tax_at
from tallystick.documents.decision import Decision
from tallystick.documents.money import Rounding
from tallystick.documents.party import Address, Customer
from tallystick.settings import FactsPolicy, Policy
from tallystick.systems.failure import Rejected, Unavailable
from tallystick.systems.ports import TaxAnswer

CALIFORNIA = Address(id="CA1", region="CA")


def customer(**more: Any) -> Customer:
    return Customer(id="C1", name="One", **more)


@pytest.mark.parametrize(
    ("quoted", "held"), [(None, False), (72, False), (73, False), (74, False), (71, True), (75, True)]
)
def test_the_quoted_tax_may_differ_by_the_tolerance(quoted: int | None, held: bool) -> None:
    found = judge_tax(case(tax_amount=quoted), TaxAnswer(73, "US-CA"), Policy(tax_tolerance_amount=1))
    assert codes(found) == (["tax.differs"] if held else [])


def test_a_difference_names_both_amounts() -> None:
    [reason] = judge_tax(case(tax_amount=100), TaxAnswer(73, "US-CA"), Policy())
    assert (reason.order_value, reason.system_value, reason.money_at_risk) == ("1.00", "0.73", 27)
    assert reason.path == "tax_amount"


def test_a_services_no_is_about_the_jurisdiction_or_else() -> None:
    unknown = Rejected("no rate for XX", system="tax", code="tax.unknown_jurisdiction")
    assert codes(judge_tax(case(), unknown, Policy())) == ["tax.jurisdiction_unknown"]
    assert codes(judge_tax(case(), Rejected("no", system="tax"), Policy())) == ["tax.rejected"]


@pytest.mark.parametrize("decision", ["hold", "accept", "reject"])
def test_an_order_whose_tax_cannot_be_had_is_decided_by_policy(decision: Any) -> None:
    policy = Policy(tax=FactsPolicy(when_unavailable=decision))
    [reason] = judge_tax(case(), Unavailable("away", system="tax"), policy)
    assert (reason.code, reason.decision) == ("tax.facts_unavailable", Decision(decision))


def test_goods_go_to_the_orders_address_completed_from_the_customers() -> None:
    known = customer(ship_to=(CALIFORNIA,))
    assert destination(order(), known) == CALIFORNIA
    assert destination(order(ship_to=Address(id="CA1")), known) == CALIFORNIA
    assert destination(order(ship_to=Address(region="NY")), known) == Address(region="NY")
    assert destination(order(), None) is None


def test_the_replica_answers_only_for_todays_orders_without_exemption_to_a_known_place() -> None:
    today = TODAY.date()
    there = order(ship_to=CALIFORNIA)
    assert rate_key(there, customer(), today) == ("US-CA", "USD")
    assert rate_key(there, customer(tax_exempt=True), today) is None
    assert rate_key(there, None, today) == ("US-CA", "USD")
    assert rate_key(there, customer(), today + timedelta(days=1)) is None
    assert rate_key(order(), customer(), today) is None


@given(
    rate=st.decimals(0, "0.3", places=5),
    cents=st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    rounding=st.sampled_from(Rounding),
)
def test_tax_from_a_rate_is_within_half_a_cent_a_line_of_the_exact_amount(
    rate: Decimal, cents: list[int], rounding: Rounding
) -> None:
    lines = [line(price=f"{each / 100:.2f}", number=index + 1) for index, each in enumerate(cents)]
    taxed = tax_at(rate, order(*lines, rounding=rounding), "US-CA")
    assert abs(taxed.total_amount - sum(cents) * rate) <= Decimal("0.5") * len(cents)
    assert sum(taxed.by_line.values()) == taxed.total_amount


def test_a_rate_is_forgotten_when_it_is_older_than_asked_for() -> None:
    rates = Rates()
    rates.put(("US-CA", "USD"), Decimal("0.0725"), age=100.0)
    assert rates.find(("US-CA", "USD"), 99.0) is None
    found = rates.find(("US-CA", "USD"), 101.0)
    assert found is not None
    assert found[0] == Decimal("0.0725")
