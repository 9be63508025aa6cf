"""Invoices in Tryton: the draft that it makes of each done shipment is dated, named with our reference, posted, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.documents.invoice import Invoice, InvoiceLine
from tallystick.documents.money import to_minor
from tallystick.systems.failure import Failure, Transient
from tallystick.systems.ports import InvoiceCommand
from tallystick.systems.tryton.rpc import TrytonRpc

_POSTED = ("posted", "paid")


class TrytonInvoices:
    """Has invoices posted; amounts and numbers are Tryton's."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    async def post(self, commands: Sequence[InvoiceCommand]) -> list[Invoice | Failure]:
        """Post the invoice of each command's shipment; one posted already is read back as it is."""
        drafts = await self._invoices_of([command.shipment_reference for command in commands])
        failures: dict[str, Failure] = {
            command.shipment_reference: self._not_made(command)
            for command in commands
            if command.shipment_reference not in drafts
        }
        await self._gather_charges([command for command in commands if command.shipment_reference in drafts], drafts)
        references = {command.shipment_reference: command.reference for command in commands}
        failures.update(await self._advance(drafts, references))
        posted = await self._read(
            {shipment: invoice["id"] for shipment, invoice in drafts.items() if shipment not in failures}
        )
        return [failures.get(command.shipment_reference) or posted[command.shipment_reference] for command in commands]

    async def _invoices_of(self, shipment_references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The invoice of each shipment, found by the stock moves that its lines bill."""
        shipments = await self._rpc.search(
            "stock.shipment.out", [("reference", "in", list(shipment_references))], ["reference", "outgoing_moves"]
        )
        by_move = {move: row["reference"] for row in shipments for move in row["outgoing_moves"]}
        lines = await self._rpc.search(
            "account.invoice.line",
            [("stock_moves", "in", list(by_move)), ("invoice", "!=", None)],
            ["stock_moves", "invoice", "invoice.state", "invoice.reference"],
        )
        found: dict[str, dict[str, Any]] = {}
        for line in lines:
            for move in line["stock_moves"]:
                if move in by_move and line["invoice."]["state"] != "cancelled":
                    found[by_move[move]] = {**line["invoice."], "id": line["invoice"]}
        return found

    async def _gather_charges(self, commands: Sequence[InvoiceCommand], drafts: Mapping[str, dict[str, Any]]) -> None:
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

    async def _advance(self, drafts: Mapping[str, dict[str, Any]], references: Mapping[str, str]) -> dict[str, Failure]:
        today = datetime.now(UTC).date()
        undated = [shipment for shipment, invoice in drafts.items() if invoice["state"] == "draft"]

        async def name(shipments: Sequence[str]) -> None:
            arguments: list[Any] = []
            for shipment in shipments:
                arguments += [[drafts[shipment]["id"]], {"reference": references[shipment], "invoice_date": today}]
            await self._rpc.write("account.invoice.write", *arguments)

        failures = await self._rpc.isolate(undated, name)
        for button, states in (("validate_invoice", ("draft",)), ("post", ("draft", "validated"))):
            ready = [each for each, invoice in drafts.items() if invoice["state"] in states and each not in failures]

            async def press(shipments: Sequence[str], button: str = button) -> None:
                await self._rpc.write(f"account.invoice.{button}", [drafts[each]["id"] for each in shipments])

            failures.update(await self._rpc.isolate(ready, press))
        return failures

    async def _read(self, ids: Mapping[str, int]) -> dict[str, Invoice]:
        rows = await self._rpc.search(
            "account.invoice",
            [("id", "in", list(ids.values()))],
            [
                "number",
                "state",
                "currency.code",
                "invoice_date",
                "payment_term_date",
                "untaxed_amount",
                "tax_amount",
                "total_amount",
                "lines_to_pay",
            ],
        )
        lines = await self._rpc.search(
            "account.invoice.line",
            [("invoice", "in", list(ids.values())), ("type", "=", "line")],
            ["invoice", "origin", "product.code", "description", "quantity", "unit_price", "amount"],
        )
        origins = [
            int(line["origin"].partition(",")[2]) for line in lines if (line["origin"] or "").startswith("sale.line,")
        ]
        sequences = {
            row["id"]: row["sequence"]
            for row in await self._rpc.search(
                "sale.line", [("id", "in", origins), ("product", "!=", None)], ["sequence"]
            )
        }
        due = await self._due_dates(rows)
        by_id = {row["id"]: row for row in rows}
        by_invoice: dict[int, list[dict[str, Any]]] = {}
        for line in lines:
            by_invoice.setdefault(line["invoice"], []).append(line)
        return {
            shipment: _invoice(by_id[invoice], by_invoice.get(invoice, []), sequences, due.get(invoice))
            for shipment, invoice in ids.items()
        }

    async def _due_dates(self, invoices: Sequence[Mapping[str, Any]]) -> dict[int, Any]:
        to_pay = {line: invoice["id"] for invoice in invoices for line in invoice["lines_to_pay"]}
        rows = await self._rpc.search("account.move.line", [("id", "in", list(to_pay))], ["maturity_date"])
        return {to_pay[row["id"]]: row["maturity_date"] for row in rows}

    def _not_made(self, command: InvoiceCommand) -> Failure:
        name = self._rpc.name
        message = f"{name}: no invoice for shipment {command.shipment_number} yet; it is asked for again"
        return Transient(message, system=name, code=f"{name}.no_invoice")


def _invoice(
    row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], sequences: Mapping[int, int], due: Any
) -> Invoice:
    currency = row["currency."]["code"]
    return Invoice(
        number=row["number"],
        currency=currency,
        invoice_date=row["invoice_date"],
        due_date=due,
        lines=tuple(_invoice_line(line, sequences, currency) for line in lines if line["quantity"]),
        net_amount=to_minor(row["untaxed_amount"], currency),
        tax_amount=to_minor(row["tax_amount"], currency),
        total_amount=to_minor(row["total_amount"], currency),
    )


def _invoice_line(line: Mapping[str, Any], sequences: Mapping[int, int], currency: str) -> InvoiceLine:
    origin = int((line["origin"] or ",0").partition(",")[2])
    quantity = Decimal(str(line["quantity"]))
    return InvoiceLine(
        line_number=sequences.get(origin),
        product_id=(line["product."] or {}).get("code"),
        description=(line["description"] or "")[:140] or None,
        quantity=abs(quantity),
        unit_price=line["unit_price"],
        amount=to_minor(line["amount"], currency),
    )
