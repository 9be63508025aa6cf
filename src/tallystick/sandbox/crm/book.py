"""The CRM's own state: orders as sales knows them, every update in the order it came, and where each order stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field

from tallystick.documents.event import EventType
from tallystick.documents.money import Currency, MinorAmount
from tallystick.documents.values import Document, Identifier, Instant, ShortText
from tallystick.sandbox.batches import MAXIMUM_ITEMS, Reference

_STATUS = {
    EventType.ORDER_ACCEPTED: "accepted",
    EventType.ORDER_HELD: "held",
    EventType.ORDER_RELEASED: "accepted",
    EventType.ORDER_REJECTED: "rejected",
    EventType.ORDER_COMMITTED: "committed",
    EventType.ORDER_REFUSED: "refused",
    EventType.ORDER_CANCELLED: "cancelled",
    EventType.ORDER_INVOICED: "invoiced",
    EventType.ORDER_CREDITED: "credited",
}
_CREDIT_HOLD = {EventType.CREDIT_HOLD_PLACED: True, EventType.CREDIT_HOLD_RELEASED: False}


class SalesOrder(Document):
    """An order that sales won, as the CRM has it. The same (channel, order_number) again replaces it."""

    channel: Identifier
    order_number: Identifier
    customer_id: Identifier
    currency: Currency
    total_amount: MinorAmount
    """What sales promised, in minor units of `currency`."""
    opportunity: ShortText | None = None


class SalesOrders(Document):
    """A batch of orders."""

    items: Annotated[tuple[SalesOrder, ...], Field(min_length=1, max_length=MAXIMUM_ITEMS)]


class StatusUpdate(Document):
    """News of one order. The same `event_id` again changes nothing."""

    event_id: Reference
    event_type: EventType
    transaction_id: Identifier
    channel: Identifier
    order_number: Identifier
    occurred_at: Instant
    data: dict[str, Any] = Field(default_factory=dict)


class StatusUpdates(Document):
    """A batch of updates; those of one order are taken in the order they stand in."""

    items: Annotated[tuple[StatusUpdate, ...], Field(min_length=1, max_length=MAXIMUM_ITEMS)]


@dataclass(slots=True)
class OrderState:
    """Where one order stands. Amounts in minor units of its currency."""

    channel: str
    order_number: str
    status: str = "new"
    """new, accepted, held, rejected, committed, refused, cancelled, partly_shipped, shipped, invoiced, partly_paid, paid,
    credited: what the latest update says."""
    submitted: dict[str, Any] | None = None
    """The order as sales submitted it; none when only updates came."""
    transaction_id: str | None = None
    customer_id: str | None = None
    erp_reference: str | None = None
    revision: int = 1
    credit_hold: bool = False
    shipments: list[str] = field(default_factory=list)
    invoices: dict[str, int] = field(default_factory=dict)
    """Total with tax by invoice number."""
    invoiced_amount: int = 0
    paid_amount: int = 0
    credited_amount: int = 0
    updates: list[dict[str, Any]] = field(default_factory=list)


class Book:
    """All orders and customers. `apply` is the only method that changes anything, so that a journal can rebuild it."""

    def __init__(self) -> None:
        self.orders: dict[tuple[str, str], OrderState] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self.repeats = 0
        """Updates that came again and changed nothing."""
        self._events: set[str] = set()

    def knows(self, event_id: str) -> bool:
        """Whether an update was taken before."""
        return event_id in self._events

    def apply(self, record: Mapping[str, Any]) -> None:
        """Change the state by one record, live or from the journal."""
        match record["record"]:
            case "submitted":
                order = self._order(record["channel"], record["order_number"])
                order.submitted = {key: value for key, value in record.items() if key != "record"}
                order.customer_id = record["customer_id"]
            case "update":
                self._update(record)

    def _order(self, channel: str, order_number: str) -> OrderState:
        return self.orders.setdefault((channel, order_number), OrderState(channel, order_number))

    def _update(self, record: Mapping[str, Any]) -> None:
        self._events.add(record["event_id"])
        order = self._order(record["channel"], record["order_number"])
        order.transaction_id = record["transaction_id"]
        order.updates.append({key: value for key, value in record.items() if key != "record"})
        event_type, data = EventType(record["event_type"]), record["data"]
        if event_type in _CREDIT_HOLD:
            self._hold(order, data, placed=_CREDIT_HOLD[event_type], since=record["occurred_at"])
            return
        order.status = _STATUS.get(event_type, order.status)
        match event_type:
            case EventType.ORDER_COMMITTED:
                order.erp_reference = data.get("erp_reference")
            case EventType.ORDER_CHANGED:
                order.revision = int(data.get("revision", order.revision + 1))
            case EventType.ORDER_SHIPPED:
                order.shipments.append(str(data.get("shipment", {}).get("number", "")))
                order.status = "shipped" if data.get("fulfilment") == "complete" else "partly_shipped"
            case EventType.ORDER_INVOICED:
                invoice = data.get("invoice", {})
                order.invoices[str(invoice.get("number", ""))] = int(invoice.get("total_amount", 0))
                order.invoiced_amount = sum(order.invoices.values())
            case EventType.ORDER_PAID:
                order.paid_amount += int(data.get("payment", {}).get("amount", 0))
                order.status = "paid" if order.paid_amount >= order.invoiced_amount else "partly_paid"
            case EventType.ORDER_CREDITED:
                order.credited_amount += int(data.get("credit_memo", {}).get("total_amount", 0))

    def _hold(self, order: OrderState, data: Mapping[str, Any], *, placed: bool, since: str) -> None:
        order.credit_hold = placed
        customer_id = data.get("customer_id") or order.customer_id
        if customer_id:
            self.customers[str(customer_id)] = {"customer_id": customer_id, "credit_hold": placed, "since": since}

    def totals(self) -> dict[str, Any]:
        """Sums over all orders, by currency where sales submitted them, for a tie-out."""
        by_status: dict[str, int] = {}
        submitted: dict[str, int] = {}
        for order in self.orders.values():
            by_status[order.status] = by_status.get(order.status, 0) + 1
            if order.submitted:
                currency = order.submitted["currency"]
                submitted[currency] = submitted.get(currency, 0) + order.submitted["total_amount"]
        return {
            "orders": len(self.orders),
            "by_status": by_status,
            "submitted_amount": submitted,
            "invoiced_amount": sum(order.invoiced_amount for order in self.orders.values()),
            "paid_amount": sum(order.paid_amount for order in self.orders.values()),
            "credited_amount": sum(order.credited_amount for order in self.orders.values()),
            "updates": len(self._events),
            "repeated_updates": self.repeats,
        }


def view(order: OrderState, *, updates: bool) -> dict[str, Any]:
    """An order as the interface shows it, with or without its whole list of updates."""
    shown = asdict(order)
    if not updates:
        shown["updates"] = len(order.updates)
    return shown
