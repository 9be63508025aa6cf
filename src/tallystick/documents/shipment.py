"""A shipment: what a warehouse sent, in which parcels, against which order lines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tallystick.documents.values import Document, Identifier, Instant, LineNumber, Lines, Quantity, ShortText


class ShipmentLine(Document):
    """A quantity shipped of one order line."""

    line_number: LineNumber
    product_id: Identifier
    quantity: Quantity


class Parcel(Document):
    """One package on its way."""

    tracking_number: Identifier
    carrier: ShortText | None = None


class Shipment(Document):
    """One dispatch from a warehouse. Several may fulfil an order; each ships at most what is still open."""

    number: Identifier
    warehouse: Identifier | None = None
    shipped_at: Instant
    lines: Lines[ShipmentLine]
    parcels: Annotated[tuple[Parcel, ...], Field(max_length=1_000)] = ()
    final: bool = False
    """True when the warehouse will ship nothing more of this order, however much is still open."""
