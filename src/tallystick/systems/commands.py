"""What is said between the flow and a system: commands and their answers, questions, changes and what stands in the books.

Each command carries the `reference` that names its work in the other system for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tallystick.documents.invoice import Invoice
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.payment import Payment
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment


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
