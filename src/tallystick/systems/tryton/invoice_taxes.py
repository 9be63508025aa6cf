"""The tax service's amount on Tryton's invoices: a share each by the value of its goods, and the shares add up to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tallystick.documents.money import from_minor, minor_digits
from tallystick.systems.tryton.references import References
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sale_values import noted_tax


@dataclass(frozen=True, slots=True)
class Naming:
    """Our reference for an invoice or credit note, and that of the sale it is of."""

    reference: str
    sale_reference: str


async def taxes_of(rpc: TrytonRpc, account: int, invoices: Sequence[tuple[Naming, int]]) -> dict[int, dict[str, Any]]:
    """The tax line of each draft invoice whose sale carries an amount of the tax service, by invoice id.

    It is a manual tax in Tryton's words: computed elsewhere, posted as it is. Raises a Failure.
    """
    sales = await References(rpc, "sale.sale", "reference", ("untaxed_amount", "currency.code", "invoices")).find(
        [naming.sale_reference for naming, _ in invoices]
    )
    rows = await rpc.search(
        "sale.line",
        [("sale", "in", [sale["id"] for sale in sales.values()]), ("product", "=", None)],
        ["sale", "note", "amount"],
    )
    amounts = {row["sale"]: tax for row in rows if (tax := noted_tax(row["note"])) is not None}
    if not amounts:
        return {}
    read = await rpc.search(
        "account.invoice",
        [
            ("id", "in", sorted({each for sale in sales.values() for each in sale["invoices"]})),
            ("state", "!=", "cancelled"),
        ],
        ["untaxed_amount", "tax_amount", "reference"],
    )
    charges = await rpc.search(
        "account.invoice.line",
        [("invoice", "in", [row["id"] for row in read]), ("type", "=", "line"), ("product", "=", None)],
        ["invoice", "amount"],
    )
    billed_charges, sale_charges = _sums(charges, "invoice"), _sums(rows, "sale")
    by_invoice = {row["id"]: row | {"goods": row["untaxed_amount"] - billed_charges[row["id"]]} for row in read}
    lines: dict[int, dict[str, Any]] = {}
    for naming, invoice in invoices:
        sale = sales.get(naming.sale_reference)
        if sale is None or sale["id"] not in amounts or invoice not in by_invoice:
            continue
        named = [by_invoice[each] for each in sale["invoices"] if each in by_invoice and by_invoice[each]["reference"]]
        currency = sale["currency."]["code"]
        goods = sale["untaxed_amount"] - sale_charges[sale["id"]]
        share = _share(from_minor(amounts[sale["id"]], currency), goods, by_invoice[invoice], named, currency)
        # The next invoice of the same sale in this call must see this one as taken.
        by_invoice[invoice] |= {"tax_amount": share, "reference": naming.reference}
        lines[invoice] = {
            "description": "Sales tax (tax service)",
            "account": account,
            "base": by_invoice[invoice]["untaxed_amount"],
            "amount": share,
            "manual": True,
        }
    return lines


def _share(
    amount: Decimal, sale_goods: Decimal, invoice: dict[str, Any], earlier: Sequence[dict[str, Any]], currency: str
) -> Decimal:
    """What the invoices up to this one owe of the order's tax, less what the earlier ones have: so no cent is lost or left.

    The tax is on the goods: freight, which goes wholly onto the first invoice, moves none of it.
    """
    taken = sum((each["tax_amount"] for each in earlier), Decimal(0))
    goods = sum((each["goods"] for each in earlier), invoice["goods"])
    due = amount * goods / sale_goods if sale_goods else amount
    return due.quantize(Decimal(1).scaleb(-minor_digits(currency)), rounding=ROUND_HALF_UP) - taken


def _sums(rows: Sequence[Mapping[str, Any]], by: str) -> dict[int, Decimal]:
    """Amounts added up by the record they belong to; 0 for one that has none."""
    sums: dict[int, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row[by]] += row["amount"] or 0
    return sums
