"""What a connected system can do: roles, capabilities as data, commands, answers, and one protocol a role.

Every write is a batch with an answer an item, carries a deterministic `reference` that the connector writes into the target
document, and says with `verify` that an earlier attempt may have happened: then the connector looks the reference up first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.systems.commands import (
    Accepted,
    BookEntry,
    Change,
    Changes,
    InvoiceCommand,
    OpenReceivable,
    OrderCommand,
    OrderCommitted,
    PaymentCommand,
    PaymentRecorded,
    PaymentRequest,
    PaymentShare,
    PriceQuery,
    ReturnCommand,
    ShipmentCommand,
    ShipmentRecorded,
    StatusUpdate,
    TaxAnswer,
)
from tallystick.systems.failure import Failure

# A connector imports all of it from here.
__all__ = [
    "Accepted",
    "BookEntry",
    "Capabilities",
    "Change",
    "Changes",
    "Crm",
    "Erp",
    "Health",
    "InvoiceCommand",
    "OpenReceivable",
    "Operation",
    "OrderCommand",
    "OrderCommitted",
    "PaymentCommand",
    "PaymentRecorded",
    "PaymentRequest",
    "PaymentShare",
    "Payments",
    "PriceQuery",
    "Receivables",
    "ReturnCommand",
    "Role",
    "ShipmentCommand",
    "ShipmentRecorded",
    "StatusUpdate",
    "System",
    "Tax",
    "TaxAnswer",
    "Wms",
]


class Role(StrEnum):
    """What a system is to the flow; one system may play several roles."""

    CHANNEL = "channel"
    CRM = "crm"
    ERP = "erp"
    WMS = "wms"
    TAX = "tax"
    PAYMENTS = "payments"
    EDI = "edi"


class Operation(StrEnum):
    """What the flow may ask of a system; named so that a missing capability is a clear error at start-up."""

    READ_CUSTOMERS = "read_customers"
    READ_PRODUCTS = "read_products"
    READ_PRICES = "read_prices"
    READ_STOCK = "read_stock"
    READ_CREDIT = "read_credit"
    COMMIT_ORDER = "commit_order"
    CHANGE_ORDER = "change_order"
    CANCEL_ORDER = "cancel_order"
    RECORD_SHIPMENT = "record_shipment"
    INVOICE_SHIPMENT = "invoice_shipment"
    RECORD_PAYMENT = "record_payment"
    READ_OPEN_ITEMS = "read_open_items"
    APPLY_CASH = "apply_cash"
    """Record a payment that says itself which invoices it is for, and with how much (PaymentCommand.shares)."""
    CREDIT_RETURN = "credit_return"
    READ_CHANGES = "read_changes"
    READ_BOOKS = "read_books"
    CALCULATE_TAX = "calculate_tax"
    REQUEST_SHIPMENT = "request_shipment"
    REQUEST_PAYMENT = "request_payment"
    PUBLISH_STATUS = "publish_status"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector declares of itself, as data the flow asks instead of testing for names."""

    roles: frozenset[Role]
    operations: frozenset[Operation]
    batch_size: int = 1
    """Most items the connector takes in one write."""
    concurrency: int = 4
    """Most calls it should get at once from one worker."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a system answers, and how fast."""

    ok: bool
    latency_ms: float
    detail: str = ""


@runtime_checkable
class System(Protocol):
    """Any connected system."""

    name: str
    capabilities: Capabilities

    async def check_health(self) -> Health:
        """Ask whether it answers; never raises."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Erp(System, Protocol):
    """The system of record for customers, prices, stock, credit, orders, invoices and payments.

    Reads raise a Failure; writes hand back one answer or Failure for each command, in the commands' order.
    """

    async def read_customers(self, customer_ids: Sequence[str]) -> Mapping[str, Customer]:
        """Customers by id; unknown ids are absent."""
        ...

    async def read_products(self, product_ids: Sequence[str]) -> Mapping[str, Product]:
        """Products by id; unknown ids are absent."""
        ...

    async def read_prices(self, queries: Sequence[PriceQuery]) -> Sequence[Sequence[Price]]:
        """For each query all prices that may apply, contract and list."""
        ...

    async def read_stock(self, product_ids: Sequence[str]) -> Sequence[StockLevel]:
        """Available to promise by warehouse for these products."""
        ...

    async def read_credit(self, customer_ids: Sequence[str]) -> Mapping[str, CreditPosition]:
        """Credit positions by customer id."""
        ...

    async def commit_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Create and confirm orders, each once for its reference."""
        ...

    async def change_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Replace orders' content before anything shipped."""
        ...

    async def cancel_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Cancel orders of which nothing shipped; an order already cancelled is a success."""
        ...

    async def record_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[ShipmentRecorded | Failure]:
        """Record that goods left; the ERP keeps what is still open as a backorder."""
        ...

    async def invoice_shipments(self, commands: Sequence[InvoiceCommand]) -> Sequence[Invoice | Failure]:
        """Have the invoice of each recorded shipment posted, and return it."""
        ...

    async def record_payments(self, commands: Sequence[PaymentCommand]) -> Sequence[PaymentRecorded | Failure]:
        """Record payments, each once for its reference."""
        ...

    async def credit_returns(self, commands: Sequence[ReturnCommand]) -> Sequence[CreditMemo | Failure]:
        """Take goods back and post the credit memo."""
        ...

    async def read_changes(self, cursor: str | None) -> Changes:
        """Masters changed since the cursor; None starts with everything."""
        ...

    async def read_books(self, since: datetime | None = None) -> Sequence[BookEntry]:
        """Orders, invoices, credit memos and payments in the books, for the tie-out."""
        ...


@runtime_checkable
class Receivables(System, Protocol):
    """An ERP that says what is owed to it, for cash application (READ_OPEN_ITEMS)."""

    async def read_open_items(self) -> Sequence[OpenReceivable]:
        """All invoices that are not wholly paid. Raises a Failure."""
        ...


@runtime_checkable
class Tax(System, Protocol):
    """The tax service."""

    async def calculate_tax(
        self, orders: Sequence[Order], customers: Mapping[str, Customer]
    ) -> Sequence[TaxAnswer | Failure]:
        """Tax for each order, from its ship-to (or the customer's first) and the customer's exemption; stores nothing."""
        ...


@runtime_checkable
class Wms(System, Protocol):
    """The warehouse."""

    async def request_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[Accepted | Failure]:
        """Ask the warehouse to ship committed orders; it reports each dispatch with an event."""
        ...

    async def cancel_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[Accepted | Failure]:
        """Ask the warehouse not to ship; Rejected when goods have left already."""
        ...


@runtime_checkable
class Payments(System, Protocol):
    """The payment side."""

    async def request_payments(self, requests: Sequence[PaymentRequest]) -> Sequence[Accepted | Failure]:
        """Hand over posted invoices for collection; payments come back as events."""
        ...


@runtime_checkable
class Crm(System, Protocol):
    """A sales system that wants to know what became of its orders."""

    async def publish_status(self, updates: Sequence[StatusUpdate]) -> Sequence[Accepted | Failure]:
        """Deliver news of orders; the same reference twice changes nothing."""
        ...
