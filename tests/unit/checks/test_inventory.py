"""Whether the lines can be promised: by product, warehouse, unit, and what others took before."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.checks.orders import case, codes, line, order

from tallystick.checks.check import Case
from tallystick.checks.facts import Facts
from tallystick.checks.inventory import InventoryEvidence
from tallystick.documents.decision import Decision
from tallystick.documents.party import Customer
from tallystick.settings import Policy


def evidence(
    stock: dict[tuple[str, str], int], customer: dict[str, Any] | None = None, **policy: Any
) -> InventoryEvidence:
    products = {"P1": ("EA", True), "P2": ("EA", True), "OLD": ("EA", False)}
    customers = {"C1": Customer(id="C1", name="One", **(customer or {}))}
    levels = {key: Decimal(value) for key, value in stock.items()}
    return InventoryEvidence(products, Facts(levels, "replica", 1.0), customers, Policy(**policy))


def test_enough_stock_passes_to_the_last_piece() -> None:
    facts = evidence({("P1", "MAIN"): 10})
    assert list(facts.judge(case(line(quantity="10")))) == []
    assert codes(facts.judge(case(line(quantity="10.0001")))) == ["inventory.insufficient"]


def test_a_shortage_names_both_quantities_and_what_the_missing_pieces_are_worth() -> None:
    [reason] = evidence({("P1", "MAIN"): 4}).judge(case(line(quantity="10", price="3.00")))
    assert (reason.order_value, reason.system_value, reason.money_at_risk) == ("10", "4", 1800)
    assert reason.path == "lines[0].quantity"


@pytest.mark.parametrize(
    ("policy", "customer", "decision"),
    [
        ("hold", {}, Decision.HOLD),
        ("reject", {}, Decision.REJECT),
        ("allow", {}, None),
        ("allow", {"backorders_allowed": False}, Decision.HOLD),
        ("reject", {"backorders_allowed": False}, Decision.REJECT),
    ],
)
def test_the_backorder_policy_decides_and_a_customer_may_refuse_backorders(
    policy: str, customer: dict[str, Any], decision: Decision | None
) -> None:
    found = evidence({}, customer, backorders=policy).judge(case())
    assert [reason.decision for reason in found] == ([decision] if decision else [])


def test_the_lines_warehouse_goes_before_the_customers_before_the_policys() -> None:
    stock = {("P1", "LINE"): 1, ("P1", "OWN"): 2, ("P1", "MAIN"): 3}
    own = evidence(stock, {"warehouse": "OWN"})
    assert [codes(own.judge(case(line(quantity=each, warehouse="LINE")))) for each in ("1", "2")] == [
        [],
        ["inventory.insufficient"],
    ]
    assert [bool(own.judge(case(line(quantity=each)))) for each in ("2", "3")] == [False, True]
    assert [bool(evidence(stock).judge(case(line(quantity=each)))) for each in ("3", "4")] == [False, True]


def test_the_case_learns_its_usual_warehouse() -> None:
    wanted = case()
    evidence({("P1", "OWN"): 1}, {"warehouse": "OWN"}).judge(wanted)
    assert wanted.warehouse == "OWN"


def test_two_lines_of_one_product_share_its_stock_in_their_order() -> None:
    lines = (line(quantity="6"), line(quantity="6", number=2))
    [reason] = evidence({("P1", "MAIN"): 10}).judge(case(*lines))
    assert (reason.path, reason.system_value) == ("lines[1].quantity", "4")


def test_only_an_accepted_order_takes_from_those_behind_it() -> None:
    facts = evidence({("P1", "MAIN"): 10})
    first, second = case(line(quantity="8")), case(line(quantity="8"))
    assert not facts.judge(first)
    assert not facts.judge(second)  # the first was held by another check: nothing taken
    facts.take(second)
    assert codes(facts.judge(case(line(quantity="3")))) == ["inventory.insufficient"]


def test_a_changed_order_may_use_what_it_was_promised_before() -> None:
    facts = evidence({("P1", "MAIN"): 2})
    changed = Case(order(line(quantity="10")), replaced=order(line(quantity="8")))
    assert not facts.judge(changed)
    facts.take(changed)
    assert codes(facts.judge(case(line(quantity="1")))) == ["inventory.insufficient"]


def test_unknown_and_inactive_products_are_rejected_and_a_foreign_unit_is_held() -> None:
    lines = (line("NEW"), line("OLD", number=2), line("P1", unit="CS", number=3))
    found = evidence({("P1", "MAIN"): 10}).judge(case(*lines))
    assert [(each.code, each.decision, each.path) for each in found] == [
        ("product.unknown", Decision.REJECT, "lines[0].product_id"),
        ("product.inactive", Decision.REJECT, "lines[1].product_id"),
        ("product.unit_differs", Decision.HOLD, "lines[2].unit"),
    ]


@given(stock=st.integers(0, 50), wanted=st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_accepted_orders_never_take_more_than_there_is(stock: int, wanted: list[int]) -> None:
    facts = evidence({("P1", "MAIN"): stock})
    taken = 0
    for quantity in wanted:
        each = case(line(quantity=str(quantity)))
        fits = not facts.judge(each)
        assert fits is (taken + quantity <= stock)
        if fits:
            facts.take(each)
            taken += quantity
