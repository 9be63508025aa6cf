"""A return (RMA): goods that come back, and the credit they ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tallystick.documents.values import MAXIMUM_LINES, Document, Identifier, Instant, Quantity, ShortText


class ReturnLine(Document):
    """A quantity of one order line that came back."""

    line_number: Annotated[int, Field(strict=True, ge=1)]
    product_id: Identifier
    quantity: Quantity


class Return(Document):
    """Goods a warehouse received back against an order."""

    number: Identifier
    received_at: Instant
    reason: ShortText | None = None
    lines: Annotated[tuple[ReturnLine, ...], Field(min_length=1, max_length=MAXIMUM_LINES)]
