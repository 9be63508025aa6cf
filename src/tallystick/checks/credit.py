"""May the customer owe this much more? Open orders, open invoices and what we promised, with this order, against the limit."""

from __future__ import annotations

from tallystick.checks.check import Batch, Judgement
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import format_minor
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition


class CreditCheck:
    """Adds up in order of arrival: two orders that fit one by one but not together are not both accepted."""

    name = "credit"

    async def judge(self, batch: Batch) -> Judgement:
        """Reasons for each order."""
        facts = await batch.source.credit(batch.policy.credit, list({order.customer_id for order in batch.orders}))
        used: dict[str, int] = {}
        judged: list[tuple[Reason, ...]] = []
        for order, replaced in zip(batch.orders, batch.replacing, strict=True):
            position, promised = facts.values.get(order.customer_id, (None, 0))
            if position is None:
                judged.append(())  # unknown customers are the customer check's matter; no position is no limit
                continue
            freed = replaced.net_amount + (replaced.tax_amount or 0) if replaced else 0
            already = position.open_orders + position.open_invoices + promised + used.get(order.customer_id, 0) - freed
            reasons = judge_credit(order, position, already)
            judged.append(tuple(reasons))
            if not reasons:
                used[order.customer_id] = used.get(order.customer_id, 0) + exposure_of(order) - freed
        return Judgement(judged, facts.source, facts.age_seconds)


def exposure_of(order: Order) -> int:
    """What an order adds to what its customer owes: net and quoted tax, in minor units."""
    return order.net_amount + (order.tax_amount or 0)


def judge_credit(order: Order, position: CreditPosition, already: int) -> list[Reason]:
    """What speaks against it; `already` is what the customer owes or has ordered, in minor units."""
    if position.on_hold:
        return [
            Reason(
                check="credit",
                code="credit.on_hold",
                message=f"customer {order.customer_id} is on credit hold; finance releases it in the ERP",
                decision=Decision.HOLD,
                path="customer_id",
                order_value=order.customer_id,
                system_value="on hold",
                money_at_risk=exposure_of(order),
            )
        ]
    if position.limit is None:
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
                money_at_risk=exposure_of(order),
            )
        ]
    total = already + exposure_of(order)
    if total <= position.limit:
        return []
    return [
        Reason(
            check="credit",
            code="credit.over_limit",
            message=f"customer {order.customer_id} would owe {format_minor(total, order.currency)} {order.currency}, "
            f"the limit is {format_minor(position.limit, order.currency)}; collect, raise the limit in the ERP, or override",
            decision=Decision.HOLD,
            path="customer_id",
            order_value=format_minor(total, order.currency),
            system_value=format_minor(position.limit, order.currency),
            money_at_risk=total - position.limit,
        )
    ]
