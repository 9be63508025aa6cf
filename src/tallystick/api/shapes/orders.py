"""Answers about orders and transactions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from tallystick.api.shapes.shape import Page, Shape
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.transaction import CommitmentState, Transaction


class CheckSummary(Shape):
    """What one check said, from how old facts, in which time."""

    check: str
    decision: Decision
    source: Literal["live", "replica", "none"]
    facts_age_seconds: float | None
    duration_ms: float


class Judgement(Shape):
    """What the checks say of an order."""

    decision: Decision
    checks: list[CheckSummary]
    reasons: list[Reason]
    """The gravest first."""


class OrderAnswer(Judgement):
    """An order that was kept: accepted, or held with the exception where a person decides."""

    transaction_id: UUID
    order_number: str
    exception_id: UUID | None
    commitment: CommitmentState


class ChangeAnswer(Judgement):
    """A change that is carried out."""

    transaction_id: UUID
    revision: int


class CancellationAnswer(Shape):
    """Cancelled at once, or asked of the warehouse and the ERP, who may refuse."""

    transaction_id: UUID
    state: Literal["cancelled", "cancelling"]


class TransactionPage(Page):
    """Transactions, the newest first."""

    items: list[Transaction]


class Fact(Shape):
    """One thing that happened to a transaction."""

    id: UUID
    at: datetime
    stage: str
    fact: str
    """A past participle, such as received, committed or shipped."""
    system: str | None
    message_id: UUID | None
    actor: str | None
    duration_ms: float | None
    seconds_since_previous: float | None
    detail: dict[str, Any] | None


class Lineage(Shape):
    """Every fact of a transaction in order."""

    items: list[Fact]


class KeptDocument(Shape):
    """A document of a transaction as it came or was made; `body` is as its schema says."""

    type: str
    number: str
    revision: int
    system: str
    body: dict[str, Any]
    created_at: datetime


class CrossReference(Shape):
    """A document's own number in another system."""

    system: str
    kind: str
    reference: str
    our_number: str


class TransactionDocuments(Shape):
    """The documents of a transaction and where they are elsewhere."""

    documents: list[KeptDocument]
    cross_references: list[CrossReference]
