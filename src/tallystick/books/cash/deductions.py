"""Why a customer keeps something back of an invoice: by the advice's code, the payer's words, or the amount itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from tallystick.books.cash.items import OpenItem
from tallystick.documents.money import minor_digits


class DeductionReason(StrEnum):
    """What a deduction case is about; it decides who looks into it."""

    PRICING = "pricing"
    SHORTAGE = "shortage"
    DAMAGED = "damaged"
    WRONG_PRODUCT = "wrong_product"
    RETURNED = "returned"
    UNEARNED_DISCOUNT = "unearned_discount"
    PROMOTION = "promotion"
    FREIGHT = "freight"
    TAX = "tax"
    DUPLICATE_BILLING = "duplicate_billing"
    BANK_CHARGES = "bank_charges"
    ROUNDING = "rounding"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Deduction:
    """What was kept back of an invoice, in minor units; it stays open there until somebody has found out."""

    number: str
    amount: int
    reason: DeductionReason
    said: str = ""
    """The payer's own words or code."""


# ASC X12 data element 426, as the ADX segment of an 820 has it.
_BY_CODE = {
    "01": DeductionReason.PRICING,
    "02": DeductionReason.PROMOTION,
    "03": DeductionReason.PRICING,
    "04": DeductionReason.DAMAGED,
    "05": DeductionReason.DAMAGED,
    "06": DeductionReason.SHORTAGE,
    "07": DeductionReason.WRONG_PRODUCT,
    "08": DeductionReason.WRONG_PRODUCT,
    "09": DeductionReason.UNEARNED_DISCOUNT,
    "10": DeductionReason.FREIGHT,
    "11": DeductionReason.RETURNED,
    "12": DeductionReason.RETURNED,
    "13": DeductionReason.RETURNED,
    "14": DeductionReason.RETURNED,
    "15": DeductionReason.RETURNED,
    "19": DeductionReason.DUPLICATE_BILLING,
}
_BY_WORDS = tuple(
    (re.compile(rf"\b(?:{words})", re.IGNORECASE), reason)
    for words, reason in (
        ("damage|broken|defect|quality", DeductionReason.DAMAGED),
        ("short(?:age|ed|ship| ship)|missing|not received|quantity", DeductionReason.SHORTAGE),
        ("wrong (?:item|product|goods)", DeductionReason.WRONG_PRODUCT),
        ("return|rma", DeductionReason.RETURNED),
        ("pric(?:e|ing)", DeductionReason.PRICING),
        ("promo|rebate|co-?op|allowance", DeductionReason.PROMOTION),
        ("freight|carriage|shipping|pallet", DeductionReason.FREIGHT),
        ("duplicate|billed twice", DeductionReason.DUPLICATE_BILLING),
        ("withholding|vat|sales tax", DeductionReason.TAX),
        ("bank (?:fee|charge)|transfer fee|wire fee|charges", DeductionReason.BANK_CHARGES),
    )
)


def reason_of_code(said: str | None) -> DeductionReason:
    """The reason that an advice's code or words stand for."""
    text = (said or "").strip()
    return _BY_CODE.get(text) or reason_of_words((text,)) or DeductionReason.UNKNOWN


def reason_of_words(texts: Iterable[str]) -> DeductionReason | None:
    """The reason that a payer's words give, if any."""
    said = " ".join(texts)
    return next((reason for pattern, reason in _BY_WORDS if pattern.search(said)), None)


def deduction_of(item: OpenItem, short: int, paid_on: date, texts: Iterable[str]) -> Deduction:
    """A short payment of an invoice as a case: by the words, else by the amount."""
    said = " ".join(texts)
    reason = reason_of_words((said,))
    if reason is None and item.discount == short and item.discounted(paid_on) is None:
        reason = DeductionReason.UNEARNED_DISCOUNT
    if reason is None:
        whole_unit: int = 10 ** minor_digits(item.currency)
        reason = DeductionReason.ROUNDING if short < whole_unit else DeductionReason.UNKNOWN
    return Deduction(item.number, short, reason, said[:140])
