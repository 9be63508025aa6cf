"""What tax does the tax service ask for, and is it what the channel quoted?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tallystick.checks.check import Batch, Case
from tallystick.checks.tax_rates import TaxSource, destination, rate_key, tax_at
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import format_minor
from tallystick.documents.order import Order
from tallystick.documents.party import Customer
from tallystick.settings import Policy
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import TaxAnswer


class TaxCheck:
    """Asks the external tax service for the whole batch at once; its answer goes on to the ERP with the order."""

    name = "tax"
    role = "tax"

    async def gather(self, batch: Batch) -> TaxEvidence:
        """Tax for every order, or why there is none for it. Raises the service's Failure where it answers nothing."""
        if batch.tax is None:
            return TaxEvidence({}, batch.policy, "none", None)
        customers = (await batch.customers()).values
        answers: dict[int, TaxAnswer | Failure] = {}
        age = 0.0
        if batch.policy.tax.source == "replica":
            answers, age = await _from_rates(batch, batch.tax, customers)
        asked = [case for case in batch.cases if id(case) not in answers]
        found = await batch.tax.live([case.order for case in asked], customers)
        answers.update({id(case): answer for case, answer in zip(asked, found, strict=True)})
        return TaxEvidence(answers, batch.policy, "live" if asked else "replica", age)


async def _from_rates(
    batch: Batch, tax: TaxSource, customers: Mapping[str, Customer]
) -> tuple[dict[int, TaxAnswer | Failure], float]:
    """Tax of the orders that the replica of rates may answer for, and the age of the oldest rate in seconds."""
    keys = {}
    for case in batch.cases:
        key = rate_key(case.order, customers.get(case.order.customer_id), batch.today)
        if key is not None:
            keys[id(case)] = key
    rates = await tax.rates(keys.values(), batch.policy.tax)
    answers: dict[int, TaxAnswer | Failure] = {}
    oldest = 0.0
    for case in batch.cases:
        key = keys.get(id(case))
        if key is None:
            continue
        rate = rates[key]
        if isinstance(rate, Failure):
            answers[id(case)] = rate
        else:
            oldest = max(oldest, rate[1])
            answers[id(case)] = tax_at(rate[0], case.order, key[0])
    return answers, oldest


class TaxEvidence:
    """The tax of each case (by its identity), or why it could not be had."""

    def __init__(
        self, answers: Mapping[int, TaxAnswer | Failure], policy: Policy, source: str, age_seconds: float | None
    ) -> None:
        self.source, self.age_seconds = source, age_seconds
        self._answers = answers
        self._policy = policy

    def judge(self, case: Case) -> Sequence[Reason]:
        """What speaks against the quoted tax; the case learns the service's."""
        answer = self._answers.get(id(case))
        if answer is None:
            return ()
        if isinstance(answer, TaxAnswer):
            case.tax_amount = answer.total_amount
        return judge_tax(case, answer, self._policy)

    def take(self, case: Case) -> None:
        """Nothing is used up."""


def judge_tax(case: Case, answer: TaxAnswer | Failure, policy: Policy) -> list[Reason]:
    """What speaks against the order's tax."""
    order = case.order
    if isinstance(answer, Rejected):
        return [_rejected(order, answer)]
    if isinstance(answer, Failure):
        return [_unavailable(case, answer, policy)]
    if order.tax_amount is None or abs(order.tax_amount - answer.total_amount) <= policy.tax_tolerance_amount:
        return []
    quoted, asked = format_minor(order.tax_amount, order.currency), format_minor(answer.total_amount, order.currency)
    return [
        Reason(
            check="tax",
            code="tax.differs",
            message=f"the channel quoted {quoted} {order.currency} tax, the tax service asks for {asked} in "
            f"{answer.jurisdiction}{' (exempt)' if answer.exempt else ''}; correct the quote or override",
            decision=Decision.HOLD,
            path="tax_amount",
            order_value=quoted,
            system_value=asked,
            money_at_risk=abs(order.tax_amount - answer.total_amount),
        )
    ]


def _rejected(order: Order, answer: Rejected) -> Reason:
    address = destination(order, None)
    return Reason(
        check="tax",
        code="tax.jurisdiction_unknown" if "jurisdiction" in answer.code else "tax.rejected",
        message=f"the tax service can't tax this order: {answer.message}",
        decision=Decision.HOLD,
        path="ship_to",
        order_value=address.jurisdiction if address else None,
        system_value=answer.code,
        money_at_risk=max(0, order.tax_amount or 0),
    )


def _unavailable(case: Case, answer: Failure, policy: Policy) -> Reason:
    return Reason(
        check="tax",
        code="tax.facts_unavailable",
        message=f"the tax of this order could not be had: {answer.message}; retry when {answer.system} answers, or override",
        decision=Decision(policy.tax.when_unavailable),
        system_value=answer.system,
        money_at_risk=max(0, case.order.net_amount),
    )
