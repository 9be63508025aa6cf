"""The order as a channel sends it, in canonical form; arithmetic that does not tie is refused here, before any check."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from tallystick.documents.misfit import check_line_numbers, misfit
from tallystick.documents.money import EXACT, MAXIMUM_MINOR, Currency, MinorAmount, PositiveAmount, Rounding, to_minor
from tallystick.documents.party import Address
from tallystick.documents.values import (
    Day,
    Document,
    Fraction,
    Identifier,
    Instant,
    LineNumber,
    Lines,
    LongText,
    Quantity,
    ShortText,
    UnitPrice,
)


class OrderLine(Document):
    """One product at one price. `amount`, when stated, must equal the rounded extension."""

    line_number: LineNumber
    product_id: Identifier
    quantity: Quantity
    unit: Identifier = "EA"
    unit_price: UnitPrice
    discount: Fraction = Decimal(0)
    amount: MinorAmount | None = None
    """Net amount the channel states for the line, after discount, before tax, in minor units."""
    warehouse: Identifier | None = None
    description: ShortText | None = None
    requested_delivery: Day | None = None
    """When this line is wanted, if not with the order."""

    def net_amount(self, currency: str, rounding: Rounding) -> int:
        """Quantity times unit price less discount, rounded once, in minor units of `currency`."""
        extension = EXACT.multiply(self.quantity, self.unit_price)
        if self.discount:
            extension = EXACT.multiply(extension, EXACT.subtract(1, self.discount))
        return to_minor(extension, currency, rounding)


class ChargeKind(StrEnum):
    """Whether an amount is taken off (allowance) or added (charge), as EDI's SAC segment has it."""

    ALLOWANCE = "allowance"
    CHARGE = "charge"


class Charge(Document):
    """An allowance or charge on the whole order, such as freight. `amount` is positive; the kind gives the sign."""

    kind: ChargeKind = ChargeKind.CHARGE
    code: Identifier
    description: ShortText | None = None
    amount: PositiveAmount

    @property
    def signed_amount(self) -> int:
        """The amount with its sign: allowances are negative."""
        return -self.amount if self.kind is ChargeKind.ALLOWANCE else self.amount


class Order(Document):
    """A customer's order from a channel. All amounts are minor units of `currency`; totals are compared, never posted."""

    entity: Identifier = "default"
    channel: Identifier
    """Name of the sales system that sends it, such as `crm`, `webshop` or `edi`."""
    order_number: Identifier
    """The channel's own number; unique within (entity, channel)."""
    customer_po: Identifier | None = None
    customer_id: Identifier
    currency: Currency
    ordered_at: Instant
    requested_delivery: Day | None = None
    """When the goods are wanted."""
    requested_shipment: Day | None = None
    """The day before which they are not to leave."""
    cancel_after: Day | None = None
    """The day after which what has not left is not wanted any more."""
    payment_terms: ShortText | None = None
    ship_to: Address | None = None
    rounding: Rounding = Rounding.HALF_UP
    lines: Lines[OrderLine]
    charges: Annotated[tuple[Charge, ...], Field(max_length=100)] = ()
    tax_amount: MinorAmount | None = None
    """Tax the channel quoted to the customer; compared with the tax service's answer."""
    total_amount: MinorAmount | None = None
    """Total the channel states: lines, charges and stated tax."""
    notes: LongText | None = None

    @cached_property
    def line_amounts(self) -> tuple[int, ...]:
        """The lines' net amounts in minor units, in the lines' order."""
        return tuple([line.net_amount(self.currency, self.rounding) for line in self.lines])

    @property
    def lines_amount(self) -> int:
        """Sum of the lines' net amounts in minor units."""
        return sum(self.line_amounts)

    @property
    def net_amount(self) -> int:
        """Lines and charges without tax, in minor units."""
        return self.lines_amount + sum([charge.signed_amount for charge in self.charges])

    @model_validator(mode="after")
    def _ties_out(self) -> Self:
        check_line_numbers([line.line_number for line in self.lines])
        self._check_dates()
        for index, (line, net) in enumerate(zip(self.lines, self.line_amounts, strict=True)):
            if line.amount is not None and line.amount != net:
                raise misfit(
                    ("lines", index, "amount"),
                    f"stated {line.amount}, but quantity × unit_price × (1 − discount) is {net} "
                    f"({self.rounding.value}); correct it or leave it out",
                )
        total = self.net_amount + (self.tax_amount or 0)
        if self.total_amount is not None and self.total_amount != total:
            raise misfit(
                ("total_amount",),
                f"stated {self.total_amount}, but lines, charges and tax_amount add up to {total}",
            )
        if not 0 <= total <= MAXIMUM_MINOR:
            raise misfit(("total_amount",), f"{total} is outside 0 to {MAXIMUM_MINOR} minor units")
        return self

    def _check_dates(self) -> None:
        first = self.requested_shipment
        for name, day in (("requested_delivery", self.requested_delivery), ("cancel_after", self.cancel_after)):
            if first is not None and day is not None and day < first:
                raise misfit(
                    (name,), f"{day} is before requested_shipment, which is {first}; nothing could leave in time"
                )
