"""Returns in Tryton: a sale of negative quantities takes the goods back onto the shelf, and its credit note is posted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import ReturnCommand
from tallystick.systems.tryton.buttons import press
from tallystick.systems.tryton.invoice_taxes import Naming
from tallystick.systems.tryton.postings import DRAFT_FIELDS, TrytonPostings
from tallystick.systems.tryton.processing import process_again
from tallystick.systems.tryton.return_values import (
    COPIED,
    NotBilledYetError,
    NotReturnableError,
    Original,
    by_line_number,
    in_money,
    return_values,
)
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sale_values import noted_tax
from tallystick.systems.tryton.sales import TrytonSales, Values
from tallystick.systems.tryton.turns import in_turns

_SHIPMENT = "stock.shipment.out.return"
_STEPS = (("draft", "receive", "received"), ("received", "do", "done"))


class TrytonReturns:
    """Takes goods back and credits them; the sale that holds a return's reference is the return."""

    def __init__(self, rpc: TrytonRpc, sales: TrytonSales, postings: TrytonPostings, price_digits: int) -> None:
        self._rpc = rpc
        self._sales = sales
        self._postings = postings
        self._price_digits = price_digits

    async def credit(self, commands: Sequence[ReturnCommand]) -> list[CreditMemo | Failure]:
        """Credit each once; a second return of an order is bounded by what the first took back."""
        return await in_turns(commands, lambda command: [command.order_reference], self._credit_once)

    async def _credit_once(self, commands: Sequence[ReturnCommand]) -> list[CreditMemo | Failure]:
        by_reference = {command.reference: command for command in commands}

        async def values(references: Sequence[str]) -> Values:
            return await self._values([by_reference[reference] for reference in references])

        driven = await self._sales.drive(list(by_reference), values)
        failures = {**driven.failures, **await self._take_back(driven.sales)}
        back = {each: sale for each, sale in driven.sales.items() if each not in failures}
        drafts = await self._drafts(back)
        failures.update({each: self._not_made(each) for each in back if each not in drafts})
        posted, refused = await self._postings.post(drafts, {each: Naming(each, each) for each in drafts})
        failures.update(refused)
        return [failures.get(each.reference) or _memo(each, posted[each.reference]) for each in commands]

    async def _take_back(self, sales: Mapping[str, Mapping[str, Any]]) -> dict[str, Failure]:
        """Receive the goods and put them on the shelf, each step in one call for all; resumes where an earlier try ended."""
        ids = [shipment for sale in sales.values() for shipment in sale["shipment_returns"]]
        rows = await self._rpc.search(_SHIPMENT, [("id", "in", ids)], ["state"])
        states = {row["id"]: row["state"] for row in rows}
        owners = {str(shipment): each for each, sale in sales.items() for shipment in sale["shipment_returns"]}
        failures: dict[str, Failure] = {}
        for state, button, reached in _STEPS:
            ready = {str(shipment): shipment for shipment, at in states.items() if at == state}
            refused = await press(self._rpc, _SHIPMENT, button, ready, (state,))
            failures.update({owners[shipment]: failure for shipment, failure in refused.items()})
            states.update({shipment: reached for key, shipment in ready.items() if key not in refused})
        return failures

    async def _drafts(self, sales: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The credit note of each return. Tryton makes it when the goods are back, or leaves it to a worker; then we ask."""
        found = await self._credit_notes(list(sales))
        late = [sales[each]["id"] for each in sales if each not in found]
        if late:
            await process_again(self._rpc, late)
            found = await self._credit_notes(list(sales))
        return found

    async def _credit_notes(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        sales = await self._sales.find(references)
        owners = {invoice: reference for reference, sale in sales.items() for invoice in sale["invoices"]}
        rows = await self._rpc.search(
            "account.invoice", [("id", "in", list(owners)), ("state", "!=", "cancelled")], DRAFT_FIELDS
        )
        return {owners[row["id"]]: row for row in rows}

    async def _values(self, commands: Sequence[ReturnCommand]) -> Values:
        """The sale of each return; what was never sold, shipped or billed is refused."""
        originals = await self._originals([command.order_reference for command in commands])
        values: dict[str, dict[str, Any]] = {}
        failures: dict[str, Failure] = {}
        for command in commands:
            original, name = originals.get(command.order_reference), self._rpc.name
            try:
                if original is None:
                    raise NotReturnableError(f"no sale has the reference {command.order_reference}")
                values[command.reference] = return_values(command, original, self._price_digits)
            except NotReturnableError as refusal:
                failures[command.reference] = Rejected(f"{name}: {refusal}", system=name, code=f"{name}.not_returnable")
            except NotBilledYetError as early:
                message = f"{name}: {early}; it is tried again"
                failures[command.reference] = Transient(message, system=name, code=f"{name}.not_billed")
        return values, failures

    async def _originals(self, references: Sequence[str]) -> dict[str, Original]:
        """The sales that goods come back of, with what was billed and what came back of them before."""
        found = await self._sales.find(references)
        fields = ["number", "reference", "currency.code", *COPIED]
        sales = await self._rpc.search("sale.sale", [("id", "in", [sale["id"] for sale in found.values()])], fields)
        returns = await self._rpc.search(
            "sale.sale",
            [
                ("origin", "in", [f"sale.sale,{sale['id']}" for sale in sales]),
                ("state", "not in", ["draft", "cancelled"]),
            ],
            ["origin"],
        )
        of = {row["id"]: int(row["origin"].partition(",")[2]) for row in returns}
        lines = await self._sale_lines([*(sale["id"] for sale in sales), *of])
        originals = {
            sale["id"]: Original(sale, by_line_number(lines[sale["id"]]), tax=_noted(lines[sale["id"]], sale))
            for sale in sales
        }
        for returned, sale in of.items():
            original = originals[sale]
            for row in lines[returned]:
                if row["product"]:
                    original.returned[row["sequence"]].add(row)
            original.credited_tax -= _noted(lines[returned], original.sale) or 0
        await self._add_billed(originals)
        return {original.sale["reference"]: original for original in originals.values()}

    async def _sale_lines(self, sales: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        rows = await self._rpc.search(
            "sale.line",
            [("sale", "in", list(sales))],
            [
                "sale",
                "sequence",
                "product",
                "unit",
                "quantity",
                "unit_price",
                "amount",
                "actual_quantity",
                "taxes",
                "note",
            ],
        )
        by_sale: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_sale[row["sale"]].append(row)
        return by_sale

    async def _add_billed(self, originals: Mapping[int, Original]) -> None:
        owners = {
            f"sale.line,{line['id']}": (original, number)
            for original in originals.values()
            for number, line in original.lines.items()
        }
        rows = await self._rpc.search(
            "account.invoice.line",
            [("origin", "in", list(owners)), ("invoice.state", "in", ["posted", "paid"])],
            ["origin", "quantity", "amount"],
        )
        for row in rows:
            original, number = owners[row["origin"]]
            original.billed[number].add(row)

    def _not_made(self, reference: str) -> Failure:
        name = self._rpc.name
        message = f"{name}: no credit note for return {reference} yet; it is asked for again"
        return Transient(message, system=name, code=f"{name}.no_credit_note")


def _noted(lines: Sequence[Mapping[str, Any]], sale: Mapping[str, Any]) -> Any:
    """The tax service's amount on a sale; None without one."""
    return next((in_money(tax, sale) for line in lines if (tax := noted_tax(line["note"])) is not None), None)


def _memo(command: ReturnCommand, note: Invoice) -> CreditMemo:
    """Tryton's credit note is an invoice of negative amounts."""
    return CreditMemo(
        number=note.number,
        currency=note.currency,
        credit_date=note.invoice_date,
        return_number=command.returned.number,
        lines=tuple(line.model_copy(update={"amount": -line.amount}) for line in note.lines),
        net_amount=-note.net_amount,
        tax_amount=-note.tax_amount,
        total_amount=-note.total_amount,
        reason=command.returned.reason,
    )
