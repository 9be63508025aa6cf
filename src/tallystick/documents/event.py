"""Business events in and out as CloudEvents 1.0 (JSON format), and the event types Tallystick knows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tallystick.documents.misfit import misfit
from tallystick.documents.values import NO_CONTROL_CHARACTERS

_Token = Annotated[str, Field(min_length=1, max_length=256, pattern=NO_CONTROL_CHARACTERS)]


def _json_media_type(named: str) -> str:
    kind = named.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ValueError("data is taken as JSON only; send it as application/json")
    return named


_JsonMediaType = Annotated[
    str,
    Field(max_length=100, json_schema_extra={"pattern": r"^\s*application/([^\s;]+\+)?json\s*(;.*)?$"}),
    AfterValidator(_json_media_type),
]


class EventType(StrEnum):
    """`tallystick.<document>.<fact>.v1`. The first group comes in from systems, the rest goes out to the sales side; credit holds
    come in from the ERP and go out to the sales side."""

    SHIPMENT_DISPATCHED = "tallystick.shipment.dispatched.v1"
    PAYMENT_RECEIVED = "tallystick.payment.received.v1"
    RETURN_RECEIVED = "tallystick.return.received.v1"
    INVOICE_POSTED = "tallystick.invoice.posted.v1"
    CREDIT_HOLD_PLACED = "tallystick.credit.hold_placed.v1"
    CREDIT_HOLD_RELEASED = "tallystick.credit.hold_released.v1"

    ORDER_ACCEPTED = "tallystick.order.accepted.v1"
    ORDER_HELD = "tallystick.order.held.v1"
    ORDER_RELEASED = "tallystick.order.released.v1"
    ORDER_REJECTED = "tallystick.order.rejected.v1"
    ORDER_COMMITTED = "tallystick.order.committed.v1"
    ORDER_REFUSED = "tallystick.order.refused.v1"
    ORDER_CHANGED = "tallystick.order.changed.v1"
    ORDER_CHANGE_REFUSED = "tallystick.order.change_refused.v1"
    ORDER_CANCELLED = "tallystick.order.cancelled.v1"
    ORDER_CANCELLATION_REFUSED = "tallystick.order.cancellation_refused.v1"
    ORDER_SHIPPED = "tallystick.order.shipped.v1"
    ORDER_INVOICED = "tallystick.order.invoiced.v1"
    ORDER_PAID = "tallystick.order.paid.v1"
    ORDER_CREDITED = "tallystick.order.credited.v1"


class Event(BaseModel):
    """A CloudEvents 1.0 envelope; (source, id) names it once and for all. Extension attributes are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: Literal["1.0"]
    id: _Token
    source: _Token
    type: _Token
    subject: _Token | None = None
    """The transaction's id, or the document's own number at the source (an order, an invoice, a customer)."""
    time: AwareDatetime | None = None
    datacontenttype: _JsonMediaType = "application/json"
    dataschema: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _carries_json(self) -> Self:
        if "data_base64" in (self.model_extra or {}):
            raise misfit(("data_base64",), "binary data is not taken here; send the document as JSON in data")
        return self
