"""What the ERP keeps: immutable records. A change replaces the whole record, so that indexes always see old and new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from tallystick.documents.order import Charge
from tallystick.documents.party import Address


class OrderState(StrEnum):
    """How far an order is, as the ERP sees it."""

    DRAFT = "draft"
    CONFIRMED = "confirmed"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    """Nothing more will be shipped; something is still to be invoiced."""
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer's credit terms; amounts are minor units of the customer's currency, no limit means unlimited."""

    customer_id: str
    credit_limit: int | None = None
    on_hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Goods on the shelf of one warehouse, promised or not."""

    product_id: str
    warehouse: str
    on_hand: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesLine:
    """An order line with how much of it shipped, was invoiced and came back. Amounts are net, in minor units."""

    line_number: int
    product_id: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    discount: Decimal
    warehouse: str
    net_amount: int
    shipped: Decimal = Decimal(0)
    invoiced: Decimal = Decimal(0)
    invoiced_amount: int = 0
    returned: Decimal = Decimal(0)
    credited_amount: int = 0

    @property
    def terms(self) -> tuple[object, ...]:
        """What was agreed; two lines with the same terms are the same order line."""
        return (
            self.line_number,
            self.product_id,
            self.quantity,
            self.unit,
            self.unit_price,
            self.discount,
            self.warehouse,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesOrder:
    """A sales order. `reference` is the other side's, unique for the customer. Amounts are minor units of `currency`."""

    number: str
    reference: str
    customer_id: str
    customer_po: str | None
    currency: str
    ordered_on: date
    requested_delivery: date | None
    requested_shipment: date | None
    cancel_after: date | None
    payment_terms: str | None
    ship_to: Address | None
    lines: tuple[SalesLine, ...]
    charges: tuple[Charge, ...]
    tax_amount: int
    net_amount: int
    total_amount: int
    state: OrderState
    revision: int
    booked_at: datetime
    short_closed: bool = False
    """The warehouse said that nothing more will ship."""
    charges_invoiced: bool = False
    allowances_invoiced: int = 0
    tax_invoiced: int = 0
    invoiced_amount: int = 0
    """Total of the invoices so far, with tax."""
    tax_credited: int = 0

    @property
    def lines_amount(self) -> int:
        """Net amount of the lines alone."""
        return sum(line.net_amount for line in self.lines)

    @property
    def terms(self) -> tuple[object, ...]:
        """What was agreed; a repeated call with the same terms is the same call."""
        return (self.currency, self.charges, self.tax_amount, tuple(line.terms for line in self.lines))

    @property
    def reserves(self) -> bool:
        """Whether what is not shipped yet is promised to this customer."""
        return self.state in (OrderState.CONFIRMED, OrderState.PARTIALLY_SHIPPED)

    @property
    def open_amount(self) -> int:
        """What counts against the credit limit: ordered, and not invoiced yet."""
        if self.state in (OrderState.DRAFT, OrderState.CANCELLED, OrderState.CLOSED):
            return 0
        return max(self.total_amount - self.invoiced_amount, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedLine:
    """A quantity of one order line in one shipment."""

    line_number: int
    product_id: str
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Goods that left against an order; `warehouse_number` is the warehouse's own."""

    number: str
    reference: str
    order_number: str
    warehouse_number: str
    shipped_at: datetime
    lines: tuple[ShippedLine, ...]
    final: bool
    booked_at: datetime
    invoice_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedLine:
    """A line of an invoice or credit memo; `line_number` is the order's, none for charges."""

    line_number: int | None
    product_id: str | None
    description: str | None
    quantity: Decimal
    unit_price: Decimal
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedInvoice:
    """An invoice in the books. It is never changed but for what was paid and credited on it."""

    number: str
    reference: str
    order_number: str
    customer_id: str
    currency: str
    invoice_date: date
    due_date: date
    shipment_number: str
    lines: tuple[PostedLine, ...]
    net_amount: int
    tax_amount: int
    total_amount: int
    booked_at: datetime
    paid_amount: int = 0
    credited_amount: int = 0
    discount_amount: int = 0
    """What may be taken off when it is paid by `discount_until`."""
    discount_until: date | None = None
    discounted_amount: int = 0
    """What was taken off."""

    @property
    def open_amount(self) -> int:
        """What the customer still owes on it."""
        return self.total_amount - self.paid_amount - self.credited_amount - self.discounted_amount


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedPayment:
    """Money received: applied to an invoice as far as it is open, the rest on the customer's account."""

    number: str
    reference: str
    customer_id: str
    currency: str
    amount: int
    applied_amount: int
    on_account_amount: int
    invoice_number: str | None
    order_number: str | None
    received_on: date
    method: str
    booked_at: datetime
    invoice_numbers: tuple[str, ...] = ()
    """All that it was applied to, where it said so itself."""
    discount_amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedCredit:
    """A credit memo for goods that came back: taken off the order's open invoices, the rest on account."""

    number: str
    reference: str
    order_number: str
    customer_id: str
    return_number: str
    invoice_number: str | None
    currency: str
    credit_date: date
    lines: tuple[PostedLine, ...]
    net_amount: int
    tax_amount: int
    total_amount: int
    on_account_amount: int
    reason: str | None
    booked_at: datetime
