"""Does each line's price agree with the contract, a promotion or the list, for its quantity, day, unit and currency?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tallystick.checks.check import Batch, Case
from tallystick.checks.facts import Facts
from tallystick.checks.price_ladder import PriceSheet, Tier
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import to_minor
from tallystick.documents.order import OrderLine
from tallystick.documents.party import Customer
from tallystick.settings import Policy


class PriceCheck:
    """Compares every line with the price that the system of record would charge."""

    name = "price"
    role = "erp"

    async def gather(self, batch: Batch) -> PriceEvidence:
        """The customers and all prices that may apply to their lines."""
        customers = (await batch.customers()).values
        wanted: dict[str, set[str]] = {}
        for case in batch.cases:
            if case.order.customer_id in customers:
                products = wanted.setdefault(case.order.customer_id, set())
                products.update([line.product_id for line in case.order.lines])
        facts = await batch.source.prices(
            batch.policy.price, {customer: sorted(products) for customer, products in wanted.items()}, batch.today
        )
        return PriceEvidence(customers, facts, batch.policy)


class PriceEvidence:
    """The prices of a batch, with the policy's tolerance for customers that have none of their own."""

    def __init__(self, customers: Mapping[str, Customer], facts: Facts[PriceSheet], policy: Policy) -> None:
        self.source, self.age_seconds = facts.source, facts.age_seconds
        self._customers = customers
        self._prices = facts.values
        self._tolerance = (Decimal(str(policy.price_tolerance)), policy.price_tolerance_amount)

    def judge(self, case: Case) -> Sequence[Reason]:
        """What speaks against the lines' prices; an unknown customer is the customer check's matter."""
        customer = self._customers.get(case.order.customer_id)
        return () if customer is None else judge_prices(case, customer, self._prices, self._tolerance)

    def take(self, case: Case) -> None:
        """Nothing is used up."""


def judge_prices(case: Case, customer: Customer, prices: PriceSheet, tolerance: tuple[Decimal, int]) -> list[Reason]:
    """What speaks against the lines' prices. `tolerance`: fraction of our extension, and an amount in minor units; the
    larger counts. A customer's own fraction stands in place of both."""
    order = case.order
    customer_id, price_list, currency, on = customer.id, customer.price_list, order.currency, order.ordered_at.date()
    reasons: list[Reason] = []
    for index, line in enumerate(order.lines):
        tier = prices.price(
            customer_id, price_list, line.product_id, quantity=line.quantity, unit=line.unit, currency=currency, on=on
        )
        if tier is None:
            reasons.append(_not_found(case, index, line, prices.tiers(customer_id, line.product_id)))
        elif tier.unit_price != line.unit_price:
            reasons += _difference(case, index, line, tier, customer, tolerance)
    return reasons


def _difference(
    case: Case, index: int, line: OrderLine, tier: Tier, customer: Customer, tolerance: tuple[Decimal, int]
) -> list[Reason]:
    order = case.order
    ours = case.order.line_amounts[index]
    theirs = to_minor(tier.unit_price * line.quantity * (1 - line.discount), order.currency, order.rounding)
    difference = abs(ours - theirs)
    fraction, amount = tolerance if customer.price_tolerance is None else (customer.price_tolerance, 0)
    if (fraction or amount) and difference <= max(amount, int(abs(theirs) * fraction)):
        return []
    above = line.unit_price > tier.unit_price
    return [
        Reason(
            check="price",
            code=f"price.{'above' if above else 'below'}_{tier.kind}",
            message=f"line {line.line_number}: {line.product_id} is ordered at {line.unit_price}, the {tier.kind} price is "
            f"{tier.unit_price}; correct the line, update the price in the ERP, or override",
            decision=Decision.HOLD,
            path=f"lines[{index}].unit_price",
            order_value=str(line.unit_price),
            system_value=str(tier.unit_price),
            money_at_risk=difference,
        )
    ]


def _not_found(case: Case, index: int, line: OrderLine, others: Sequence[Tier]) -> Reason:
    order = case.order
    there = "; ".join(
        sorted({f"{each.unit_price} {each.currency} per {each.unit} ({each.kind})" for each in others})[:5]
    )
    return Reason(
        check="price",
        code="price.not_found",
        message=f"line {line.line_number}: no price in {order.currency} per {line.unit} for {line.quantity} of "
        f"{line.product_id} on {order.ordered_at:%Y-%m-%d}; maintain it in the ERP or agree the order's price",
        decision=Decision.HOLD,
        path=f"lines[{index}].unit_price",
        order_value=f"{line.unit_price} {order.currency} per {line.unit}",
        system_value=there or None,
        money_at_risk=case.order.line_amounts[index],
    )
