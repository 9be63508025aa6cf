"""A return (RMA): goods that come back, and the credit they ask for."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tallystick.documents.misfit import check_line_numbers
from tallystick.documents.values import (
    Document,
    Identifier,
    Instant,
    LineNumber,
    Lines,
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
    lines: Lines[ReturnLine]

    @model_validator(mode="after")
    def _one_quantity_a_line(self) -> Self:
        check_line_numbers([line.line_number for line in self.lines])
        return self
