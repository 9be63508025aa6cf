"""Sales in Tryton: made once for our reference, then quoted, confirmed and processed, many in each call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.documents.money import to_minor
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.tryton.buttons import press, withdraw
from tallystick.systems.tryton.processing import process_again
from tallystick.systems.tryton.references import References
from tallystick.systems.tryton.rpc import TrytonRpc

_COMMITTED = ("processing", "done")
_STEPS = (("draft", "quote", "quotation"), ("quotation", "confirm", "confirmed"))
_FIELDS = ("number", "currency.code", "untaxed_amount", "shipments", "shipment_returns", "invoices")
Values = tuple[dict[str, dict[str, Any]], dict[str, Failure]]
"""What to create by reference, and why the others are refused."""


@dataclass(frozen=True, slots=True)
class Driven:
    """Where the sales stand: those in process by reference, which of them were before, and why the others are not."""

    sales: Mapping[str, dict[str, Any]]
    already: frozenset[str]
    failures: Mapping[str, Failure]


class TrytonSales:
    """The sales that carry our references."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc
        self._sales = References(rpc, "sale.sale", "reference", _FIELDS)

    async def find(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The sale of each reference, unless it is a draft yet."""
        return await self._sales.find(references)

    async def drive(self, references: Sequence[str], values: Callable[[Sequence[str]], Awaitable[Values]]) -> Driven:
        """Make the sales that are not there, then drive all to processing; a refused one leaves nothing behind."""
        sales = await self._sales.settle(references)
        already = frozenset(reference for reference, sale in sales.items() if sale["state"] in _COMMITTED)
        missing = [reference for reference in references if reference not in sales]
        failures = await self._make(missing, values)
        sales.update(await self._sales.settle(missing))
        failures.update(await self._advance(sales))
        found = await self._processed(references)
        done = {reference: sale for reference, sale in found.items() if sale["number"] and sale["state"] in _COMMITTED}
        unfinished = {each: self._unfinished(each) for each in references if each not in done}
        return Driven({each: done[each] for each in done if each not in failures}, already, unfinished | failures)

    async def _make(
        self, references: Sequence[str], values: Callable[[Sequence[str]], Awaitable[Values]]
    ) -> dict[str, Failure]:
        if not references:
            return {}
        wanted, failures = await values(references)

        async def create(chosen: Sequence[str]) -> None:
            await self._rpc.write("sale.sale.create", [wanted[reference] for reference in chosen])

        return {**failures, **await self._rpc.isolate(list(wanted), create)}

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
        """The sales as they are now. Tryton processes what is confirmed at once, or leaves it to a worker; then we ask."""
        sales = await self._sales.find(references)
        waiting = [sale["id"] for sale in sales.values() if sale["state"] == "confirmed"]
        if not waiting:
            return sales
        await process_again(self._rpc, waiting)
        return await self._sales.find(references)

    def _unfinished(self, reference: str) -> Failure:
        name = self._rpc.name
        message = f"{name}: sale {reference} is not processed yet; it is tried again"
        return Transient(message, system=name, code=f"{name}.not_processed")


def net_amount(sale: Mapping[str, Any]) -> int:
    """A sale's untaxed total in minor units."""
    return to_minor(sale["untaxed_amount"], sale["currency."]["code"])
