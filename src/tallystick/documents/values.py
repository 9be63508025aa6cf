"""The value types that documents share: bounded text without control characters, identifiers, quantities, instants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

# C0 and C1 control characters, line separators and marks that turn the reading direction never belong in a business
# field: they break EDI and logs, and make a value look like another.
NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
LINES_OF_TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
# A document is one order, not a catalogue: past this many lines it is refused before any work is done.
MAXIMUM_LINES = 2_000

Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=NO_CONTROL_CHARACTERS, strip_whitespace=True),
]
ShortText = Annotated[str, StringConstraints(max_length=140, pattern=NO_CONTROL_CHARACTERS, strip_whitespace=True)]
LongText = Annotated[str, StringConstraints(max_length=2_000, pattern=LINES_OF_TEXT, strip_whitespace=True)]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Line = TypeVar("Line")
LineNumber = Annotated[int, Field(strict=True, ge=1, le=999_999)]


def _not_empty(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    # After the lines themselves: pydantic's own check counts the valid ones, and would call a list of bad lines too short.
    if not lines:
        raise ValueError("at least one line is needed")
    return lines


Lines = Annotated[
    tuple[Line, ...],
    Field(max_length=MAXIMUM_LINES, json_schema_extra={"minItems": 1}),
    AfterValidator(_not_empty),
]


def _plain_digits(value: Any) -> Any:
    # Python reads 1_000 and digits of every script as numbers; the systems behind us would not, or as others.
    if type(value) is str and (not value.isascii() or "_" in value):
        raise ValueError("a number is written in the digits 0 to 9 with a decimal point, such as 1234.5")
    return value


def _decimal_schema(**bounds: int) -> WithJsonSchema:
    """As text no digit is ever lost; JSON numbers are taken too, within bounds that a double keeps exactly (15 digits)."""
    sign = r"[+-]?" if bounds.get("minimum", 0) < 0 else r"\+?"
    text = {"type": "string", "pattern": rf"^\s*{sign}(\d+\.?\d*|\.\d+)([eE][+-]?\d{{1,6}})?\s*$"}
    return WithJsonSchema({"anyOf": [text, {"type": "number", **bounds}]})


Quantity = Annotated[
    Decimal,
    Field(gt=0, le=Decimal(10_000_000), max_digits=14, decimal_places=4, examples=["12"]),
    BeforeValidator(_plain_digits),
    _decimal_schema(exclusiveMinimum=0, maximum=10_000_000),
]
UnitPrice = Annotated[
    Decimal,
    Field(ge=0, le=Decimal(100_000_000), max_digits=18, decimal_places=6, examples=["19.99"]),
    BeforeValidator(_plain_digits),
    _decimal_schema(minimum=0, maximum=100_000_000),
]
Fraction = Annotated[
    Decimal,
    Field(ge=0, le=1, decimal_places=6, description="0.05 is five percent"),
    BeforeValidator(_plain_digits),
    _decimal_schema(minimum=0, maximum=1),
]
StockQuantity = Annotated[
    Decimal,
    Field(ge=Decimal(-(10**12)), le=Decimal(10**12), description="Negative where more is promised than there is"),
    BeforeValidator(_plain_digits),
    _decimal_schema(minimum=-(10**12), maximum=10**12),
]


def _written_as_date(value: Any) -> Any:
    # A bare number could be seconds, milliseconds or a day of some epoch: nobody's guess is safe.
    if isinstance(value, int | float | Decimal) or (isinstance(value, str) and value.strip()[4:5] != "-"):
        raise ValueError("a date is written as 2026-11-24, an instant as 2026-11-24T09:30:00Z")
    return value


def _to_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it is outside the years 1 to 9999") from None


Day = Annotated[date, BeforeValidator(_written_as_date)]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_written_as_date),
    AfterValidator(_to_utc),
    Field(description="RFC 3339 instant with offset; kept in UTC"),
]


class Document(BaseModel):
    """What every document is: immutable, with unknown fields refused so that a misspelt one is never dropped in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; what was computed once from the fields is computed anew from the copy's."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied
