"""Invoices in Tryton: the draft that it makes of each done shipment is dated, named with our reference, posted, and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.documents.invoice import Invoice, InvoiceLine
from tallystick.documents.money import to_minor
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import InvoiceCommand
from tallystick.systems.tryton.buttons import press
from tallystick.systems.tryton.invoice_taxes import taxes_of
from tallystick.systems.tryton.jsonrpc import Warned
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.processing import process_again
from tallystick.systems.tryton.rpc import TrytonRpc

_STEPS = (("draft", "validate_invoice", "validated"), ("validated", "post", "posted"))
_TAX_WARNING = ".invoice_taxes"


class TrytonInvoices:
    """Has invoices posted; amounts and numbers are Tryton's."""

    def __init__(self, rpc: TrytonRpc, names: TrytonNames, tax_account: str) -> None:
        self._rpc = rpc
        self._names = names
        self._tax_account = tax_account

    async def post(self, commands: Sequence[InvoiceCommand]) -> list[Invoice | Failure]:
        """Post the invoice of each command's shipment; one posted already is read back as it is."""
        drafts = await self._invoices_of([command.shipment_reference for command in commands])
        missing = [each for each in commands if each.shipment_reference not in drafts]
        if missing:
            drafts |= await self._invoices_made_late(missing)
        failures = await self._not_made([each for each in commands if each.shipment_reference not in drafts])
        if await self._gather_charges([each for each in commands if each.shipment_reference in drafts], drafts):
            drafts = await self._invoices_of([command.shipment_reference for command in commands])
        failures.update(await self._name([each for each in commands if each.shipment_reference in drafts], drafts))
        failures.update(await self._post(drafts, failures))
        posted = await self._read(
            {shipment: invoice["id"] for shipment, invoice in drafts.items() if shipment not in failures}
        )
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
            ["stock_moves", "invoice", "invoice.state", "invoice.reference", "invoice._timestamp"],
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

    async def _name(
        self, commands: Sequence[InvoiceCommand], drafts: Mapping[str, dict[str, Any]]
    ) -> dict[str, Failure]:
        """Write our reference, the date and the tax into each draft, unless an earlier try or another caller has done it."""
        unnamed = {
            each.shipment_reference: each
            for each in commands
            if drafts[each.shipment_reference]["state"] == "draft" and not drafts[each.shipment_reference]["reference"]
        }
        if not unnamed:
            return {}
        today = datetime.now(UTC).date()
        invoices = [(each, drafts[shipment]["id"]) for shipment, each in unnamed.items()]
        taxes = await taxes_of(self._rpc, await self._tax_account_id(), invoices)

        async def write(shipments: Sequence[str]) -> None:
            arguments: list[Any] = []
            for shipment in shipments:
                invoice, values = drafts[shipment]["id"], {"reference": unnamed[shipment].reference}
                lines = {"taxes": [["create", [taxes[invoice]]]]} if invoice in taxes else {}
                arguments += [[invoice], {**values, "invoice_date": today, **lines}]
            unchanged = {f"account.invoice,{drafts[each]['id']}": drafts[each]["_timestamp"] for each in shipments}
            await self._rpc.write("account.invoice.write", *arguments, context={"_timestamp": unchanged})

        return await self._rpc.isolate(list(unnamed), write)

    async def _tax_account_id(self) -> int:
        accounts = await self._names.accounts()
        if self._tax_account not in accounts:
            name = self._rpc.name
            message = (
                f"{name}: there is no account {self._tax_account!r} for sales tax; correct tax_account in its settings"
            )
            raise Rejected(message, system=name, code=f"{name}.misconfigured")
        return accounts[self._tax_account]

    async def _post(self, drafts: Mapping[str, dict[str, Any]], failures: Mapping[str, Failure]) -> dict[str, Failure]:
        """Validate, then post: Tryton begins a posting anew to lock each of its sequences, and need not check anew then."""
        states = {each: row["state"] for each, row in drafts.items() if each not in failures}
        actions = {"validate_invoice": self._validate}
        failed: dict[str, Failure] = {}
        for state, button, reached in _STEPS:
            ready = {shipment: drafts[shipment]["id"] for shipment, at in states.items() if at == state}
            async with self._rpc.posting:
                refused = await press(self._rpc, "account.invoice", button, ready, (state,), actions.get(button))
            failed.update(refused)
            states.update({shipment: reached for shipment in ready if shipment not in refused})
        return failed

    async def _validate(self, invoices: Sequence[int]) -> None:
        try:
            await self._rpc.write("account.invoice.validate_invoice", invoices)
        except Warned as warned:
            # Taxes come by jurisdiction or from the tax service; Tryton asks whether they may differ from the goods' own.
            if not warned.warning.endswith(_TAX_WARNING):
                raise
            for invoice in invoices:  # Tryton would ask about one after another, and takes one answer at a time
                subject = hashlib.md5(f"account.invoice,{invoice}".encode(), usedforsecurity=False).hexdigest()
                await self._rpc.skip_warning(subject + _TAX_WARNING)
            await self._rpc.write("account.invoice.validate_invoice", invoices)

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
