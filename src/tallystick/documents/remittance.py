"""A remittance advice: which invoices a payer says a payment is for, and what was kept back of each, and why."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tallystick.documents.money import MAXIMUM_MINOR, Currency, MinorAmount, PositiveAmount, format_minor
from tallystick.documents.values import Day, Document, Identifier, Lines, ShortText


class RemittanceLine(Document):
    """One invoice (or, with negative amounts, a credit taken): net is gross less discount less adjustment."""

    invoice_number: Identifier
    """As the payer writes it."""
    gross_amount: MinorAmount
    """What the payer takes the invoice to be, or the part of it that this payment is for."""
    discount_amount: PositiveAmount = 0
    """Taken for paying early."""
    adjustment_amount: MinorAmount = 0
    """Kept back for another reason; negative: paid on top."""
    adjustment_reason: ShortText | None = None
    """The payer's reason: an X12 adjustment code such as 04, or words."""
    net_amount: MinorAmount

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.gross_amount - self.discount_amount - self.adjustment_amount != self.net_amount:
            raise ValueError("its net amount is not its gross amount less discount and adjustment")
        return self


class Remittance(Document):
    """The advice of one payment, as X12 820, a CSV file or a letter has it. Amounts in minor units of `currency`."""

    payer: ShortText | None = None
    payee: ShortText | None = None
    customer_id: Identifier | None = None
    """The payer's number with us, where the advice has it."""
    trace: Identifier
    """The payment's reference, which the bank passes on: a trace number, an end-to-end id, a cheque's number."""
    currency: Currency
    amount: Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_MINOR)]
    paid_on: Day
    lines: Lines[RemittanceLine]

    @model_validator(mode="after")
    def _ties(self) -> Self:
        together = sum(each.net_amount for each in self.lines)
        if together != self.amount:
            said, found = format_minor(self.amount, self.currency), format_minor(together, self.currency)
            raise ValueError(f"it is for {said} {self.currency}, but its lines make {found}")
        return self
