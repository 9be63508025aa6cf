"""A return (RMA): goods that come back, and the credit they ask for."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tallystick.documents.misfit import check_line_numbers
from tallystick.documents.values import (
    MAXIMUM_LINES,
    Document,
    Identifier,
    Instant,
    LineNumber,
    Quantity,
    ShortText,
)


class ReturnLine(Document):
    """A quantity of one order line that came back."""

    line_number: LineNumber
    product_id: Identifier
    quantity: Quantity


class Return(Document):
    """Goods a warehouse received back against an order."""

    number: Identifier
    received_at: Instant
    reason: ShortText | None = None
    lines: Annotated[tuple[ReturnLine, ...], Field(min_length=1, max_length=MAXIMUM_LINES)]

    @model_validator(mode="after")
    def _one_quantity_a_line(self) -> Self:
        check_line_numbers([line.line_number for line in self.lines])
        return self
