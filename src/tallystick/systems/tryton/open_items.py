"""What customers owe as Tryton has it: posted invoices that still ask for money. Its terms know no early-payment discount."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.documents.money import to_minor
from tallystick.systems.ports import OpenReceivable
from tallystick.systems.tryton.rpc import TrytonRpc

_PAGE = 1_000
_FIELDS = ("number", "party.code", "currency.code", "amount_to_pay", "invoice_date")


class TrytonOpenItems:
    """Read anew at each call."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    async def read(self) -> Sequence[OpenReceivable]:
        """All of them, in pages. Raises a Failure."""
        found: list[OpenReceivable] = []
        last = 0
        while True:
            domain = [("type", "=", "out"), ("state", "=", "posted"), ("id", ">", last)]
            page = await self._rpc.search("account.invoice", domain, _FIELDS, limit=_PAGE, order=[("id", "ASC")])
            found += [_open(row) for row in page if row["amount_to_pay"] > 0 and row["number"]]
            if len(page) < _PAGE:
                return found
            last = page[-1]["id"]


def _open(row: dict[str, Any]) -> OpenReceivable:
    currency = row["currency."]["code"]
    return OpenReceivable(
        number=row["number"],
        customer_id=row["party."]["code"],
        currency=currency,
        open_amount=to_minor(row["amount_to_pay"], currency),
        issued_on=row["invoice_date"],
    )
