"""Does each line's price agree with the contract, a promotion or the list, for its quantity, day, unit and currency?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tallystick.checks.check import Batch, Judgement
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import to_minor
from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Customer
from tallystick.documents.product import Price, PriceKind
from tallystick.settings import Policy


class PriceCheck:
    """Compares every line with the price that the system of record would charge."""

    name = "price"

    async def judge(self, batch: Batch) -> Judgement:
        """Reasons for each order."""
        customers = (await batch.customers()).values
        wanted: dict[str, set[str]] = {}
        for order in batch.orders:
            if order.customer_id in customers:
                wanted.setdefault(order.customer_id, set()).update(line.product_id for line in order.lines)
        facts = await batch.source.prices(
            batch.policy.price, {customer: sorted(products) for customer, products in wanted.items()}, batch.today
        )
        judged: list[tuple[Reason, ...]] = []
        for order in batch.orders:
            customer = customers.get(order.customer_id)
            if customer is None:
                judged.append(())  # the customer check says what there is to say
                continue
            judged.append(
                tuple(
                    reason
                    for index, line in enumerate(order.lines)
                    if (
                        reason := judge_line(
                            order,
                            index,
                            line,
                            facts.values.get((customer.id, line.product_id), ()),
                            customer,
                            batch.policy,
                        )
                    )
                )
            )
        return Judgement(judged, facts.source, facts.age_seconds)


def applicable_price(
    prices: Sequence[Price], *, quantity: Decimal, unit: str, currency: str, on: date, price_list: str | None
) -> Price | None:
    """The price that holds: contract before list, the highest quantity break reached, a lower promotion beating both."""
    valid = [
        each
        for each in prices
        if each.currency == currency
        and each.unit == unit
        and each.minimum_quantity <= quantity
        and (each.valid_from is None or each.valid_from <= on)
        and (each.valid_to is None or on <= each.valid_to)
    ]
    promotion = min(
        (each for each in valid if each.kind is PriceKind.PROMOTION), key=lambda each: each.unit_price, default=None
    )
    standing = _highest_break([each for each in valid if each.kind is PriceKind.CONTRACT]) or _highest_break(
        [each for each in valid if each.kind is PriceKind.LIST and each.price_list == price_list]
        or [each for each in valid if each.kind is PriceKind.LIST and each.price_list is None]
    )
    if promotion and (standing is None or promotion.unit_price < standing.unit_price):
        return promotion
    return standing


def _highest_break(prices: Sequence[Price]) -> Price | None:
    return max(prices, key=lambda each: (each.minimum_quantity, -each.unit_price), default=None)


def judge_line(
    order: Order, index: int, line: OrderLine, prices: Sequence[Price], customer: Customer, policy: Policy
) -> Reason | None:
    """What speaks against a line's price, if anything. Differences are of the line's extension, in minor units."""
    on = order.ordered_at.date()
    price = applicable_price(
        prices,
        quantity=line.quantity,
        unit=line.unit,
        currency=order.currency,
        on=on,
        price_list=customer.price_list,
    )
    path = f"lines[{index}].unit_price"
    ours = line.net_amount(order.currency, order.rounding)
    if price is None:
        return Reason(
            check="price",
            code="price.not_found",
            message=f"line {line.line_number}: no price in {order.currency} per {line.unit} for {line.product_id} on {on}; "
            "maintain it in the ERP or agree the order's price",
            decision=Decision.HOLD,
            path=path,
            order_value=str(line.unit_price),
            money_at_risk=ours,
        )
    if price.unit_price == line.unit_price:
        return None
    theirs = to_minor(price.unit_price * line.quantity * (1 - line.discount), order.currency, order.rounding)
    difference = abs(ours - theirs)
    fraction = (
        customer.price_tolerance if customer.price_tolerance is not None else Decimal(str(policy.price_tolerance))
    )
    if difference <= max(policy.price_tolerance_amount, int(abs(theirs) * fraction)) and (
        fraction > 0 or policy.price_tolerance_amount > 0
    ):
        return None
    above = line.unit_price > price.unit_price
    return Reason(
        check="price",
        code=f"price.{'above' if above else 'below'}_{price.kind.value}",
        message=f"line {line.line_number}: {line.product_id} is ordered at {line.unit_price}, the {price.kind.value} price is "
        f"{price.unit_price}; correct the line, update the price in the ERP, or override",
        decision=Decision.HOLD,
        path=path,
        order_value=str(line.unit_price),
        system_value=str(price.unit_price),
        money_at_risk=difference,
    )
