"""Orders in Tryton: each becomes a sale that is processed; its lines' sequence is the order's line number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import OrderCommand, OrderCommitted
from tallystick.systems.tryton.masters import ADDRESS_FIELDS
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sale_values import Catalogue, UnknownCodeError, sale_values
from tallystick.systems.tryton.sales import TrytonSales, Values, net_amount


class TrytonOrders:
    """Commits orders."""

    def __init__(self, rpc: TrytonRpc, sales: TrytonSales, names: TrytonNames, price_digits: int) -> None:
        self._rpc = rpc
        self._sales = sales
        self._names = names
        self._price_digits = price_digits

    async def commit(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Have each order's sale made and processed."""
        by_reference = {command.reference: command for command in commands}

        async def values(references: Sequence[str]) -> Values:
            return await self._values([by_reference[reference] for reference in references])

        driven = await self._sales.drive(list(by_reference), values)
        return [
            driven.failures.get(reference)
            or _committed(reference, driven.sales[reference], reference in driven.already)
            for reference in (command.reference for command in commands)
        ]

    async def _values(self, commands: Sequence[OrderCommand]) -> Values:
        """What to create for each order, with Tryton's ids for the codes in it; unknown codes are refused."""
        orders = [command.order for command in commands]
        parties = await self._rpc.search(
            "party.party",
            [("code", "in", sorted({order.customer_id for order in orders}))],
            ["code", "addresses", "customer_payment_term", "sale_price_list"],
        )
        addresses = await self._rpc.search(
            "party.address",
            [("party", "in", [each["id"] for each in parties])],
            ADDRESS_FIELDS,
        )
        products = await self._rpc.search(
            "product.product",
            [("code", "in", sorted({line.product_id for order in orders for line in order.lines}))],
            ["code", "sale_uom", "sale_uom.symbol"],
        )
        catalogue = Catalogue(
            {each["code"]: each for each in parties},
            addresses,
            {each["code"]: each for each in products},
            await self._names.taxes(),
            await self._names.currencies(),
            await self._names.warehouses(),
            self._price_digits,
        )
        values: dict[str, dict[str, Any]] = {}
        refused: dict[str, Failure] = {}
        for command in commands:
            try:
                values[command.reference] = sale_values(command, catalogue)
            except UnknownCodeError as unknown:
                refused[command.reference] = Rejected(
                    f"{self._rpc.name}: {unknown}", system=self._rpc.name, code=f"{self._rpc.name}.unknown_code"
                )
        return values, refused


def _committed(reference: str, sale: dict[str, Any], already: bool) -> OrderCommitted:
    return OrderCommitted(reference, sale["number"], already, net_amount(sale))
