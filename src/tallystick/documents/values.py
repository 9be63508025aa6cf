"""The value types that documents share: bounded text without control characters, identifiers, quantities, instants."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

# C0 and C1 control characters and lone line separators never belong in a business field; they break EDI and logs.
NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
# A document is one order, not a catalogue: past this many lines it is refused before any work is done.
MAXIMUM_LINES = 2_000

Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=NO_CONTROL_CHARACTERS, strip_whitespace=True),
]
ShortText = Annotated[str, StringConstraints(max_length=140, pattern=NO_CONTROL_CHARACTERS, strip_whitespace=True)]
LongText = Annotated[
    str, StringConstraints(max_length=2_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$", strip_whitespace=True)
]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]

Quantity = Annotated[Decimal, Field(gt=0, le=Decimal(10_000_000), max_digits=14, decimal_places=4, examples=["12"])]
UnitPrice = Annotated[
    Decimal, Field(ge=0, le=Decimal(100_000_000), max_digits=18, decimal_places=6, examples=["19.99"])
]
Fraction = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6, description="0.05 is five percent")]


def _to_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


Instant = Annotated[
    AwareDatetime, AfterValidator(_to_utc), Field(description="RFC 3339 instant with offset; kept in UTC")
]


class Document(BaseModel):
    """What every document is: immutable, with unknown fields refused so that a misspelt one is never dropped in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", use_attribute_docstrings=True)
