"""Reads Tryton's books back for the tie-out: every sale, invoice, credit note and payment with our reference in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tallystick.documents.money import to_minor
from tallystick.systems.ports import BookEntry
from tallystick.systems.tryton.rpc import TrytonRpc

_PAGE = 1_000


class TrytonBooks:
    """The books as they stand."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    async def read(self, since: datetime | None) -> Sequence[BookEntry]:
        """All entries made since, in pages."""
        made: list[Any] = [("create_date", ">=", since.astimezone(UTC))] if since else []
        sales = await self._all(
            "sale.sale",
            [*made, ("state", "in", ["confirmed", "processing", "done"])],
            [
                "number",
                "reference",
                "party.code",
                "currency.code",
                "untaxed_amount",
                "total_amount",
                "sale_date",
                "state",
                "origin",
            ],
        )
        invoices = await self._all(
            "account.invoice",
            [*made, ("type", "=", "out"), ("state", "in", ["posted", "paid"])],
            [
                "number",
                "reference",
                "party.code",
                "currency.code",
                "untaxed_amount",
                "total_amount",
                "invoice_date",
                "state",
            ],
        )
        payments = await self._all(
            "account.statement",
            [*made, ("state", "=", "posted")],
            ["name", "journal.currency.code", "total_amount", "date", "state", "lines"],
        )
        payers = await self._payers([row["id"] for row in payments])
        return [
            *(_entry("order", row, row["sale_date"]) for row in sales if not _returns(row)),
            *(
                _entry("credit_memo" if row["total_amount"] < 0 else "invoice", row, row["invoice_date"])
                for row in invoices
            ),
            *(_payment(row, payers.get(row["id"], "")) for row in payments),
        ]

    async def _payers(self, statements: Sequence[int]) -> dict[int, str]:
        """The customer of each statement that is a payment of ours."""
        found: dict[int, str] = {}
        for at in range(0, len(statements), _PAGE):
            page = list(statements[at : at + _PAGE])
            rows = await self._rpc.search(
                "account.statement.line", [("statement", "in", page)], ["statement", "party.code"]
            )
            found.update((row["statement"], row["party."]["code"]) for row in rows if row["party."])
        return found

    async def _all(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        last = 0
        while True:
            page = await self._rpc.search(
                model, [*domain, ("id", ">", last)], fields, limit=_PAGE, order=[("id", "ASC")]
            )
            found += page
            if len(page) < _PAGE:
                return found
            last = page[-1]["id"]


def _returns(sale: dict[str, Any]) -> bool:
    """Whether the sale takes goods of another one back; its credit note is in the books."""
    return (sale["origin"] or "").startswith("sale.sale,")


def _entry(kind: str, row: dict[str, Any], booked_on: Any) -> BookEntry:
    currency = row["currency."]["code"]
    reference = row["reference"] or None
    return BookEntry(
        kind=kind,
        system_reference=row["number"] or str(row["id"]),
        reference=reference,
        order_reference=_order_reference(reference),
        customer_id=row["party."]["code"],
        currency=currency,
        net_amount=to_minor(row["untaxed_amount"], currency),
        total_amount=to_minor(row["total_amount"], currency),
        booked_on=booked_on or datetime.now(UTC).date(),
        state=row["state"],
    )


def _payment(row: dict[str, Any], customer: str) -> BookEntry:
    currency = row["journal."]["currency."]["code"]
    amount = to_minor(row["total_amount"], currency)
    return BookEntry(
        kind="payment",
        system_reference=f"STATEMENT-{row['id']}",
        reference=row["name"] or None,
        order_reference=_order_reference(row["name"]),
        customer_id=customer,
        currency=currency,
        net_amount=amount,
        total_amount=amount,
        booked_on=row["date"],
        state=row["state"],
    )


def _order_reference(reference: str | None) -> str | None:
    """Our references begin with the order's own: TS-<32 digits>, then what they are of."""
    if not reference or not reference.startswith("TS-"):
        return None
    return reference[:35]
