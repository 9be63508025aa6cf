"""The tax service's amount on Tryton's invoices: each gets its share by net value, and the shares add up to the amount."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tallystick.documents.money import from_minor, minor_digits
from tallystick.systems.failure import Rejected
from tallystick.systems.ports import InvoiceCommand
from tallystick.systems.tryton.references import References
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sale_values import noted_tax


async def taxes_of(
    rpc: TrytonRpc, account_code: str, invoices: Sequence[tuple[InvoiceCommand, int]]
) -> dict[int, dict[str, Any]]:
    """The tax line of each draft invoice whose sale carries an amount of the tax service, by invoice id.

    It is a manual tax in Tryton's words: computed elsewhere, posted as it is. Raises a Failure.
    """
    sales = await References(rpc, "sale.sale", "reference", ("untaxed_amount", "currency.code", "invoices")).find(
        [command.order_reference for command, _ in invoices]
    )
    notes = await rpc.search(
        "sale.line",
        [("sale", "in", [sale["id"] for sale in sales.values()]), ("type", "=", "comment")],
        ["sale", "note"],
    )
    amounts = {row["sale"]: tax for row in notes if (tax := noted_tax(row["note"])) is not None}
    if not amounts:
        return {}
    account = await _account(rpc, account_code)
    read = await rpc.search(
        "account.invoice",
        [
            ("id", "in", sorted({each for sale in sales.values() for each in sale["invoices"]})),
            ("state", "!=", "cancelled"),
        ],
        ["untaxed_amount", "tax_amount", "reference"],
    )
    by_invoice = {row["id"]: row for row in read}
    lines: dict[int, dict[str, Any]] = {}
    for command, invoice in invoices:
        sale = sales.get(command.order_reference)
        if sale is None or sale["id"] not in amounts or invoice not in by_invoice:
            continue
        named = [by_invoice[each] for each in sale["invoices"] if each in by_invoice and by_invoice[each]["reference"]]
        currency = sale["currency."]["code"]
        share = _share(
            from_minor(amounts[sale["id"]], currency), sale["untaxed_amount"], by_invoice[invoice], named, currency
        )
        # The next invoice of the same sale in this call must see this one as taken.
        by_invoice[invoice] |= {"tax_amount": share, "reference": command.reference}
        lines[invoice] = {
            "description": "Sales tax (tax service)",
            "account": account,
            "base": by_invoice[invoice]["untaxed_amount"],
            "amount": share,
            "manual": True,
        }
    return lines


def _share(
    amount: Decimal, sale_net: Decimal, invoice: dict[str, Any], earlier: Sequence[dict[str, Any]], currency: str
) -> Decimal:
    """What the invoices up to this one owe of the order's tax, less what the earlier ones have: so no cent is lost or left."""
    taken = sum((each["tax_amount"] for each in earlier), Decimal(0))
    net = sum((each["untaxed_amount"] for each in earlier), invoice["untaxed_amount"])
    due = amount * net / sale_net if sale_net else amount
    return due.quantize(Decimal(1).scaleb(-minor_digits(currency)), rounding=ROUND_HALF_UP) - taken


async def _account(rpc: TrytonRpc, code: str) -> int:
    rows = await rpc.search("account.account", [("code", "=", code)], [], limit=1)
    if not rows:
        message = (
            f"{rpc.name}: there is no account {code!r} for sales tax; correct tax_account in this system's settings"
        )
        raise Rejected(message, system=rpc.name, code=f"{rpc.name}.misconfigured")
    return int(rows[0]["id"])
