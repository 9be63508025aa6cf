"""A payment a customer made, as the payment gateway or the bank reports it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tallystick.documents.money import MAXIMUM_MINOR, Currency
from tallystick.documents.values import Document, Identifier, Instant, ShortText


class PaymentMethod(StrEnum):
    """How the money came."""

    CARD = "card"
    TRANSFER = "transfer"
    CHEQUE = "cheque"
    DIRECT_DEBIT = "direct_debit"
    OTHER = "other"


class Payment(Document):
    """Money received, in minor units of `currency`. It may be less or more than the invoice it names."""

    number: Identifier
    """The payer's side's own id, such as the gateway's charge id; unique for one payment."""
    currency: Currency
    amount: Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_MINOR)]
    paid_at: Instant
    method: PaymentMethod = PaymentMethod.TRANSFER
    customer_id: Identifier | None = None
    invoice_number: Identifier | None = None
    remittance: ShortText | None = None
