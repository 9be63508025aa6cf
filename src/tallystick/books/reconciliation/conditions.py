"""What a root cause may ask of a break: a finding about it, and what that must be."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NUMBERS = (
    "amount_difference",
    "quantity_difference",
    "price_difference",
    "quantity_factor",
    "price_factor",
    "days_apart",
    "days_to_the_end",
    "left_amount",
    "right_amount",
    "left_rows",
    "right_rows",
)
TEXTS = (
    "class",
    "side",
    "left_status",
    "right_status",
    "left_currency",
    "right_currency",
    "left_party",
    "right_party",
    "left_reference",
    "right_reference",
)
FACTS = (
    "a_tax_rate_apart",
    "a_pack_size_apart",
    "a_rounding_apart",
    "months_differ",
    "party_missing",
    "twin_on_the_other_side",
    "repeats_a_row",
    "price_used_before",
)


class Condition(BaseModel):
    """One condition. Numbers take at_least and at_most (money in major units), texts take in and not_in, facts take `is`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    is_in: tuple[str, ...] | None = Field(default=None, alias="in")
    not_in: tuple[str, ...] | None = None
    is_true: bool | None = Field(default=None, alias="is")

    @model_validator(mode="after")
    def _fits_the_field(self) -> Self:
        if self.field not in (*NUMBERS, *TEXTS, *FACTS):
            raise ValueError(
                f"{self.field!r} is found out about no break; there are {', '.join((*NUMBERS, *TEXTS, *FACTS))}"
            )
        numbers = self.at_least is not None or self.at_most is not None
        texts = self.is_in is not None or self.not_in is not None
        given = (numbers, texts, self.is_true is not None)
        wanted = (self.field in NUMBERS, self.field in TEXTS, self.field in FACTS)
        if given != wanted:
            word = "at_least or at_most" if wanted[0] else "in or not_in" if wanted[1] else "is = true or false"
            raise ValueError(f"{self.field} takes {word}, and nothing else")
        return self
