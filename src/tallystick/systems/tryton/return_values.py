"""A return as Tryton's sale of negative quantities: what was shipped and billed, less what came back before, bounds it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tallystick.documents.money import from_minor, minor_digits, to_minor
from tallystick.documents.returns import Return
from tallystick.systems.ports import ReturnCommand
from tallystick.systems.tryton.sale_values import fitting_price, tax_line


class NotReturnableError(Exception):
    """What cannot come back of this sale; the message says why."""


class NotBilledYetError(Exception):
    """Goods that left but are on no posted invoice yet, so that there is nothing to credit."""


@dataclass(slots=True)
class Amounts:
    """Quantity and net amount of one order line, both positive."""

    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a line of a sale or an invoice, whichever sign it has."""
        self.quantity += abs(Decimal(str(row["quantity"])))
        self.amount += abs(row["amount"])


@dataclass(slots=True)
class Original:
    """The sale that goods come back of, with its product lines by the order's line number."""

    sale: Mapping[str, Any]
    lines: dict[int, Mapping[str, Any]]
    billed: dict[int, Amounts] = field(default_factory=lambda: defaultdict(Amounts))
    returned: dict[int, Amounts] = field(default_factory=lambda: defaultdict(Amounts))
    tax: Decimal | None = None
    """The tax service's amount; None: Tryton computed the tax."""
    credited_tax: Decimal = Decimal(0)


def return_values(command: ReturnCommand, original: Original, digits: int) -> dict[str, Any]:
    """What to create. Raises NotReturnableError or NotBilledYetError."""
    sale, returned = original.sale, command.returned
    currency = sale["currency."]["code"]
    cent = Decimal(1).scaleb(-minor_digits(currency))
    lines: list[dict[str, Any]] = []
    value = sum((each.amount for each in original.returned.values()), Decimal(0))
    for wanted in returned.lines:
        line, amount = _credited(wanted.line_number, wanted.quantity, original, cent)
        value += amount
        price = fitting_price(amount, wanted.quantity, line["unit_price"], digits, cent) or line["unit_price"]
        lines.append(
            {
                "type": "line",
                "sequence": wanted.line_number,
                "product": line["product"],
                "quantity": -float(wanted.quantity),
                "unit": line["unit"],
                "unit_price": price,
                "taxes": [["add", list(line["taxes"])]],
            }
        )
    if original.tax is not None:
        lines.append(tax_line(-to_minor(_tax(original, value, cent), currency)))
    return {
        "reference": command.reference,
        "origin": f"sale.sale,{sale['id']}",
        "description": _description(returned),
        **{name: sale[name] for name in COPIED},
        "sale_date": returned.received_at.date(),
        "invoice_method": "fulfillment",
        "shipment_method": "order",
        "lines": [["create", lines]],
    }


COPIED = (
    "party",
    "invoice_address",
    "shipment_address",
    "payment_term",
    "price_list",
    "currency",
    "warehouse",
)
"""What a return has in common with its sale."""


def _credited(number: int, quantity: Decimal, original: Original, cent: Decimal) -> tuple[Mapping[str, Any], Decimal]:
    """The sale's line and what to credit for it: the last piece takes what the earlier ones have left of the amount."""
    line = original.lines.get(number)
    name = f"line {number} of sale {original.sale['number']}"
    if line is None:
        raise NotReturnableError(f"there is no {name}")
    shipped, billed, before = (
        Decimal(str(line["actual_quantity"] or 0)),
        original.billed[number],
        original.returned[number],
    )
    together = before.quantity + quantity
    if together > shipped:
        raise NotReturnableError(f"{name}: {together} came back in all, but only {shipped} left")
    if together > billed.quantity:
        raise NotBilledYetError(f"{name}: {together} came back in all, but only {billed.quantity} is billed")
    due = (billed.amount * together / billed.quantity).quantize(cent, rounding=ROUND_HALF_UP)
    return line, due - before.amount


def _tax(original: Original, value: Decimal, cent: Decimal) -> Decimal:
    """What all returns up to this one take back of the order's tax, less what the earlier ones have: it goes with the goods."""
    goods = sum((line["amount"] for line in original.lines.values()), Decimal(0))
    due = (original.tax or Decimal(0)) * value / goods if goods else Decimal(0)
    return due.quantize(cent, rounding=ROUND_HALF_UP) - original.credited_tax


def _description(returned: Return) -> str:
    return f"return {returned.number}{f': {returned.reason}' if returned.reason else ''}"[:140]


def in_money(minor: int, sale: Mapping[str, Any]) -> Decimal:
    """An amount in minor units of the sale's currency as Tryton writes it."""
    return from_minor(minor, sale["currency."]["code"])


def by_line_number(rows: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Sale lines of products by their sequence, which is the order's line number."""
    return {row["sequence"]: row for row in rows if row["product"]}
