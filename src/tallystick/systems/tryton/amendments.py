"""Changes of orders in Tryton: a sale in process is amended line by line, or to nothing, as long as no goods have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tallystick.documents.order import Order
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import OrderCommand, OrderCommitted
from tallystick.systems.tryton.masters import ADDRESS_FIELDS
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sale_values import (
    SaleLine,
    UnknownCodeError,
    noted_tax,
    sale_lines,
    ship_to_of,
    tax_note,
    warehouse_of,
)
from tallystick.systems.tryton.sales import TrytonSales, net_amount

_LEFT = ("picked", "packed", "shipped", "done")


class TrytonAmendments:
    """Changes and cancels sales, one after another: Tryton amends a sale at a time."""

    def __init__(self, rpc: TrytonRpc, sales: TrytonSales, names: TrytonNames, price_digits: int) -> None:
        self._rpc = rpc
        self._sales = sales
        self._names = names
        self._price_digits = price_digits

    async def change(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Give sales their orders' new lines, charges, tax, ship-to and warehouse; lines that are gone are set to nothing."""
        return [await self._try(command, emptied=False) for command in commands]

    async def cancel(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Amend sales to nothing: Tryton keeps a processed sale, but it promises, ships and invoices nothing any more."""
        return [await self._try(command, emptied=True) for command in commands]

    async def _try(self, command: OrderCommand, *, emptied: bool) -> OrderCommitted | Failure:
        try:
            lines = [] if emptied else sale_lines(command.order, self._price_digits)
            return await self._amend(command, {line.sequence: line for line in lines})
        except UnknownCodeError as unknown:
            return self._rejected("unknown_code", str(unknown))
        except Failure as failure:
            return failure

    async def _amend(self, command: OrderCommand, wanted: Mapping[int, SaleLine]) -> OrderCommitted:
        sale = (await self._sales.find([command.reference])).get(command.reference)
        if sale is None:
            raise self._rejected("no_sale", f"no sale has the reference {command.reference}")
        await self._not_shipped(sale)
        rows = await self._rpc.search(
            "sale.line",
            [("sale", "=", sale["id"])],
            ["type", "sequence", "quantity", "unit_price", "product.code", "unit", "description", "note"],
        )
        amendments = self._amendments([row for row in rows if row["type"] == "line"], wanted)
        if wanted:
            amendments += await self._of_header(sale["id"], command.order)
        if amendments:
            await self._discard_drafts(sale["id"])
            values = {
                "sale": sale["id"],
                "description": f"revision {command.revision}",
                "lines": [["create", amendments]],
            }
            made = await self._rpc.write("sale.amendment.create", [values])
            await self._rpc.write("sale.amendment.validate_amendment", made)
        taxed = bool(wanted) and await self._note_tax(command, rows)
        found = (await self._sales.find([command.reference]))[command.reference]
        return OrderCommitted(command.reference, found["number"], not (amendments or taxed), net_amount(found))

    async def _not_shipped(self, sale: Mapping[str, Any]) -> None:
        shipped = await self._rpc.search(
            "stock.shipment.out", [("id", "in", sale["shipments"]), ("state", "in", _LEFT)], ["number"]
        )
        if shipped:
            number = shipped[0]["number"]
            raise self._rejected("shipped", f"sale {sale['number']} has shipped with {number}; take a return instead")

    def _amendments(self, rows: Sequence[Mapping[str, Any]], wanted: Mapping[int, SaleLine]) -> list[dict[str, Any]]:
        """What to amend in the lines that are there. Raises Rejected for what Tryton cannot amend."""
        added = sorted(set(wanted) - {row["sequence"] for row in rows})
        if added:
            message = f"a sale in process takes no new lines ({added[0]}); cancel the order and send a new one"
            raise self._rejected("line_added", message)
        amendments = []
        for row in rows:
            line = wanted.get(row["sequence"])
            product = row["product."]["code"] if row["product."] else None
            if line and product != line.product_id:
                message = f"line {line.sequence} of a sale in process keeps its product {product}"
                raise self._rejected("product_changed", f"{message}; cancel the order and send a new one")
            quantity, price = (line.quantity, line.unit_price) if line else (Decimal(0), row["unit_price"])
            if Decimal(str(row["quantity"])) == quantity and row["unit_price"] == price:
                continue
            # Tryton writes all of these onto the sale's line, the absent ones as nothing.
            kept = {
                "product": row["product."] and row["product."]["id"],
                "unit": row["unit"],
                "description": row["description"],
            }
            amendments.append(
                {"action": "line", "line": row["id"], "quantity": float(quantity), "unit_price": price, **kept}
            )
        return amendments

    async def _of_header(self, sale: int, order: Order) -> list[dict[str, Any]]:
        """What to amend where the goods go to, and where they come from. Raises UnknownCodeError."""
        parties = ("party", "invoice_party", "invoice_address", "shipment_party", "shipment_address")
        row = (await self._rpc.search("sale.sale", [("id", "=", sale)], [*parties, "warehouse"]))[0]
        amendments: list[dict[str, Any]] = []
        warehouse = warehouse_of(order, await self._names.warehouses())
        if warehouse != row["warehouse"]:
            amendments.append({"action": "warehouse", "warehouse": warehouse})
        receiver = row["shipment_party"] or row["party"]
        known = (
            await self._rpc.search("party.address", [("party", "=", receiver)], ADDRESS_FIELDS) if order.ship_to else []
        )
        if order.ship_to and ship_to_of(order, known)["id"] != row["shipment_address"]:
            kept = {name: row[name] for name in parties}
            amendments.append({"action": "party", **kept, "shipment_address": ship_to_of(order, known)["id"]})
        return amendments

    async def _discard_drafts(self, sale: int) -> None:
        """An earlier try may have left an amendment that nobody validated; a person could do so later, by mistake."""
        left = await self._rpc.search("sale.amendment", [("sale", "=", sale), ("state", "=", "draft")], [])
        if left:
            await self._rpc.write("sale.amendment.delete", [row["id"] for row in left])

    async def _note_tax(self, command: OrderCommand, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Note the order's new tax where the sale holds the tax service's; whether it was another."""
        noted = [row for row in rows if noted_tax(row["note"]) is not None]
        if not noted or command.tax_amount is None or noted_tax(noted[0]["note"]) == command.tax_amount:
            return False
        await self._rpc.write("sale.line.write", [noted[0]["id"]], {"note": tax_note(command.tax_amount)})
        return True

    def _rejected(self, code: str, message: str) -> Rejected:
        return Rejected(f"{self._rpc.name}: {message}", system=self._rpc.name, code=f"{self._rpc.name}.{code}")
