"""Are the products known, in the ERP's unit, and can the warehouse promise what is ordered?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from tallystick.checks.check import Batch, Judgement
from tallystick.checks.facts import StockKey
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Customer
from tallystick.documents.product import Product
from tallystick.settings import Policy

_POLICY_DECISION = {"allow": Decision.ACCEPT, "hold": Decision.HOLD, "reject": Decision.REJECT}


class InventoryCheck:
    """Promises stock in order of arrival: an order sees what the ones before it in the batch took."""

    name = "inventory"

    async def judge(self, batch: Batch) -> Judgement:
        """Reasons for each order."""
        products = list({line.product_id for order in batch.orders for line in order.lines})
        masters, stock, customers = await asyncio.gather(
            batch.source.products(batch.policy.inventory, products),
            batch.source.stock(batch.policy.inventory, products),
            batch.customers(),
        )
        available = dict(stock.values)
        judged: list[tuple[Reason, ...]] = []
        for order, replaced in zip(batch.orders, batch.replacing, strict=True):
            customer = customers.values.get(order.customer_id)
            if replaced is not None:
                for key, quantity in demand(replaced, customer, batch.policy).items():
                    available[key] = available.get(key, Decimal(0)) + quantity
            judged.append(tuple(judge_inventory(order, customer, masters.values, available, batch.policy)))
        return Judgement(judged, stock.source, stock.age_seconds)


def warehouse_of(line: OrderLine, customer: Customer | None, policy: Policy) -> str:
    """The line's own warehouse, else the customer's, else the policy's."""
    return line.warehouse or (customer.warehouse if customer else None) or policy.default_warehouse


def demand(order: Order, customer: Customer | None, policy: Policy) -> dict[StockKey, Decimal]:
    """Quantities an order asks of each (product, warehouse)."""
    wanted: dict[StockKey, Decimal] = {}
    for line in order.lines:
        key = (line.product_id, warehouse_of(line, customer, policy))
        wanted[key] = wanted.get(key, Decimal(0)) + line.quantity
    return wanted


def judge_inventory(
    order: Order,
    customer: Customer | None,
    masters: Mapping[str, Product],
    available: dict[StockKey, Decimal],
    policy: Policy,
) -> list[Reason]:
    """What speaks against the order's lines; what they take is taken from `available`."""
    reasons: list[Reason] = []
    for index, line in enumerate(order.lines):
        product = masters.get(line.product_id)
        if product is None or not product.active:
            reasons.append(_product_reason(order, index, line, product))
            continue
        if product.unit != line.unit:
            reasons.append(_unit_reason(order, index, line, product))
            continue
        key = (line.product_id, warehouse_of(line, customer, policy))
        left = available.get(key, Decimal(0))
        available[key] = left - line.quantity
        if left < line.quantity and (policy.backorders != "allow" or (customer and not customer.backorders_allowed)):
            reasons.append(_short_reason(order, index, line, key[1], max(left, Decimal(0)), policy))
    return reasons


def _product_reason(order: Order, index: int, line: OrderLine, product: Product | None) -> Reason:
    state = "unknown" if product is None else "inactive"
    return Reason(
        check="inventory",
        code=f"product.{state}",
        message=f"line {line.line_number}: product {line.product_id} is {state} in the ERP; correct the line",
        decision=Decision.REJECT,
        path=f"lines[{index}].product_id",
        order_value=line.product_id,
        system_value=None if product is None else "inactive",
        money_at_risk=line.net_amount(order.currency, order.rounding),
    )


def _unit_reason(order: Order, index: int, line: OrderLine, product: Product) -> Reason:
    return Reason(
        check="inventory",
        code="product.unit_differs",
        message=f"line {line.line_number}: {line.product_id} is ordered per {line.unit}, the ERP sells it per {product.unit}; "
        "convert the quantity and price, never guess the pack size",
        decision=Decision.HOLD,
        path=f"lines[{index}].unit",
        order_value=line.unit,
        system_value=product.unit,
        money_at_risk=line.net_amount(order.currency, order.rounding),
    )


def _short_reason(
    order: Order, index: int, line: OrderLine, warehouse: str, available: Decimal, policy: Policy
) -> Reason:
    missing = line.quantity - available
    decision = Decision.HOLD if policy.backorders == "allow" else _POLICY_DECISION[policy.backorders]
    return Reason(
        check="inventory",
        code="inventory.insufficient",
        message=f"line {line.line_number}: {line.quantity} of {line.product_id} ordered, {available} can be promised by "
        f"{warehouse}; reduce the line, choose another warehouse, or accept a backorder",
        decision=decision,
        path=f"lines[{index}].quantity",
        order_value=str(line.quantity),
        system_value=str(available),
        money_at_risk=int(line.net_amount(order.currency, order.rounding) * missing / line.quantity),
    )
