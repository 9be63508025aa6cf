"""Answers about cash: received lines, the ways to apply them, and where the money is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from tallystick.api.shapes.shape import Page, Shape
from tallystick.documents.money import Currency


class Places(Shape):
    """Where the money of a currency is, in minor units; together it is what was received."""

    received: int
    applied: int
    on_account: int
    suggested: int
    unidentified: int
    refused: int
    repeated: int


class Allocated(Shape):
    """What goes to an invoice; minor units."""

    customer_id: str
    number: str
    amount: int
    discount: int


class KeptBack(Shape):
    """What a customer kept back of an invoice."""

    number: str
    amount: int
    reason: str
    said: str


class Way(Shape):
    """One way to apply a payment, with its evidence."""

    rule: str
    covers: Literal["one_for_one", "one_for_many", "many_for_one"]
    evidence: str
    allocations: list[Allocated]
    on_account: int
    deductions: list[KeptBack]


class Applied(Shape):
    """What became of a payment; of an applied one the first way counts."""

    payment: dict[str, Any]
    status: Literal["applied", "suggested", "unidentified"]
    rivals: int
    proposals: list[Way]
    line_id: UUID | None


class CashRun(Shape):
    """What became of every line of the files."""

    places: dict[str, Places]
    """By currency."""
    applications: list[Applied]
    left_out: list[dict[str, Any]]
    """Entries that are no payments to apply, each with its reason."""
    repeated: list[str]
    """Lines that came before."""
    untied_advices: list[dict[str, Any]]
    notes: list[str]
    trouble: list[str]
    """Files, statements and advices that were refused, each with its reason."""


class CashLine(Shape):
    """A received line with what was made of it. Amounts in minor units of `currency`."""

    id: UUID
    entity: str
    account: str
    statement: str
    format: str
    file_name: str
    booked_on: date
    paid_on: date
    amount: int
    currency: Currency
    payer_reference: str | None
    remittance: str
    payer: str | None
    payer_account: str | None
    customer_id: str | None
    state: Literal["suggested", "unidentified", "posting", "posted", "refused"]
    rule: str | None
    proposals: list[Way]
    rivals: int
    """How many other ways fit as well."""
    chosen: Way | None
    doubt: str | None
    reference: str
    """What its payment carries in the ERP."""
    posted: dict[str, Any] | None
    posted_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    exception_id: UUID | None
    received_by: str
    received_at: datetime
    version: int
    """What a decision names in If-Match."""


class CashLinePage(Page):
    """Lines in the order in which they came."""

    items: list[CashLine]


class CashDecided(Shape):
    """What was decided of a line."""

    line_id: UUID
    state: Literal["posting", "refused"]
    reference: str
