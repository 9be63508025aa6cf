"""What the ERP's callers send, one shape a call; amounts are minor units of the named currency."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from tallystick.documents.money import MAXIMUM_MINOR, Currency
from tallystick.documents.order import Charge
from tallystick.documents.party import Address, Customer
from tallystick.documents.values import MAXIMUM_LINES, Fraction, Identifier, Instant, Quantity, ShortText, UnitPrice
from tallystick.sandbox.batches import MAXIMUM_ITEMS, Reference

LineNumber = Annotated[int, Field(strict=True, ge=1, le=999_999)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Item = TypeVar("Item")


class Batch(_Request, Generic[Item]):
    """Several requests of one kind; each is checked and answered on its own."""

    # The items are checked one by one later: here a single bad one would refuse the whole batch.
    items: Annotated[list[SkipValidation[Item]], Field(max_length=MAXIMUM_ITEMS)]


class CustomerImport(Customer):
    """A customer with its credit limit (none: unlimited)."""

    credit_limit: Annotated[int, Field(strict=True, ge=0, le=MAXIMUM_MINOR)] | None = None


class StockImport(_Request):
    """Goods counted on the shelf."""

    product_id: Identifier
    warehouse: Identifier = "MAIN"
    on_hand: Annotated[Decimal, Field(ge=0, le=Decimal(1_000_000_000))]


class CreditTerms(_Request):
    """New credit terms of a customer; what is left out stays."""

    customer_id: Identifier
    credit_limit: Annotated[int, Field(strict=True, ge=0, le=MAXIMUM_MINOR)] | None = None
    unlimited: bool = False
    on_hold: bool | None = None
    """True places a credit hold, False releases it."""


class Keys(_Request):
    """Ids to look up."""

    keys: Annotated[list[Identifier], Field(max_length=10_000)]


class PriceKeys(_Request):
    """Keys of prices, as the call that made them answered."""

    keys: Annotated[list[Annotated[str, Field(max_length=1_000)]], Field(max_length=10_000)]


class PriceSearch(_Request):
    """All prices that may apply to a customer for some products; with a day only those in force then."""

    customer_id: Identifier
    product_ids: Annotated[list[Identifier], Field(max_length=MAXIMUM_LINES)]
    on: date | None = None


class SalesLineRequest(_Request):
    """One product at the agreed price."""

    line_number: LineNumber
    product_id: Identifier
    quantity: Quantity
    unit: Identifier = "EA"
    unit_price: UnitPrice
    discount: Fraction = Decimal(0)
    warehouse: Identifier | None = None


class SalesOrderRequest(_Request):
    """A sales order to be created, or the new content of one. `reference` is unique for the customer."""

    reference: Reference
    customer_id: Identifier
    customer_po: Identifier | None = None
    currency: Currency
    ordered_on: date
    requested_delivery: date | None = None
    requested_shipment: date | None = None
    cancel_after: date | None = None
    payment_terms: ShortText | None = None
    ship_to: Address | None = None
    lines: Annotated[tuple[SalesLineRequest, ...], Field(min_length=1, max_length=MAXIMUM_LINES)]
    charges: Annotated[tuple[Charge, ...], Field(max_length=100)] = ()
    tax_amount: Annotated[int, Field(strict=True, ge=0, le=MAXIMUM_MINOR)] | None = None
    """None: computed with the ERP's own rate."""
    revision: Annotated[int, Field(strict=True, ge=1)] = 1
    """Must grow with each change; an old revision is refused."""
    confirm: bool = True
    """False leaves a draft, which reserves nothing."""


class OrderReference(_Request):
    """An order named by the other side's reference."""

    customer_id: Identifier
    reference: Reference


class LineQuantity(_Request):
    """A quantity of one order line."""

    line_number: LineNumber
    product_id: Identifier
    quantity: Quantity


class ShipmentRequest(_Request):
    """Goods that left the warehouse."""

    reference: Reference
    order_number: Identifier
    warehouse_number: Identifier
    shipped_at: Instant
    lines: Annotated[tuple[LineQuantity, ...], Field(min_length=1, max_length=MAXIMUM_LINES)]
    final: bool = False
    """Nothing more of this order will ship."""


class Lookup(_Request):
    """A document named by the other side's reference."""

    kind: Literal["order", "shipment", "invoice", "payment", "credit_memo"]
    owner: Identifier
    """The customer of an order or payment; our order number for the others."""
    reference: Reference


class InvoiceRequest(_Request):
    """Post the invoice of one shipment; a shipment is invoiced once."""

    reference: Reference
    order_number: Identifier
    shipment_reference: Reference


class PaymentShare(_Request):
    """What of a payment is for one invoice, and the discount that settles more of it."""

    invoice_number: Identifier
    amount: Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_MINOR)]
    discount: Annotated[int, Field(strict=True, ge=0, le=MAXIMUM_MINOR)] = 0


class PaymentRequest(_Request):
    """Money a customer paid; without an invoice, or shares for several, all of it goes on account."""

    reference: Reference
    customer_id: Identifier
    invoice_number: Identifier | None = None
    currency: Currency
    amount: Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_MINOR)]
    received_at: Instant
    method: ShortText = "transfer"
    shares: Annotated[tuple[PaymentShare, ...], Field(max_length=MAXIMUM_LINES)] = ()


class ReturnRequest(_Request):
    """Goods that came back, to be credited."""

    reference: Reference
    order_number: Identifier
    return_number: Identifier
    received_at: Instant
    reason: ShortText | None = None
    lines: Annotated[tuple[LineQuantity, ...], Field(min_length=1, max_length=MAXIMUM_LINES)]


class OpenItemsSearch(_Request):
    """A page of what is owed, in the order of the invoices' numbers."""

    after: ShortText = ""
    limit: Annotated[int, Field(ge=1, le=5_000)] = 1_000


class BooksSearch(_Request):
    """A page of the books, in the order of booking."""

    since: datetime | None = None
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=5_000)] = 1_000


Answer = tuple[int, Any]
"""HTTP status and the record or data that answers one request."""
