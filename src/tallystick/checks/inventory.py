"""Are the products known, in the ERP's unit, and can the warehouse promise what is ordered?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tallystick.checks.check import Batch, Case
from tallystick.checks.facts import Facts
from tallystick.checks.masters import ProductFact
from tallystick.checks.replica import StockKey
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Customer
from tallystick.settings import Policy

_NOTHING = Decimal(0)


class InventoryCheck:
    """Compares every line with what its warehouse can still promise."""

    name = "inventory"
    role = "erp"

    async def gather(self, batch: Batch) -> InventoryEvidence:
        """Products, stock and customers of all lines."""
        products = list({line.product_id for case in batch.cases for line in case.order.lines})
        masters, stock, customers = await asyncio.gather(
            batch.source.products(batch.policy.inventory, products),
            batch.source.stock(batch.policy.inventory, products),
            batch.customers(),
        )
        return InventoryEvidence(masters.values, stock, customers.values, batch.policy)


class InventoryEvidence:
    """Products and what is available of them; what accepted orders take is taken from it."""

    def __init__(
        self,
        products: Mapping[str, ProductFact],
        stock: Facts[dict[StockKey, Decimal]],
        customers: Mapping[str, Customer],
        policy: Policy,
    ) -> None:
        self.source, self.age_seconds = stock.source, stock.age_seconds
        self._products = products
        self._available = stock.values
        self._customers = customers
        self._policy = policy

    def judge(self, case: Case) -> Sequence[Reason]:
        """What speaks against the order's lines."""
        customer = self._customers.get(case.order.customer_id)
        given_back = demand(case.replaced, self._warehouse(case)) if case.replaced else {}
        case.warehouse = self._warehouse(case)
        return judge_inventory(case, customer, self._products, self._available, given_back, self._policy)

    def take(self, case: Case) -> None:
        """What the order asks is promised now."""
        warehouse = self._warehouse(case)
        for key, quantity in demand(case.order, warehouse).items():
            self._available[key] = self._available.get(key, _NOTHING) - quantity
        for key, quantity in demand(case.replaced, warehouse).items() if case.replaced else ():
            self._available[key] = self._available.get(key, _NOTHING) + quantity

    def _warehouse(self, case: Case) -> str:
        return usual_warehouse(self._customers.get(case.order.customer_id), self._policy)


def usual_warehouse(customer: Customer | None, policy: Policy) -> str:
    """The warehouse of lines that name none: the customer's, else the policy's."""
    return (customer.warehouse if customer else None) or policy.default_warehouse


def demand(order: Order, warehouse: str) -> dict[StockKey, Decimal]:
    """Quantities an order asks of each (product, warehouse); `warehouse` is that of lines that name none."""
    wanted: dict[StockKey, Decimal] = {}
    for line in order.lines:
        key = (line.product_id, line.warehouse or warehouse)
        before = wanted.get(key)
        wanted[key] = line.quantity if before is None else before + line.quantity
    return wanted


def judge_inventory(
    case: Case,
    customer: Customer | None,
    products: Mapping[str, ProductFact],
    available: Mapping[StockKey, Decimal],
    given_back: Mapping[StockKey, Decimal],
    policy: Policy,
) -> list[Reason]:
    """What speaks against the order's lines. Lines of one product share what its warehouse has, in the lines' order;
    `given_back` is what the order that this one replaces has been promised."""
    usual = usual_warehouse(customer, policy)
    may_wait = policy.backorders == "allow" and (customer is None or customer.backorders_allowed)
    reasons: list[Reason] = []
    taken: dict[StockKey, Decimal] = {}
    for index, line in enumerate(case.order.lines):
        product = products.get(line.product_id)
        if product is None or not product[1]:
            reasons.append(_product_reason(case, index, line, "unknown" if product is None else "inactive"))
            continue
        if product[0] != line.unit:
            reasons.append(_unit_reason(case, index, line, product[0]))
            continue
        if may_wait:
            continue
        key = (line.product_id, line.warehouse or usual)
        left = available.get(key, _NOTHING)
        if key in taken:
            left -= taken[key]
        if given_back:
            left += given_back.get(key, _NOTHING)
        if left < line.quantity:
            reasons.append(_short_reason(case, index, line, key[1], max(left, _NOTHING), policy))
        taken[key] = taken.get(key, _NOTHING) + line.quantity
    return reasons


def _product_reason(case: Case, index: int, line: OrderLine, state: str) -> Reason:
    return Reason(
        check="inventory",
        code=f"product.{state}",
        message=f"line {line.line_number}: product {line.product_id} is {state} in the ERP; correct the line",
        decision=Decision.REJECT,
        path=f"lines[{index}].product_id",
        order_value=line.product_id,
        system_value=None if state == "unknown" else state,
        money_at_risk=case.order.line_amounts[index],
    )


def _unit_reason(case: Case, index: int, line: OrderLine, unit: str) -> Reason:
    return Reason(
        check="inventory",
        code="product.unit_differs",
        message=f"line {line.line_number}: {line.product_id} is ordered per {line.unit}, the ERP sells it per {unit}; "
        "convert the quantity and price, never guess the pack size",
        decision=Decision.HOLD,
        path=f"lines[{index}].unit",
        order_value=line.unit,
        system_value=unit,
        money_at_risk=case.order.line_amounts[index],
    )


def _short_reason(
    case: Case, index: int, line: OrderLine, warehouse: str, available: Decimal, policy: Policy
) -> Reason:
    missing = line.quantity - available
    return Reason(
        check="inventory",
        code="inventory.insufficient",
        message=f"line {line.line_number}: {line.quantity} of {line.product_id} ordered, {available} can be promised by "
        f"{warehouse}; reduce the line, choose another warehouse, or accept a backorder",
        # Where the policy allows backorders it is the customer who does not take them: a person asks.
        decision=Decision.REJECT if policy.backorders == "reject" else Decision.HOLD,
        path=f"lines[{index}].quantity",
        order_value=str(line.quantity),
        system_value=str(available),
        money_at_risk=int(case.order.line_amounts[index] * missing / line.quantity),
    )
