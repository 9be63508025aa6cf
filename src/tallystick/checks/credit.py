"""May the customer owe this much more? Open orders, open invoices and what we promised, with this order, against the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from tallystick.checks.check import Batch, Case
from tallystick.checks.facts import Credit, Facts
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import format_minor
from tallystick.documents.party import CreditPosition, Customer


class CreditCheck:
    """Adds up in order of arrival: two orders that fit one by one but not together are not both accepted."""

    name = "credit"
    role = "erp"

    async def gather(self, batch: Batch) -> CreditEvidence:
        """The customers' credit positions, and their master data for a hold that is noted there."""
        ids = list({case.order.customer_id for case in batch.cases})
        facts, customers = await asyncio.gather(batch.source.credit(batch.policy.credit, ids), batch.customers())
        return CreditEvidence(facts, customers.values)


class CreditEvidence:
    """Positions, and what the batch's accepted orders have added so far."""

    def __init__(self, facts: Facts[Mapping[str, Credit]], customers: Mapping[str, Customer]) -> None:
        self.source, self.age_seconds = facts.source, facts.age_seconds
        self._positions = facts.values
        self._customers = customers
        self._used: dict[str, int] = {}

    def judge(self, case: Case) -> Sequence[Reason]:
        """What speaks against the customer's owing this order, too; an unknown customer is the customer check's matter."""
        customer_id = case.order.customer_id
        position, promised = self._positions.get(customer_id, (None, 0))
        customer = self._customers.get(customer_id)
        if (position is not None and position.on_hold) or (customer is not None and customer.credit_hold):
            return [_on_hold(case)]
        if position is None or position.limit is None:
            return ()
        return judge_limit(case, position, promised + self._used.get(customer_id, 0))

    def take(self, case: Case) -> None:
        """The customer will owe the order."""
        customer_id = case.order.customer_id
        self._used[customer_id] = self._used.get(customer_id, 0) + case.exposure - _freed(case)


def _freed(case: Case) -> int:
    """What the replaced order counts already: net and its quoted tax."""
    return case.replaced.net_amount + (case.replaced.tax_amount or 0) if case.replaced else 0


def judge_limit(case: Case, position: CreditPosition, promised: int) -> list[Reason]:
    """What speaks against it; `promised` is what was accepted and the ERP does not count yet, in minor units."""
    order = case.order
    limit = position.limit
    if limit is None:
        return []
    if position.currency != order.currency:
        return [
            Reason(
                check="credit",
                code="credit.currency_differs",
                message=f"the limit is in {position.currency}, the order in {order.currency}; finance must decide",
                decision=Decision.HOLD,
                path="currency",
                order_value=order.currency,
                system_value=position.currency,
                money_at_risk=max(0, case.exposure),
            )
        ]
    added = case.exposure - _freed(case)
    total = position.open_orders + position.open_invoices + promised + added
    if total <= limit or added <= 0:  # a change that asks for less never makes it worse
        return []
    would, may = format_minor(total, order.currency), format_minor(limit, order.currency)
    return [
        Reason(
            check="credit",
            code="credit.over_limit",
            message=f"customer {order.customer_id} would owe {would} {order.currency}, the limit is {may}; "
            "collect, raise the limit in the ERP, or override",
            decision=Decision.HOLD,
            path="customer_id",
            order_value=would,
            system_value=may,
            money_at_risk=total - limit,
        )
    ]


def _on_hold(case: Case) -> Reason:
    customer_id = case.order.customer_id
    return Reason(
        check="credit",
        code="credit.on_hold",
        message=f"customer {customer_id} is on credit hold; finance releases it in the ERP",
        decision=Decision.HOLD,
        path="customer_id",
        order_value=customer_id,
        system_value="on hold",
        money_at_risk=max(0, case.exposure),
    )
