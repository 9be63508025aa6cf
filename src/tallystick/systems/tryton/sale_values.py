"""An order as Tryton's sale: its codes as Tryton's ids, its lines in order, its charges, and the tax that was computed for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tallystick.documents.money import from_minor, minor_digits
from tallystick.documents.order import Order, OrderLine
from tallystick.systems.ports import OrderCommand
from tallystick.systems.tryton.masters import address_of

CHARGE_SEQUENCE = 1_000_000
"""Sale lines from this sequence on are charges; below it the sequence is the order's line number."""
_TAX_SEQUENCE = 2_000_000
_TAX_NOTE = re.compile(r"^tallystick tax_amount=(-?\d+)$")
_UNIT_SYMBOLS = {"EA": "u"}


class UnknownCodeError(Exception):
    """Something in the order that Tryton does not know or cannot hold; the message says what to do."""


class Catalogue:
    """Tryton's ids for the codes of a batch of orders."""

    def __init__(
        self,
        parties: Mapping[str, dict[str, Any]],
        addresses: Sequence[dict[str, Any]],
        products: Mapping[str, dict[str, Any]],
        taxes: Mapping[str, int],
        currencies: Mapping[str, int],
        warehouses: Mapping[str, int],
        price_digits: int,
    ) -> None:
        self.products, self.taxes, self.currencies, self.warehouses = products, taxes, currencies, warehouses
        self.price_digits = price_digits
        self._parties = parties
        self._addresses: dict[int, list[dict[str, Any]]] = {}
        for address in addresses:
            self._addresses.setdefault(address["party"], []).append(address)

    def party(self, code: str) -> dict[str, Any]:
        """The party of a customer. Raises UnknownCodeError."""
        if code not in self._parties:
            raise UnknownCodeError(f"there is no party with the code {code}; create it or correct the order's customer")
        return self._parties[code]

    def address(self, order: Order, party: Mapping[str, Any]) -> dict[str, Any]:
        """The order's ship-to, else the party's first. Raises UnknownCodeError."""
        return ship_to_of(order, self._addresses.get(party["id"], []))

    def tax(self, jurisdiction: str, country: str) -> int:
        """The tax of a jurisdiction, else of its country. Raises UnknownCodeError."""
        for name in (jurisdiction, country):
            if name in self.taxes:
                return self.taxes[name]
        raise UnknownCodeError(f"there is no tax named {jurisdiction}; create it with its rate, or correct the ship-to")


def ship_to_of(order: Order, addresses: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The order's ship-to among its party's addresses, the first where it names none. Raises UnknownCodeError."""
    wanted = order.ship_to
    for address in addresses:
        if wanted is None or wanted.names(address_of(address)):
            return address
    missing = (wanted.id or f"at {wanted.place}") if wanted else "at all"
    raise UnknownCodeError(f"party {order.customer_id} has no address {missing}; create it or correct the ship-to")


def warehouse_of(order: Order, warehouses: Mapping[str, int]) -> int:
    """The warehouse of all of the order's lines; a sale of Tryton's has one. Raises UnknownCodeError."""
    usual = next(iter(warehouses))
    wanted = sorted({line.warehouse or usual for line in order.lines})
    if len(wanted) > 1:
        raise UnknownCodeError(
            f"its lines are sold from {' and '.join(wanted)}, a sale from one; send an order for each"
        )
    if wanted[0] not in warehouses:
        raise UnknownCodeError(
            f"there is no warehouse {wanted[0]}; known are {', '.join(warehouses)} (setting warehouses)"
        )
    return warehouses[wanted[0]]


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A line as Tryton holds it: of a product, or of a charge, which has a description instead and quantity 1 or -1."""

    sequence: int
    product_id: str | None
    description: str | None
    unit: str | None
    quantity: Decimal
    unit_price: Decimal


def sale_lines(order: Order, digits: int) -> list[SaleLine]:
    """An order's lines and charges in Tryton's form. Raises UnknownCodeError where no price fits."""
    products = [
        SaleLine(line.line_number, line.product_id, None, line.unit, line.quantity, _net_price(line, order, digits))
        for line in order.lines
    ]
    charges = []
    for index, charge in enumerate(order.charges):
        amount = from_minor(charge.signed_amount, order.currency)
        sequence, words = CHARGE_SEQUENCE + index, charge.description or charge.code
        charges.append(SaleLine(sequence, None, words, None, Decimal(-1 if amount < 0 else 1), abs(amount)))
    return products + charges


def sale_values(command: OrderCommand, catalogue: Catalogue) -> dict[str, Any]:
    """What to create for an order. Raises UnknownCodeError."""
    order = command.order
    party = catalogue.party(order.customer_id)
    address = catalogue.address(order, party)
    if order.currency not in catalogue.currencies:
        raise UnknownCodeError(f"there is no currency {order.currency}")
    country = (address["country."] or {}).get("code") or "US"
    region = (address["subdivision."] or {}).get("code") or country
    # The tax service's amount goes onto the invoices as it is; only without one does Tryton compute its own.
    taxes = [["add", [catalogue.tax(region, country)]]] if command.tax_amount is None else []
    lines = [_line_values(line, catalogue, taxes) for line in sale_lines(order, catalogue.price_digits)]
    if command.tax_amount is not None:
        lines.append(tax_line(command.tax_amount))
    return {
        "reference": command.reference,
        "description": f"{order.channel} {order.order_number}{f', PO {order.customer_po}' if order.customer_po else ''}",
        "party": party["id"],
        "invoice_address": address["id"],
        "shipment_address": address["id"],
        "payment_term": party["customer_payment_term"],
        "price_list": party["sale_price_list"],
        "sale_date": order.ordered_at.date(),
        "currency": catalogue.currencies[order.currency],
        "warehouse": warehouse_of(order, catalogue.warehouses),
        "invoice_method": "fulfillment",
        "shipment_method": "order",
        "lines": [["create", lines]],
    }


def _line_values(line: SaleLine, catalogue: Catalogue, taxes: list[Any]) -> dict[str, Any]:
    values = {
        "type": "line",
        "sequence": line.sequence,
        "quantity": float(line.quantity),
        "unit_price": line.unit_price,
    }
    if line.product_id is None:
        return {**values, "description": line.description}
    product = catalogue.products.get(line.product_id)
    if product is None:
        raise UnknownCodeError(f"line {line.sequence}: there is no product with the code {line.product_id}")
    symbol = product["sale_uom."]["symbol"]
    if _UNIT_SYMBOLS.get(line.unit or "", line.unit) != symbol:
        raise UnknownCodeError(f"line {line.sequence}: {line.product_id} is sold per {symbol}, not per {line.unit}")
    return {**values, "product": product["id"], "unit": product["sale_uom"], "taxes": taxes}


def _net_price(line: OrderLine, order: Order, digits: int) -> Decimal:
    """Tryton's line has no discount: the price, net of it, that gives the agreed amount. Raises UnknownCodeError."""
    amount = from_minor(line.net_amount(order.currency, order.rounding), order.currency)
    cent = Decimal(1).scaleb(-minor_digits(order.currency))
    price = fitting_price(amount, line.quantity, line.unit_price * (1 - line.discount), digits, cent)
    if price is None:
        raise UnknownCodeError(
            f"line {line.line_number}: no unit price of {digits} digits gives {amount} for {line.quantity}; "
            "raise price_decimal in Tryton's configuration and price_digits here, or split the line"
        )
    return price


def fitting_price(amount: Decimal, quantity: Decimal, agreed: Decimal, digits: int, cent: Decimal) -> Decimal | None:
    """The unit price, the agreed one where it can be, of which Tryton, rounding half to even, makes this amount; None: none."""
    step = Decimal(1).scaleb(-digits)
    for price in (agreed, amount / quantity):
        rounded = price.quantize(step, rounding=ROUND_HALF_EVEN)
        if (rounded * quantity).quantize(cent, rounding=ROUND_HALF_EVEN) == amount:
            return rounded
    return None


def tax_line(tax_amount: int) -> dict[str, Any]:
    """A comment on the sale that holds the tax service's amount until its invoices are posted."""
    return {
        "type": "comment",
        "sequence": _TAX_SEQUENCE,
        "description": "Sales tax as computed by the tax service",
        "note": tax_note(tax_amount),
    }


def tax_note(tax_amount: int) -> str:
    """The note of the tax line: the amount in minor units. Tryton lets it be written after the sale is confirmed."""
    return f"tallystick tax_amount={tax_amount}"


def noted_tax(note: str | None) -> int | None:
    """The tax amount in minor units that a sale line's note tells; None: it tells none."""
    found = _TAX_NOTE.match(note or "")
    return int(found.group(1)) if found else None
