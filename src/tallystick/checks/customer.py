"""Is the customer known, active, and are terms, ship-to, currency and tax status what the system of record says?"""

from __future__ import annotations

from datetime import UTC, datetime, time

from tallystick.checks.check import Batch, Judgement
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.order import Order
from tallystick.documents.party import Address, Customer, CustomerStatus


class CustomerCheck:
    """Compares the order's header with the customer's master data."""

    name = "customer"

    async def judge(self, batch: Batch) -> Judgement:
        """Reasons for each order."""
        facts = await batch.customers()
        now = datetime.combine(batch.today, time(), UTC)
        return Judgement(
            [tuple(judge_customer(order, facts.values.get(order.customer_id), now)) for order in batch.orders],
            facts.source,
            facts.age_seconds,
        )


def judge_customer(order: Order, customer: Customer | None, now: datetime) -> list[Reason]:
    """What speaks against an order of this customer; `customer` None is an unknown one."""
    if customer is None:
        message = f"customer {order.customer_id} is not known to the ERP; create it there or correct the id"
        return [_reason(order, "unknown", Decision.REJECT, message, "customer_id", order.customer_id, None)]
    reasons = []
    if customer.status is CustomerStatus.INACTIVE:
        message = f"customer {customer.id} is inactive; reactivate it in the ERP or refuse the order"
        reasons.append(
            _reason(order, "inactive", Decision.REJECT, message, "customer_id", customer.id, customer.status)
        )
    if customer.status is CustomerStatus.BLOCKED:
        message = f"customer {customer.id} is blocked; finance must release it in the ERP"
        reasons.append(_reason(order, "blocked", Decision.HOLD, message, "customer_id", customer.id, customer.status))
    if order.currency != customer.currency:
        message = f"the order is in {order.currency}, but customer {customer.id} is billed in {customer.currency}"
        reasons.append(
            _reason(order, "currency_differs", Decision.REJECT, message, "currency", order.currency, customer.currency)
        )
    if (
        order.payment_terms is not None
        and customer.payment_terms is not None
        and order.payment_terms != customer.payment_terms
    ):
        message = f"the order says terms {order.payment_terms}, the ERP says {customer.payment_terms}; agree on one"
        reasons.append(
            _reason(
                order,
                "terms_differ",
                Decision.HOLD,
                message,
                "payment_terms",
                order.payment_terms,
                customer.payment_terms,
            )
        )
    if (
        order.ship_to is not None
        and customer.ship_to
        and not any(_same(order.ship_to, each) for each in customer.ship_to)
    ):
        message = (
            f"the ship-to is not one of customer {customer.id}'s {len(customer.ship_to)} known addresses; confirm it"
        )
        known = "; ".join(each.id or _line(each) for each in customer.ship_to[:5])
        reasons.append(
            _reason(
                order,
                "ship_to_unknown",
                Decision.HOLD,
                message,
                "ship_to",
                order.ship_to.id or _line(order.ship_to),
                known,
            )
        )
    if customer.tax_exempt and customer.exemption_expires_at is not None and customer.exemption_expires_at < now:
        message = f"customer {customer.id}'s exemption ended on {customer.exemption_expires_at:%Y-%m-%d}; renew it or charge tax"
        reasons.append(
            _reason(
                order,
                "exemption_expired",
                Decision.HOLD,
                message,
                None,
                None,
                f"{customer.exemption_expires_at:%Y-%m-%d}",
            )
        )
    return reasons


def _same(wanted: Address, known: Address) -> bool:
    if wanted.id is not None:
        return wanted.id == known.id
    return _line(wanted).casefold() == _line(known).casefold()


def _line(address: Address) -> str:
    return ", ".join(
        part for part in (address.street, address.city, address.region, address.postal_code, address.country) if part
    )


def _reason(
    order: Order, code: str, decision: Decision, message: str, path: str | None, ours: str | None, theirs: str | None
) -> Reason:
    return Reason(
        check="customer",
        code=f"customer.{code}",
        message=message,
        decision=decision,
        path=path,
        order_value=ours,
        system_value=theirs,
        money_at_risk=max(0, order.net_amount),
    )
