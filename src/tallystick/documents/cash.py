"""A received bank line as it is to be booked: by cash application or a person's word, carried to the ERP by settlement."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from tallystick.documents.money import MAXIMUM_MINOR, Currency, PositiveAmount
from tallystick.documents.values import MAXIMUM_LINES, Document, Identifier, Instant, Lines, ShortText

SETTLEMENT_STAGE, APPLY_CASH = "settlement", "apply_cash"
"""The stage that books it, and the kind of its message."""
_Amount = Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_MINOR)]


class CashShare(Document):
    """What of it goes to one invoice, and what is taken off for paying early; minor units."""

    invoice_number: Identifier
    amount: _Amount
    discount: PositiveAmount = 0


class CashPart(Document):
    """What of it is one customer's. What the shares leave stays on the customer's account."""

    reference: Identifier
    """Deterministic, and in the ERP's payment for ever: the same line is never booked twice."""
    customer_id: Identifier
    amount: _Amount
    shares: Annotated[tuple[CashShare, ...], Field(max_length=MAXIMUM_LINES)] = ()


class CashDeduction(Document):
    """What a customer kept back of an invoice: a case for a person once the payment is booked."""

    invoice_number: Identifier
    amount: _Amount
    reason: ShortText
    said: ShortText = ""


class CashPosting(Document):
    """One line; its parts are its amount."""

    line_id: UUID
    currency: Currency
    paid_at: Instant
    payer: ShortText = ""
    remittance: ShortText = ""
    parts: Lines[CashPart]
    deductions: Annotated[tuple[CashDeduction, ...], Field(max_length=MAXIMUM_LINES)] = ()
