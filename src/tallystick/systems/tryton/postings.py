"""Posts Tryton's draft invoices and credit notes: dated, named with our reference, with the tax service's tax; and reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.documents.invoice import Invoice, InvoiceLine
from tallystick.documents.money import to_minor
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.tryton.buttons import press
from tallystick.systems.tryton.invoice_taxes import Naming, taxes_of
from tallystick.systems.tryton.jsonrpc import Warned
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.rpc import TrytonRpc

_MODEL = "account.invoice"
_STEPS = (("draft", "validate_invoice", "validated"), ("validated", "post", "posted"))
_TAX_WARNING = ".invoice_taxes"
DRAFT_FIELDS = ("state", "reference", "_timestamp")
"""What must be read of a draft before it is posted."""


class TrytonPostings:
    """Amounts and numbers are Tryton's; the reference and the tax service's amount are ours."""

    def __init__(self, rpc: TrytonRpc, names: TrytonNames, tax_account: str) -> None:
        self._rpc = rpc
        self._names = names
        self._tax_account = tax_account

    async def post(
        self, drafts: Mapping[str, Mapping[str, Any]], namings: Mapping[str, Naming]
    ) -> tuple[dict[str, Invoice], dict[str, Failure]]:
        """Post each draft under its naming, by any key; what is posted already is read back as it is."""
        failures = await self._name(drafts, namings)
        failures.update(await self._press({key: draft for key, draft in drafts.items() if key not in failures}))
        return await self._read({key: draft["id"] for key, draft in drafts.items() if key not in failures}), failures

    async def _name(self, drafts: Mapping[str, Mapping[str, Any]], namings: Mapping[str, Naming]) -> dict[str, Failure]:
        """Write reference, date and tax into each draft, unless an earlier try or another caller has done it."""
        unnamed = [key for key, draft in drafts.items() if draft["state"] == "draft" and not draft["reference"]]
        if not unnamed:
            return {}
        today = datetime.now(UTC).date()
        account = await self._tax_account_id()
        taxes = await taxes_of(self._rpc, account, [(namings[key], drafts[key]["id"]) for key in unnamed])

        async def write(keys: Sequence[str]) -> None:
            arguments: list[Any] = []
            for key in keys:
                invoice, values = drafts[key]["id"], {"reference": namings[key].reference, "invoice_date": today}
                lines = {"taxes": [["create", [taxes[invoice]]]]} if invoice in taxes else {}
                arguments += [[invoice], {**values, **lines}]
            unchanged = {f"{_MODEL},{drafts[key]['id']}": drafts[key]["_timestamp"] for key in keys}
            await self._rpc.write(f"{_MODEL}.write", *arguments, context={"_timestamp": unchanged})

        return await self._rpc.isolate(unnamed, write)

    async def _tax_account_id(self) -> int:
        accounts = await self._names.accounts()
        if self._tax_account not in accounts:
            name = self._rpc.name
            message = (
                f"{name}: there is no account {self._tax_account!r} for sales tax; correct tax_account in its settings"
            )
            raise Rejected(message, system=name, code=f"{name}.misconfigured")
        return accounts[self._tax_account]

    async def _press(self, drafts: Mapping[str, Mapping[str, Any]]) -> dict[str, Failure]:
        """Validate, then post: Tryton begins a posting anew to lock each of its sequences, and need not check anew then."""
        states = {key: draft["state"] for key, draft in drafts.items()}
        actions = {"validate_invoice": self._validate}
        failures: dict[str, Failure] = {}
        for state, button, reached in _STEPS:
            ready = {key: drafts[key]["id"] for key, at in states.items() if at == state}
            async with self._rpc.posting:
                refused = await press(self._rpc, _MODEL, button, ready, (state,), actions.get(button))
            failures.update(refused)
            states.update({key: reached for key in ready if key not in refused})
        return failures

    async def _validate(self, invoices: Sequence[int]) -> None:
        try:
            await self._rpc.write(f"{_MODEL}.validate_invoice", invoices)
        except Warned as warned:
            # Taxes come by jurisdiction or from the tax service; Tryton asks whether they may differ from the goods' own.
            if not warned.warning.endswith(_TAX_WARNING):
                raise
            for invoice in invoices:  # Tryton would ask about one after another, and takes one answer at a time
                subject = hashlib.md5(f"{_MODEL},{invoice}".encode(), usedforsecurity=False).hexdigest()
                await self._rpc.skip_warning(subject + _TAX_WARNING)
            await self._rpc.write(f"{_MODEL}.validate_invoice", invoices)

    async def _read(self, ids: Mapping[str, int]) -> dict[str, Invoice]:
        rows = await self._rpc.search(
            _MODEL,
            [("id", "in", list(ids.values()))],
            [
                "number",
                "currency.code",
                "invoice_date",
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
        line_numbers = await self._line_numbers(lines)
        due = await self._due_dates(rows)
        by_id = {row["id"]: row for row in rows}
        by_invoice: dict[int, list[dict[str, Any]]] = {}
        for line in lines:
            by_invoice.setdefault(line["invoice"], []).append(line)
        return {
            key: _invoice(by_id[invoice], by_invoice.get(invoice, []), line_numbers, due.get(invoice))
            for key, invoice in ids.items()
        }

    async def _line_numbers(self, lines: Sequence[Mapping[str, Any]]) -> dict[int, int]:
        """The order's line number of each sale line that was billed, which it carries as its sequence."""
        origins = [origin for line in lines if (origin := _sale_line(line))]
        rows = await self._rpc.search("sale.line", [("id", "in", origins), ("product", "!=", None)], ["sequence"])
        return {row["id"]: row["sequence"] for row in rows}

    async def _due_dates(self, invoices: Sequence[Mapping[str, Any]]) -> dict[int, Any]:
        to_pay = {line: invoice["id"] for invoice in invoices for line in invoice["lines_to_pay"]}
        rows = await self._rpc.search("account.move.line", [("id", "in", list(to_pay))], ["maturity_date"])
        return {to_pay[row["id"]]: row["maturity_date"] for row in rows}


def _sale_line(line: Mapping[str, Any]) -> int | None:
    """The sale line that an invoice line bills."""
    model, _, record = (line["origin"] or "").partition(",")
    return int(record) if model == "sale.line" else None


def _invoice(
    row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], line_numbers: Mapping[int, int], due: Any
) -> Invoice:
    currency = row["currency."]["code"]
    return Invoice(
        number=row["number"],
        currency=currency,
        invoice_date=row["invoice_date"],
        due_date=due,
        lines=tuple(_invoice_line(line, line_numbers, currency) for line in lines if line["quantity"]),
        net_amount=to_minor(row["untaxed_amount"], currency),
        tax_amount=to_minor(row["tax_amount"], currency),
        total_amount=to_minor(row["total_amount"], currency),
    )


def _invoice_line(line: Mapping[str, Any], line_numbers: Mapping[int, int], currency: str) -> InvoiceLine:
    return InvoiceLine(
        line_number=line_numbers.get(_sale_line(line) or 0),
        product_id=(line["product."] or {}).get("code"),
        description=(line["description"] or "")[:140] or None,
        quantity=abs(Decimal(str(line["quantity"]))),
        unit_price=line["unit_price"],
        amount=to_minor(line["amount"], currency),
    )
