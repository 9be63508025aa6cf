"""Is the customer known, active, and are terms, ship-to, currency and tax status what the system of record says?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tallystick.checks.check import Batch, Case
from tallystick.checks.facts import Facts
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.party import Customer, CustomerStatus


class CustomerCheck:
    """Compares the order's header with the customer's master data."""

    name = "customer"
    role = "erp"

    async def gather(self, batch: Batch) -> CustomerEvidence:
        """The customers."""
        return CustomerEvidence(await batch.customers(), datetime.now(UTC))


class CustomerEvidence:
    """The batch's customers."""

    def __init__(self, facts: Facts[Mapping[str, Customer]], now: datetime) -> None:
        self.source, self.age_seconds = facts.source, facts.age_seconds
        self._customers = facts.values
        self._now = now

    def judge(self, case: Case) -> Sequence[Reason]:
        """What speaks against the order's header."""
        return judge_customer(case, self._customers.get(case.order.customer_id), self._now)

    def take(self, case: Case) -> None:
        """Nothing is used up."""


def judge_customer(case: Case, customer: Customer | None, now: datetime) -> list[Reason]:
    """What speaks against an order of this customer; `customer` None is an unknown one."""
    order = case.order
    if customer is None:
        message = f"customer {order.customer_id} is not known to the ERP; create it there or correct the id"
        return [_reason(case, "unknown", Decision.REJECT, message, "customer_id", order.customer_id, None)]
    reasons = []
    if customer.status is CustomerStatus.INACTIVE:
        message = f"customer {customer.id} is inactive; reactivate it in the ERP or refuse the order"
        reasons.append(_reason(case, "inactive", Decision.REJECT, message, "customer_id", customer.id, "inactive"))
    if customer.status is CustomerStatus.BLOCKED:
        message = f"customer {customer.id} is blocked; finance must release it in the ERP"
        reasons.append(_reason(case, "blocked", Decision.HOLD, message, "customer_id", customer.id, "blocked"))
    if order.currency != customer.currency:
        message = (
            f"the order is in {order.currency}, but customer {customer.id} is billed in {customer.currency}; "
            "order in that currency"
        )
        ours, theirs = order.currency, customer.currency
        reasons.append(_reason(case, "currency_differs", Decision.REJECT, message, "currency", ours, theirs))
    if order.payment_terms and customer.payment_terms and order.payment_terms != customer.payment_terms:
        ours, theirs = order.payment_terms, customer.payment_terms
        message = f"the order says terms {ours}, the ERP says {theirs}; agree on one"
        reasons.append(_reason(case, "terms_differ", Decision.HOLD, message, "payment_terms", ours, theirs))
    reasons += _ship_to_reasons(case, customer)
    if customer.tax_exempt and customer.exemption_expires_at is not None and customer.exemption_expires_at < now:
        ended = f"{customer.exemption_expires_at:%Y-%m-%d}"
        message = f"customer {customer.id}'s tax exemption ended on {ended}; renew it in the ERP or charge tax"
        today = f"{now:%Y-%m-%d}"
        reasons.append(_reason(case, "exemption_expired", Decision.HOLD, message, "customer_id", today, ended))
    return reasons


def _ship_to_reasons(case: Case, customer: Customer) -> list[Reason]:
    ship_to = case.order.ship_to
    if ship_to is None or not customer.ship_to or any(map(ship_to.names, customer.ship_to)):
        return []
    count = len(customer.ship_to)
    message = (
        f"the ship-to is not one of customer {customer.id}'s {count} known addresses; confirm it or add it in the ERP"
    )
    known = "; ".join(each.id or each.place for each in customer.ship_to[:5])
    ours = ship_to.id or ship_to.place
    return [_reason(case, "ship_to_unknown", Decision.HOLD, message, "ship_to", ours, known)]


def _reason(
    case: Case, code: str, decision: Decision, message: str, path: str, ours: str | None, theirs: str | None
) -> Reason:
    return Reason(
        check="customer",
        code=f"customer.{code}",
        message=message,
        decision=decision,
        path=path,
        order_value=ours,
        system_value=theirs,
        money_at_risk=max(0, case.order.net_amount),
    )
