"""What speaks against an order's header, one deviation at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.checks.orders import TODAY, case, codes

from tallystick.checks.customer import judge_customer
from tallystick.documents.decision import Decision
from tallystick.documents.party import Address, Customer, CustomerStatus

DOCK = Address(id="DOCK", street="1 Dock Rd", city="Oakland", region="CA", postal_code="94607")


def customer(**more: Any) -> Customer:
    return Customer(id="C1", name="One", **more)


def test_an_order_that_agrees_with_the_master_data_passes() -> None:
    known = customer(
        payment_terms="NET30", ship_to=(DOCK,), tax_exempt=True, exemption_expires_at=datetime(2027, 1, 1, tzinfo=UTC)
    )
    assert judge_customer(case(payment_terms="NET30", ship_to=DOCK), known, TODAY) == []


def test_an_unknown_customer_is_rejected_with_the_whole_order_at_risk() -> None:
    [reason] = judge_customer(case(), None, TODAY)
    assert (reason.code, reason.decision, reason.order_value) == ("customer.unknown", Decision.REJECT, "C1")
    assert reason.money_at_risk == 1000


@pytest.mark.parametrize(
    ("known", "stated", "code", "decision", "values"),
    [
        ({"status": CustomerStatus.INACTIVE}, {}, "inactive", Decision.REJECT, ("C1", "inactive")),
        ({"status": CustomerStatus.BLOCKED}, {}, "blocked", Decision.HOLD, ("C1", "blocked")),
        ({"currency": "EUR"}, {}, "currency_differs", Decision.REJECT, ("USD", "EUR")),
        (
            {"payment_terms": "NET30"},
            {"payment_terms": "NET60"},
            "terms_differ",
            Decision.HOLD,
            ("NET60", "NET30"),
        ),
        ({"ship_to": (DOCK,)}, {"ship_to": Address(id="ELSE")}, "ship_to_unknown", Decision.HOLD, ("ELSE", "DOCK")),
        (
            {"tax_exempt": True, "exemption_expires_at": datetime(2026, 3, 1, tzinfo=UTC)},
            {},
            "exemption_expired",
            Decision.HOLD,
            ("2026-03-02", "2026-03-01"),
        ),
    ],
)
def test_each_deviation_has_its_code_its_decision_and_both_values(
    known: dict[str, Any], stated: dict[str, Any], code: str, decision: Decision, values: tuple[str, str]
) -> None:
    [reason] = judge_customer(case(**stated), customer(**known), TODAY)
    assert (reason.code, reason.decision) == (f"customer.{code}", decision)
    assert (reason.order_value, reason.system_value) == values


def test_an_address_is_known_by_its_text_whatever_the_case_of_its_letters() -> None:
    shouted = Address(street="1 DOCK RD", city="OAKLAND", region="CA", postal_code="94607")
    assert judge_customer(case(ship_to=shouted), customer(ship_to=(DOCK,)), TODAY) == []


def test_terms_and_addresses_that_the_erp_does_not_keep_are_not_held_against_an_order() -> None:
    assert judge_customer(case(payment_terms="NET60", ship_to=DOCK), customer(), TODAY) == []


def test_all_deviations_are_named_at_once() -> None:
    known = customer(status=CustomerStatus.BLOCKED, currency="EUR", payment_terms="NET30", ship_to=(DOCK,))
    found = judge_customer(case(payment_terms="NET60", ship_to=Address(id="ELSE")), known, TODAY)
    assert codes(found) == [
        "customer.blocked",
        "customer.currency_differs",
        "customer.terms_differ",
        "customer.ship_to_unknown",
    ]
