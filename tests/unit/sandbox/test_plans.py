from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tallystick.sandbox.payments.plans import PayingKind, parts
from tallystick.sandbox.payments.plans import Plan as PaymentPlan
from tallystick.sandbox.payments.plans import Simulation as PaymentSimulation
from tallystick.sandbox.wms.plans import Line, ShippingKind, Simulation, steps
from tallystick.sandbox.wms.plans import Plan as ShippingPlan

quantities = st.lists(
    st.decimals(min_value=Decimal("0.0001"), max_value=1_000, places=4) | st.integers(1, 500).map(Decimal),
    min_size=1,
    max_size=12,
)
fractions = st.decimals(min_value=0, max_value=1, places=3)


@given(st.sampled_from(ShippingKind), quantities, fractions)
def test_a_plan_never_ships_more_than_was_asked_and_ends_with_a_final_shipment(
    kind: ShippingKind, asked: list[Decimal], fraction: Decimal
) -> None:
    lines = [Line(line_number=n, product_id="P", quantity=quantity) for n, quantity in enumerate(asked, start=1)]
    made = steps(ShippingPlan(kind=kind, fraction=fraction), lines)
    shipped: dict[int, Decimal] = {}
    for step in made:
        assert step.lines
        for line in step.lines:
            shipped[line.line_number] = shipped.get(line.line_number, Decimal(0)) + line.quantity
    if kind is ShippingKind.NOTHING:
        assert not made
        return
    assert [step.final for step in made] == [False] * (len(made) - 1) + [True]
    ordered = {line.line_number: line.quantity for line in lines}
    assert all(shipped.get(number, 0) <= quantity for number, quantity in ordered.items())
    if kind is not ShippingKind.PARTIAL_FINAL:
        assert shipped == ordered


@given(st.sampled_from(PayingKind), st.integers(0, 10**12), fractions)
def test_payments_add_up_to_what_the_plan_says(kind: PayingKind, total: int, fraction: Decimal) -> None:
    paid = sum(part.amount for part in parts(PaymentPlan(kind=kind, fraction=fraction), total))
    share = total * fraction
    expected = {PayingKind.SHORT: total - share, PayingKind.OVER: total + share, PayingKind.NEVER: Decimal(0)}
    assert abs(paid - expected.get(kind, Decimal(total))) <= Decimal("0.5")


@given(st.integers(-5, 10**12))
def test_no_payment_is_over_nothing(total: int) -> None:
    for kind in PayingKind:
        plan = PaymentPlan(kind=kind, fraction=Decimal(1))
        assert all(part.amount > 0 for part in parts(plan, total))


def test_chance_depends_on_the_seed_and_the_order_only() -> None:
    simulation = Simulation(weights={ShippingKind.COMPLETE: 1, ShippingKind.PARTIAL_THEN_REST: 1})
    numbers = [f"O-{index}" for index in range(1_000)]
    first = {number: simulation.plan(1, number).kind for number in numbers}
    assert first == {number: simulation.plan(1, number).kind for number in reversed(numbers)}
    assert first != {number: simulation.plan(2, number).kind for number in numbers}
    assert 400 < Counter(first.values())[ShippingKind.COMPLETE] < 600


@pytest.mark.parametrize("weights", [{}, {"complete": 0}, {"complete": -1}, {"teleport": 1}])
def test_weights_that_cannot_choose_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Simulation.model_validate({"weights": weights})


def test_payment_weights_that_cannot_choose_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least one must be above 0"):
        PaymentSimulation.model_validate({"weights": {"full": 0}})
