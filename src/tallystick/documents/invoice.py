"""Invoices and credit memos as the ERP posts them; the hub carries and compares them, it never makes one itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tallystick.documents.money import Currency, MinorAmount, PositiveAmount
from tallystick.documents.values import (
    MAXIMUM_LINES,
    Day,
    Document,
    Identifier,
    LineNumber,
    Quantity,
    ShortText,
    UnitPrice,
)


class InvoiceLine(Document):
    """One invoiced line; `line_number` is the order's, none for charges. `amount` is net, in minor units."""

    line_number: LineNumber | None = None
    product_id: Identifier | None = None
    description: ShortText | None = None
    quantity: Quantity
    unit_price: UnitPrice
    amount: MinorAmount


class Invoice(Document):
    """A posted invoice for what was shipped. Amounts are minor units of `currency`."""

    number: Identifier
    currency: Currency
    invoice_date: Day
    due_date: Day | None = None
    shipment_numbers: tuple[Identifier, ...] = ()
    lines: Annotated[tuple[InvoiceLine, ...], Field(max_length=MAXIMUM_LINES + 100)]
    net_amount: MinorAmount
    tax_amount: MinorAmount
    total_amount: MinorAmount


class CreditMemo(Document):
    """A posted credit to a customer, for a return or a correction. Amounts are positive minor units of `currency`."""

    number: Identifier
    currency: Currency
    credit_date: Day
    return_number: Identifier | None = None
    invoice_number: Identifier | None = None
    lines: Annotated[tuple[InvoiceLine, ...], Field(max_length=MAXIMUM_LINES + 100)]
    net_amount: PositiveAmount
    tax_amount: PositiveAmount
    total_amount: PositiveAmount
    reason: ShortText | None = None
