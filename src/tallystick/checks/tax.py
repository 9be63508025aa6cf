"""What tax does the tax service ask for, and is it what the channel quoted?"""

from __future__ import annotations

from tallystick.checks.check import Batch, Judgement
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import format_minor
from tallystick.documents.order import Order
from tallystick.settings import Policy
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import TaxAnswer


class TaxCheck:
    """Asks the external tax service for the whole batch at once; its answer goes on to the ERP with the order."""

    name = "tax"

    async def judge(self, batch: Batch) -> Judgement:
        """Reasons for each order, and the tax amounts. Raises the first Failure that is not about one order."""
        if batch.tax is None:
            return Judgement([() for _ in batch.orders], "none", None, [order.tax_amount for order in batch.orders])
        customers = (await batch.customers()).values
        answers = await batch.tax.calculate_tax(batch.orders, customers)
        for answer in answers:
            if isinstance(answer, Failure) and not isinstance(answer, Rejected):
                raise answer
        return Judgement(
            [
                tuple(judge_tax(order, answer, batch.policy))
                for order, answer in zip(batch.orders, answers, strict=True)
            ],
            "live",
            0.0,
            [answer.total_amount if isinstance(answer, TaxAnswer) else None for answer in answers],
        )


def judge_tax(order: Order, answer: TaxAnswer | Failure, policy: Policy) -> list[Reason]:
    """What speaks against the order's tax."""
    if isinstance(answer, Failure):
        return [
            Reason(
                check="tax",
                code="tax.rejected",
                message=f"the tax service can't tax this order: {answer.message}",
                decision=Decision.HOLD,
                path="ship_to",
                order_value=order.ship_to.jurisdiction if order.ship_to else None,
                money_at_risk=order.tax_amount or 0,
            )
        ]
    if order.tax_amount is None or abs(order.tax_amount - answer.total_amount) <= policy.tax_tolerance_amount:
        return []
    return [
        Reason(
            check="tax",
            code="tax.differs",
            message=f"the channel quoted {format_minor(order.tax_amount, order.currency)} tax, the tax service asks for "
            f"{format_minor(answer.total_amount, order.currency)} in {answer.jurisdiction}; correct the quote or override",
            decision=Decision.HOLD,
            path="tax_amount",
            order_value=format_minor(order.tax_amount, order.currency),
            system_value=format_minor(answer.total_amount, order.currency),
            money_at_risk=abs(order.tax_amount - answer.total_amount),
        )
    ]
