"""The tax on one order: each line rounded once to whole minor units, the order's tax the sum of its lines'."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from pydantic import Field

from tallystick.documents.money import Currency, MinorAmount, Rounding
from tallystick.documents.values import MAXIMUM_LINES, CountryCode, Document, Identifier, Instant, ShortText
from tallystick.sandbox.batches import MAXIMUM_ITEMS, Reference
from tallystick.sandbox.tax.rates import RateTable

_ROUNDING = {Rounding.HALF_UP: ROUND_HALF_UP, Rounding.HALF_EVEN: ROUND_HALF_EVEN}
_ONE = Decimal(1)


class TaxedLine(Document):
    """One line's net amount in minor units."""

    line_number: Annotated[int, Field(ge=1)]
    amount: MinorAmount
    product_id: Identifier | None = None
    """By which the service knows goods that are not taxed."""
    taxable: bool = True


class Calculation(Document):
    """What is asked for one order. Charges such as freight are not taxed here unless they are sent as lines."""

    reference: Reference
    currency: Currency
    rounding: Rounding = Rounding.HALF_UP
    country: CountryCode
    region: ShortText | None = None
    on: date
    """The day of the order; an exemption that has expired by then does not count."""
    exempt: bool = False
    exemption_certificate: ShortText | None = None
    exemption_expires_at: Instant | None = None
    lines: Annotated[tuple[TaxedLine, ...], Field(min_length=1, max_length=MAXIMUM_LINES)]


class Calculations(Document):
    """A batch of orders."""

    items: Annotated[tuple[Calculation, ...], Field(min_length=1, max_length=MAXIMUM_ITEMS)]


def calculate(asked: Calculation, rates: RateTable) -> dict[str, Any] | None:
    """The order's tax in minor units, in all and by line; None when its jurisdiction has no rate."""
    found = rates.find(asked.country, asked.region)
    if found is None:
        return None
    expires = asked.exemption_expires_at
    exempt = asked.exempt and (expires is None or expires.date() >= asked.on)
    rate = Decimal(0) if exempt else found.rate
    rounding = _ROUNDING[asked.rounding]
    by_line = {
        str(line.line_number): int((line.amount * rate).quantize(_ONE, rounding)) if _is_taxed(line, rates) else 0
        for line in asked.lines
    }
    return {
        "reference": asked.reference,
        "jurisdiction": found.jurisdiction,
        "rate": str(found.rate),
        "rate_version": found.version,
        "exempt": exempt,
        "total_amount": sum(by_line.values()),
        "by_line": by_line,
    }


def _is_taxed(line: TaxedLine, rates: RateTable) -> bool:
    return line.taxable and line.product_id not in rates.untaxed
