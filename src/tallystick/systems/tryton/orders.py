"""Orders in Tryton: made as sales under our reference, then quoted, confirmed and processed in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.documents.money import to_minor
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import OrderCommand, OrderCommitted
from tallystick.systems.tryton.buttons import press, withdraw
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.processing import process_again
from tallystick.systems.tryton.references import References
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sale_values import Catalogue, UnknownCodeError, sale_values

_COMMITTED = ("processing", "done")
_STEPS = (("draft", "quote", "quotation"), ("quotation", "confirm", "confirmed"))
SALE_FIELDS = ("number", "currency.code", "untaxed_amount", "shipments")


class TrytonOrders:
    """Commits sales. A sale's reference is ours; its lines' sequence is the order's line number."""

    def __init__(self, rpc: TrytonRpc, names: TrytonNames, price_digits: int) -> None:
        self._rpc = rpc
        self._names = names
        self._price_digits = price_digits
        self._sales = References(rpc, "sale.sale", "reference", SALE_FIELDS)

    async def commit(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Make the sales that are not there, then drive all to processing; a refused one leaves nothing behind."""
        by_reference = {command.reference: command for command in commands}
        sales = await self._sales.settle(list(by_reference))
        already = {reference for reference, sale in sales.items() if sale["state"] in _COMMITTED}
        failures = await self._make([each for reference, each in by_reference.items() if reference not in sales])
        sales.update(await self._sales.settle([each for each in by_reference if each not in sales]))
        failures.update(await self._advance(sales))
        finished = await self._processed(list(by_reference))
        return [
            failures.get(command.reference)
            or _committed(command, finished.get(command.reference), command.reference in already, self._rpc.name)
            for command in commands
        ]

    async def _make(self, commands: Sequence[OrderCommand]) -> dict[str, Failure]:
        """Make a draft for each order; unknown codes are refused."""
        values, failures = await self._values(commands)

        async def create(references: Sequence[str]) -> None:
            await self._rpc.write("sale.sale.create", [values[reference] for reference in references])

        failures.update(await self._rpc.isolate(list(values), create))
        return failures

    async def _advance(self, sales: Mapping[str, dict[str, Any]]) -> dict[str, Failure]:
        """Quote and confirm, each in one call for all that stand there; resumes where an earlier try ended."""
        failures: dict[str, Failure] = {}
        states = {reference: sale["state"] for reference, sale in sales.items()}
        for state, button, reached in _STEPS:
            ready = {reference: sales[reference]["id"] for reference, at in states.items() if at == state}
            refused = await press(self._rpc, "sale.sale", button, ready, (state,))
            rejected = {each: ready[each] for each, failure in refused.items() if isinstance(failure, Rejected)}
            failures.update({**refused, **await withdraw(self._rpc, "sale.sale", "draft", rejected)})
            states.update({reference: reached for reference in ready if reference not in refused})
        return failures

    async def _processed(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The sales as they are now. Tryton processes what is confirmed at once, or leaves it to a worker; then we ask for it."""
        sales = await self._sales.find(references)
        waiting = [sale["id"] for sale in sales.values() if sale["state"] == "confirmed"]
        if not waiting:
            return sales
        await process_again(self._rpc, waiting)
        return await self._sales.find(references)

    async def _values(self, commands: Sequence[OrderCommand]) -> tuple[dict[str, dict[str, Any]], dict[str, Failure]]:
        """What to create for each order, with Tryton's ids for the codes in it; unknown codes are refused."""
        if not commands:
            return {}, {}
        orders = [command.order for command in commands]
        parties = await self._rpc.search(
            "party.party",
            [("code", "in", sorted({order.customer_id for order in orders}))],
            ["code", "addresses", "customer_payment_term", "sale_price_list"],
        )
        addresses = await self._rpc.search(
            "party.address",
            [("party", "in", [each["id"] for each in parties])],
            ["party", "building_name", "country.code", "subdivision.code"],
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
            await self._names.warehouse(),
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


def net_amount(sale: Mapping[str, Any]) -> int:
    """A sale's untaxed total in minor units."""
    return to_minor(sale["untaxed_amount"], sale["currency."]["code"])


def _committed(
    command: OrderCommand, sale: dict[str, Any] | None, already: bool, name: str
) -> OrderCommitted | Failure:
    if sale is None or not sale["number"] or sale["state"] not in _COMMITTED:
        return Transient(
            f"{name}: sale {command.reference} is not processed yet", system=name, code=f"{name}.not_processed"
        )
    return OrderCommitted(command.reference, sale["number"], already, net_amount(sale))
