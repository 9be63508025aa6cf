"""The transaction: the whole order-to-cash chain of one order, with a state for each stage and never one linear status."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tallystick.documents.money import Currency
from tallystick.documents.values import Document, Identifier


class IntakeState(StrEnum):
    """Whether the order may go on to the ERP."""

    ACCEPTED = "accepted"
    HELD = "held"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class CommitmentState(StrEnum):
    """Whether the ERP has the order."""

    NONE = "none"
    PENDING = "pending"
    COMMITTED = "committed"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class FulfilmentState(StrEnum):
    """How much of the order has shipped."""

    NONE = "none"
    REQUESTED = "requested"
    PARTIAL = "partial"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


class InvoicingState(StrEnum):
    """How much of what shipped has been invoiced by the ERP."""

    NONE = "none"
    PARTIAL = "partial"
    COMPLETE = "complete"


class SettlementState(StrEnum):
    """How much of what was invoiced has been paid."""

    NONE = "none"
    PARTIAL = "partial"
    PAID = "paid"
    OVERPAID = "overpaid"


class ReturnsState(StrEnum):
    """Whether goods came back and were credited."""

    NONE = "none"
    RECEIVED = "received"
    CREDITED = "credited"


class Transaction(Document):
    """One order's chain. Amounts are minor units of `currency`; each stage owns its state and changes no other's."""

    id: UUID
    entity: Identifier
    channel: Identifier
    order_number: Identifier
    customer_po: Identifier | None
    customer_id: Identifier
    currency: Currency
    intake: IntakeState
    commitment: CommitmentState
    fulfilment: FulfilmentState
    invoicing: InvoicingState
    settlement: SettlementState
    returns: ReturnsState
    ordered_amount: int
    """Net of tax: lines and charges as ordered."""
    tax_amount: int
    shipped_amount: int
    """Net value, at order prices, of the quantities shipped."""
    invoiced_amount: int
    """Total with tax of the invoices the ERP posted."""
    credited_amount: int
    paid_amount: int
    erp_reference: str | None
    """The ERP's own number for the order, once committed."""
    order_revision: int
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Entity tag for conditional changes (RFC 9110, section 8.8.3)."""
        return f'"{self.version}"'
