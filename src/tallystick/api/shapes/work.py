"""Answers about what people work on: exceptions and messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from tallystick.api.shapes.orders import Fact, KeptDocument
from tallystick.api.shapes.shape import Page, Shape
from tallystick.documents.decision import Decision, Reason
from tallystick.documents.money import Currency


class ExceptionSummary(Shape):
    """A work item in the queue. `money_at_risk` is in minor units of `currency`."""

    id: UUID
    entity: str
    transaction_id: UUID | None
    message_id: UUID | None
    type: str
    stage: str
    system: str | None
    state: Literal["open", "resolved"]
    summary: str
    money_at_risk: int
    currency: Currency | None
    owner: str | None
    opened_at: datetime
    due_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    root_cause: str | None
    version: int
    """What a change names in If-Match."""


class ExceptionPage(Page):
    """Work items in the order asked for."""

    items: list[ExceptionSummary]


class Note(Shape):
    """What somebody did or remarked."""

    at: datetime
    principal: str
    action: str
    note: str | None
    detail: dict[str, Any] | None


class Attempt(Shape):
    """A delivery that failed: what was asked, what was answered, and which kind of failure it is taken for."""

    delivery: int
    at: datetime
    duration_ms: float
    worker: str
    failure: str
    code: str
    error: str
    request: Any
    response: Any


class ExceptionStory(ExceptionSummary):
    """A work item with everything that is known of it."""

    reasons: list[dict[str, Any]]
    context: dict[str, Any]
    resolved_by: str | None
    resolution_reason: str | None
    notes: list[Note]
    documents: list[KeptDocument]
    attempts: list[Attempt]
    lineage: list[Fact]


class Assigned(Shape):
    """Whose it is now."""

    owner: str | None


class Commented(Shape):
    """The comment is kept."""

    commented: Literal[True]


class Replayed(Shape):
    """A dead letter is on its way again."""

    replayed: int
    message_id: UUID
    amended: bool


class Redecided(Shape):
    """An order was judged anew; a rejected one stays as it was, and has no revision here."""

    decision: Decision
    reasons: list[Reason]
    revision: int | None = None


class Rejected(Shape):
    """The order goes back to its channel."""

    decision: Literal["reject"]
    transaction_id: UUID


class Resolved(Shape):
    """The exception is closed."""

    resolved: Literal[True]


class MessageSummary(Shape):
    """A live message: waiting, in flight, parked behind another of its transaction, or dead."""

    id: UUID
    position: int
    entity: str
    stage: str
    system: str
    kind: str
    transaction_id: UUID | None
    state: Literal["ready", "parked", "dead"]
    available_at: datetime
    deliveries: int
    attempts: int
    claimed_by: str | None
    last_failure: dict[str, Any] | None
    created_at: datetime


class MessagePage(Page):
    """Live messages, the oldest first."""

    items: list[MessageSummary]


class MessageStory(MessageSummary):
    """A live message with its payload and every failed attempt."""

    payload: dict[str, Any]
    attempts_made: list[Attempt]


class Depth(Shape):
    """How much waits on one route."""

    stage: str
    system: str
    waiting: int
    in_flight: int
    dead: int
    oldest_seconds: float | None


class Depths(Shape):
    """How much waits, by route."""

    items: list[Depth]


class ReplayCount(Shape):
    """How many dead letters are on their way again."""

    replayed: int


class ReplayPreview(Shape):
    """How many dead letters a replay would send on their way."""

    would_replay: int


class DiscardCount(Shape):
    """How many dead letters were given up."""

    discarded: int
