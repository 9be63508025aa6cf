"""Whether a customer may owe an order, too."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.checks.orders import case, codes, line, order

from tallystick.checks.check import Case
from tallystick.checks.credit import CreditEvidence
from tallystick.checks.facts import Facts
from tallystick.documents.decision import Decision
from tallystick.documents.party import CreditPosition, Customer


def evidence(promised: int = 0, credit_hold: bool = False, **position: Any) -> CreditEvidence:
    known = CreditPosition(customer_id="C1", **{"currency": "USD", **position})
    customers = {"C1": Customer(id="C1", name="One", credit_hold=credit_hold)}
    return CreditEvidence(Facts({"C1": (known, promised)}, "replica", 1.0), customers)


def test_everything_owed_and_promised_counts_and_the_limit_itself_may_be_reached() -> None:
    owed: dict[str, Any] = {"open_orders": 1_000, "open_invoices": 2_000, "promised": 3_000}
    assert not evidence(limit=7_000, **owed).judge(case())
    [reason] = evidence(limit=6_999, **owed).judge(case())
    assert (reason.code, reason.decision, reason.money_at_risk) == ("credit.over_limit", Decision.HOLD, 1)
    assert (reason.order_value, reason.system_value) == ("70.00", "69.99")


def test_tax_counts_the_services_rather_than_the_quoted() -> None:
    quoted = case(tax_amount=100)
    assert not evidence(limit=1_100).judge(quoted)
    quoted.tax_amount = 101
    assert codes(evidence(limit=1_100).judge(quoted)) == ["credit.over_limit"]


def test_no_limit_and_no_position_hold_nothing() -> None:
    assert not evidence(limit=None, open_invoices=10**12).judge(case())
    assert not CreditEvidence(Facts({}, "replica", 1.0), {}).judge(case())


def test_a_hold_is_a_hold_wherever_the_erp_notes_it() -> None:
    assert codes(evidence(on_hold=True).judge(case())) == ["credit.on_hold"]
    assert codes(evidence(credit_hold=True, limit=10**9).judge(case())) == ["credit.on_hold"]


def test_another_currency_than_the_limits_is_for_finance_to_decide() -> None:
    [reason] = evidence(currency="EUR", limit=10**9).judge(case())
    assert (reason.code, reason.order_value, reason.system_value) == ("credit.currency_differs", "USD", "EUR")


def test_a_change_counts_only_what_it_adds() -> None:
    facts = evidence(limit=2_000, open_orders=1_500)
    assert not facts.judge(Case(order(line(price="15.00")), replaced=order(line(price="10.00"))))
    assert facts.judge(Case(order(line(price="15.01")), replaced=order(line(price="10.00"))))


def test_a_change_to_less_is_let_through_even_over_the_limit() -> None:
    assert not evidence(limit=100, open_orders=5_000).judge(
        Case(order(line(price="9.00")), replaced=order(line(price="10.00")))
    )


@given(limit=st.integers(0, 20_000), cents=st.lists(st.integers(1, 9_000), min_size=1, max_size=8))
def test_accepted_orders_together_never_pass_the_limit(limit: int, cents: list[int]) -> None:
    facts = evidence(limit=limit)
    owed = 0
    for amount in cents:
        each = case(line(price=f"{amount / 100:.2f}"))
        fits = not facts.judge(each)
        assert fits is (owed + amount <= limit)
        if fits:
            facts.take(each)
            owed += amount
