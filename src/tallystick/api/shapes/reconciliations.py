"""Answers about kept reconciliations: runs, what they found, and breaks. Amounts are in minor units."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from tallystick.api.shapes.shape import Page, Shape
from tallystick.documents.money import Currency

RootCauseKind = Literal["data_quality", "process_design", "missing_api", "weak_orchestration"]
BreakState = Literal["open", "accepted", "closed"]


class RunInput(Shape):
    """A file that a run read, or a source that is none and has no hash."""

    side: Literal["left", "right"]
    name: str
    rows: int
    sha256: str | None
    size: int | None
    """In bytes."""


class CarriedOver(Shape):
    """What became of the breaks in a run."""

    again: int
    """Known before, and there again."""
    come_back: int
    """Closed before, and there again."""
    lapsed: int
    """Accepted before for another amount, and open now."""
    new: int
    matched: int
    """Closed: the run matched what they are about."""
    differs_otherwise: int
    """Closed: what they are about breaks in another way now."""
    absent: int
    """Still standing, though the run had no row of them."""


class PreparationBounds(Shape):
    """How much may be open and unexplained, as the preparer said."""

    breaks: int | None
    money: int | None


class Unexplained(Shape):
    """How much was open and unexplained when a run was prepared."""

    breaks: int
    money: dict[str, int]


class RunSummary(Shape):
    """A reconciliation that was run and kept."""

    id: UUID
    entity: str
    reconciliation: str
    number: int
    """Of its reconciliation, from 1."""
    rules_version: int
    rules_hash: str
    """SHA-256 of the rules as they were written."""
    inputs: list[RunInput]
    breaks: int
    """How many it found."""
    carried: CarriedOver
    run_by: str
    started_at: datetime
    kept_at: datetime
    state: Literal["kept", "prepared", "signed_off"]
    period: str | None
    statement: str | None
    allowed: PreparationBounds | None
    unexplained: Unexplained | None
    prepared_by: str | None
    prepared_at: datetime | None
    signed_by: str | None
    signed_at: datetime | None
    reopened_by: str | None
    reopened_at: datetime | None
    reopen_reason: str | None
    version: int
    """What a change names in If-Match."""


class RunStory(RunSummary):
    """A kept run with its summary."""

    summary: dict[str, Any]


class RunPage(Page):
    """Runs, the newest first."""

    items: list[RunSummary]


class Finding(Shape):
    """A break as a run found it, and how it stands, or stood when the run was prepared."""

    break_id: UUID
    found: Literal["new", "again", "come_back", "absent"]
    """absent: the run had no row of it, and it stands on."""
    of_class: str = Field(alias="class")
    side: Literal["left", "right", "both"]
    name: str
    cause_kind: RootCauseKind | None
    cause: str | None
    currency: Currency | None
    money_at_risk: int
    amount_difference: int | None
    state: BreakState
    owner: str | None
    explained_kind: RootCauseKind | None
    explanation: str | None
    accepted_by: str | None
    acceptance: str | None
    resolution: Literal["matched", "differs_otherwise"] | None
    first_run_at: datetime


class FindingPage(Page):
    """What a run found, the most money first."""

    items: list[Finding]


class BreakSummary(Shape):
    """A break as it stands, over all runs of its reconciliation."""

    id: UUID
    entity: str
    reconciliation: str
    of_class: str = Field(alias="class")
    side: Literal["left", "right", "both"]
    name: str
    """The key, or what else its rows are found by."""
    differs: str
    cause_kind: RootCauseKind | None
    """What the rules put it down to."""
    cause: str | None
    currency: Currency | None
    money_at_risk: int
    amount_difference: int | None
    state: BreakState
    owner: str | None
    explained_kind: RootCauseKind | None
    """What a person put it down to."""
    explanation: str | None
    accepted_by: str | None
    acceptance: str | None
    first_run_id: UUID
    first_run_at: datetime
    age_days: int
    """Since the first run that found it."""
    last_run_id: UUID
    absent_since: UUID | None
    """The first run of the latest ones that had no row of it."""
    closed_run_id: UUID | None
    closed_at: datetime | None
    resolution: Literal["matched", "differs_otherwise"] | None
    version: int
    """What a change names in If-Match."""


class BreakPage(Page):
    """Breaks in the order asked for."""

    items: list[BreakSummary]


class BreakWorked(BreakSummary):
    """A break with both sides' rows and the evidence."""

    explained_by: str | None
    explained_at: datetime | None
    accepted_at: datetime | None
    lapsed: dict[str, Any] | None
    """The acceptance that another amount made void."""
    confidence: float | None
    evidence: str | None
    correction: str | None
    left_record: dict[str, Any]
    right_record: dict[str, Any]


class BreakNote(Shape):
    """What somebody, or a run, did."""

    at: datetime
    principal: str
    action: str
    note: str | None
    detail: dict[str, Any] | None


class FoundIn(Shape):
    """A run that found a break, and with which amount."""

    run_id: UUID
    number: int
    kept_at: datetime
    found: Literal["new", "again", "come_back", "absent"]
    currency: Currency | None
    money_at_risk: int
    amount_difference: int | None


class BreakStory(BreakWorked):
    """A break with everything that happened to it."""

    notes: list[BreakNote]
    runs: list[FoundIn]


class BreaksExplained(Shape):
    """How many breaks were explained together."""

    explained: int


class BreaksToExplain(Shape):
    """How many breaks would be explained together."""

    would_be_explained: int


class BreaksAccepted(Shape):
    """How many breaks were accepted together."""

    accepted: int


class BreaksToAccept(Shape):
    """How many breaks would be accepted together."""

    would_be_accepted: int
