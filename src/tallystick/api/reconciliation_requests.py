"""What callers send about kept reconciliations: what to do about breaks, one or many, and about a run's period."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from tallystick.books.runs.sweeping import Sweep
from tallystick.control.exceptions import RootCause
from tallystick.documents.money import Currency
from tallystick.documents.values import Document, Identifier, LongText, ShortText

MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
Why = Annotated[LongText, Field(min_length=3, description="Why; it stands in the audit trail")]
Period = Annotated[str, Field(pattern=MONTH, description="Year and month", examples=["2026-10"])]
Most = Annotated[int, Field(strict=True, ge=0, le=2**53)]


class BreakOwner(Document):
    """Whose a break is; null gives it back to everybody."""

    owner: Identifier | None


class BreakExplanation(Document):
    """What a break comes from."""

    root_cause: RootCause
    text: Annotated[LongText, Field(min_length=3)]


class BreakReason(Document):
    """Why a break is accepted as it is, or an acceptance taken back."""

    reason: Why


class BreaksNamed(Document):
    """Open breaks of one reconciliation, by what they have in common; of what is left out, any."""

    entity: Identifier = "default"
    reconciliation: Annotated[ShortText, Field(min_length=1)]
    class_: Annotated[Identifier | None, Field(alias="class")] = None
    cause: ShortText | None = None
    """The specific cause that the rules found."""
    owner: Identifier | None = None
    money_at_most: Most | None = None
    """Money at risk of each, in minor units."""
    currency: Currency | None = None
    dry_run: StrictBool = False
    """Say how many it would be, and change nothing."""

    def sweep(self) -> Sweep:
        """As the books take it."""
        return Sweep(
            self.entity,
            self.reconciliation,
            self.class_,
            self.cause,
            self.owner,
            self.money_at_most,
            self.currency,
        )


class BreaksExplanation(BreaksNamed):
    """What many breaks come from that have no explanation yet."""

    root_cause: RootCause
    text: Annotated[LongText, Field(min_length=3)]


class BreaksAcceptance(BreaksNamed):
    """Why many open breaks are accepted as they are."""

    reason: Why


class RunPreparation(Document):
    """That a run is ready to be signed off for a period. With no bound given, nothing may be open and unexplained."""

    period: Period
    statement: LongText | None = None
    """What the preparer has to say."""
    most_breaks: Most | None = None
    """How many open breaks may have no explanation."""
    most_money: Most | None = None
    """How much money may be at risk in them: minor units, of each currency by itself."""


class RunSignOff(Document):
    """The second person's word."""

    reason: LongText | None = None


class RunReopening(Document):
    """Why a period that was signed off is opened again."""

    reason: Why
