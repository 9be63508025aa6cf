"""Invoices in Tryton: the draft that it makes of each done shipment takes the order's charges and is posted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.documents.invoice import Invoice
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import InvoiceCommand
from tallystick.systems.tryton.invoice_taxes import Naming
from tallystick.systems.tryton.postings import DRAFT_FIELDS, TrytonPostings
from tallystick.systems.tryton.processing import process_again
from tallystick.systems.tryton.rpc import TrytonRpc


class TrytonInvoices:
    """Has the invoice of each shipment posted."""

    def __init__(self, rpc: TrytonRpc, postings: TrytonPostings) -> None:
        self._rpc = rpc
        self._postings = postings

    async def post(self, commands: Sequence[InvoiceCommand]) -> list[Invoice | Failure]:
        """Post the invoice of each command's shipment; one posted already is read back as it is."""
        drafts = await self._invoices_of([command.shipment_reference for command in commands])
        missing = [each for each in commands if each.shipment_reference not in drafts]
        if missing:
            drafts |= await self._invoices_made_late(missing)
        failures = await self._not_made([each for each in commands if each.shipment_reference not in drafts])
        if await self._gather_charges([each for each in commands if each.shipment_reference in drafts], drafts):
            drafts = await self._invoices_of([command.shipment_reference for command in commands])
        namings = {each.shipment_reference: Naming(each.reference, each.order_reference) for each in commands}
        posted, refused = await self._postings.post(drafts, namings)
        failures.update(refused)
        return [
            failures.get(each.shipment_reference) or _numbered(posted[each.shipment_reference], each.shipment_number)
            for each in commands
        ]

    async def _invoices_of(self, shipment_references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The invoice of each shipment, found by the stock moves that its lines bill."""
        shipments = await self._rpc.search(
            "stock.shipment.out", [("reference", "in", list(shipment_references))], ["reference", "outgoing_moves"]
        )
        by_move = {move: row["reference"] for row in shipments for move in row["outgoing_moves"]}
        lines = await self._rpc.search(
            "account.invoice.line",
            [("stock_moves", "in", list(by_move)), ("invoice", "!=", None)],
            ["stock_moves", "invoice", *(f"invoice.{field}" for field in DRAFT_FIELDS)],
        )
        found: dict[str, dict[str, Any]] = {}
        for line in lines:
            for move in line["stock_moves"]:
                if move in by_move and line["invoice."]["state"] != "cancelled":
                    found[by_move[move]] = {**line["invoice."], "id": line["invoice"]}
        return found

    async def _invoices_made_late(self, commands: Sequence[InvoiceCommand]) -> dict[str, dict[str, Any]]:
        """Invoices that Tryton had put off making when it was killed."""
        sales = await self._rpc.search(
            "sale.sale", [("reference", "in", [each.order_reference for each in commands])], []
        )
        await process_again(self._rpc, [int(sale["id"]) for sale in sales])
        return await self._invoices_of([each.shipment_reference for each in commands])

    async def _gather_charges(self, commands: Sequence[InvoiceCommand], drafts: Mapping[str, dict[str, Any]]) -> bool:
        """Freight and allowances stand in a draft of their own from the start: they go onto the first shipment's invoice."""
        sales = await self._rpc.search(
            "sale.sale", [("reference", "in", [each.order_reference for each in commands])], ["reference", "invoices"]
        )
        ids = {invoice: sale["reference"] for sale in sales for invoice in sale["invoices"]}
        taken = {invoice["id"] for invoice in drafts.values()}
        lines = await self._rpc.search(
            "account.invoice.line",
            [
                ("invoice", "in", [each for each in ids if each not in taken]),
                ("invoice.state", "=", "draft"),
                ("stock_moves", "=", None),
            ],
            ["invoice"],
        )
        first: dict[str, int] = {}
        for command in commands:
            invoice = drafts[command.shipment_reference]
            if invoice["state"] == "draft":
                first.setdefault(command.order_reference, invoice["id"])
        emptied: set[int] = set()
        arguments: list[Any] = []
        for line in lines:
            target = first.get(ids[line["invoice"]])
            if target is not None:
                arguments += [[line["id"]], {"invoice": target}]
                emptied.add(line["invoice"])
        if arguments:
            await self._rpc.write("account.invoice.line.write", *arguments)
            await self._rpc.write("account.invoice.delete", sorted(emptied))
        return bool(arguments)

    async def _not_made(self, commands: Sequence[InvoiceCommand]) -> dict[str, Failure]:
        """Why there is no invoice of these shipments: Tryton does not know them, or has yet to make one."""
        if not commands:
            return {}
        rows = await self._rpc.search(
            "stock.shipment.out", [("reference", "in", [each.shipment_reference for each in commands])], ["reference"]
        )
        recorded = {row["reference"] for row in rows}
        name = self._rpc.name
        failures: dict[str, Failure] = {}
        for command in commands:
            reference, number = command.shipment_reference, command.shipment_number
            if reference in recorded:
                message = f"{name}: no invoice for shipment {number} yet; it is asked for again"
                failures[reference] = Transient(message, system=name, code=f"{name}.no_invoice")
            else:
                message = f"{name}: shipment {number} of sale {command.erp_reference} is not recorded; record it first"
                failures[reference] = Rejected(message, system=name, code=f"{name}.no_shipment")
        return failures


def _numbered(invoice: Invoice, shipment_number: str) -> Invoice:
    return invoice.model_copy(update={"shipment_numbers": (shipment_number,)})
