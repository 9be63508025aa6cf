"""What a connected system can do: roles, capabilities as data, commands, answers, and one protocol a role.

Every write is a batch with an answer an item, carries a deterministic `reference` that the connector writes into the target
document, and says with `verify` that an earlier attempt may have happened: then the connector looks the reference up first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.payment import Payment
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.systems.failure import Failure


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
class OrderCommand:
    """Make or change an order in the ERP. `tax_amount` is the tax service's, minor units; None: let the ERP compute."""

    reference: str
    order: Order
    tax_amount: int | None = None
    verify: bool = False
    revision: int = 1
    erp_reference: str | None = None
    """The ERP's own number, for a change or a cancellation."""


@dataclass(frozen=True, slots=True)
class OrderCommitted:
    """The ERP holds the order under its own number. `already_there`: a look-up found it, nothing was created."""

    reference: str
    erp_reference: str
    already_there: bool = False
    net_amount: int | None = None
    """The ERP's own untaxed total in minor units, for comparison."""


@dataclass(frozen=True, slots=True)
class ShipmentCommand:
    """Record in the ERP that goods left, or (WMS) ask for it."""

    reference: str
    order_reference: str
    """The order's deterministic reference."""
    erp_reference: str
    order: Order
    shipment: Shipment | None = None
    verify: bool = False


@dataclass(frozen=True, slots=True)
class ShipmentRecorded:
    """The system's own number of the shipment or of the warehouse order."""

    reference: str
    system_reference: str
    already_there: bool = False


@dataclass(frozen=True, slots=True)
class InvoiceCommand:
    """Ask the ERP to post the invoice of one recorded shipment."""

    reference: str
    order_reference: str
    erp_reference: str
    shipment_number: str
    shipment_reference: str
    """The deterministic reference under which the shipment was recorded."""
    verify: bool = False


@dataclass(frozen=True, slots=True)
class PaymentShare:
    """What of a payment goes to one invoice, and the early-payment discount that settles more of it; minor units."""

    invoice_number: str
    amount: int
    discount: int = 0


@dataclass(frozen=True, slots=True)
class PaymentCommand:
    """Ask the ERP to record a received payment against an invoice; what exceeds it stays on the customer's account."""

    reference: str
    payment: Payment
    customer_id: str
    invoice_number: str | None
    verify: bool = False
    shares: tuple[PaymentShare, ...] | None = None
    """Which invoices it is for, with how much each (APPLY_CASH); then `invoice_number` is None. What the shares leave, or an
    invoice does not ask for any more, stays on account. None: as much of `invoice_number` as is open."""


@dataclass(frozen=True, slots=True)
class PaymentRecorded:
    """What the ERP did with a payment, in minor units of its currency."""

    reference: str
    system_reference: str
    applied_amount: int
    on_account_amount: int = 0
    already_there: bool = False
    discount_amount: int = 0
    """What the ERP took off the invoices for paying early, of what the shares asked for."""


@dataclass(frozen=True, slots=True)
class OpenReceivable:
    """A posted invoice that is not wholly paid, as the ERP says it. Amounts in minor units."""

    number: str
    customer_id: str
    currency: str
    open_amount: int
    issued_on: date
    due_on: date | None = None
    discount: int = 0
    """What may be taken off when all of it is paid by `discount_until`."""
    discount_until: date | None = None


@dataclass(frozen=True, slots=True)
class ReturnCommand:
    """Ask the ERP to take goods back and post the credit memo."""

    reference: str
    order_reference: str
    erp_reference: str
    order: Order
    returned: Return
    verify: bool = False


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """Hand a posted invoice to the payments side, which collects it."""

    reference: str
    customer_id: str
    invoice: Invoice
    order_number: str
    transaction_id: str
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A system took a request; `system_reference` is its own id for it."""

    reference: str
    system_reference: str
    already_there: bool = False


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """News of an order for the sales side: a CloudEvent's id, type and data; delivered in order, taken once by id."""

    reference: str
    """The event's id: the same id twice must change nothing."""
    event_type: str
    transaction_id: str
    order_number: str
    channel: str
    occurred_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    verify: bool = False


@dataclass(frozen=True, slots=True)
class TaxAnswer:
    """Tax on one order in minor units, by line number, with the jurisdiction it was computed for."""

    total_amount: int
    jurisdiction: str
    by_line: Mapping[int, int] = field(default_factory=dict)
    exempt: bool = False


@dataclass(frozen=True, slots=True)
class PriceQuery:
    """Which prices are asked for: all prices that may apply to this customer for these products."""

    customer_id: str
    product_ids: tuple[str, ...]
    on: date
    """For a system that can only tell the prices of one day. One that tells their dates tells them all: an order is judged by
    the prices of its own day, and the answer is kept for others."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document changed in a system by somebody else: kind (customer, price, stock, credit, product) and its new value."""

    kind: str
    key: str
    value: Customer | Product | Price | StockLevel | CreditPosition | None
    """None: it was removed."""
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of a change feed. Call again with `cursor`; the same change may come twice, none is left out."""

    changes: tuple[Change, ...]
    cursor: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One document as the ERP's books show it, for the tie-out. Amounts in minor units."""

    kind: str
    """order, invoice, credit_memo or payment."""
    system_reference: str
    reference: str | None
    """Our deterministic reference found in it."""
    order_reference: str | None
    customer_id: str
    currency: str
    net_amount: int
    total_amount: int
    booked_on: date
    state: str


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
