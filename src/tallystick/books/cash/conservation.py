"""Every payment and every cent is in exactly one place: counted at each run, from the statements on the one side and the answers
on the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tallystick.books.cash.proposals import Application, Status
from tallystick.books.cash.received import LeftOut
from tallystick.books.statements.statement import BankStatement
from tallystick.documents.money import format_minor


class NotConserved(Exception):
    """Money came in that is nowhere, or is in two places: a bug of ours, and nothing of the run may be used."""


@dataclass(slots=True)
class Places:
    """Where the money of one currency is; minor units."""

    received: int = 0
    applied: int = 0
    on_account: int = 0
    suggested: int = 0
    unidentified: int = 0
    refused: int = 0
    repeated: int = 0
    """Received before, in an earlier run or another file."""

    @property
    def missing(self) -> int:
        """What came in and is in no place; 0, or something is wrong."""
        placed = self.applied + self.on_account + self.suggested + self.unidentified + self.refused + self.repeated
        return self.received - placed


def account_for(
    statements: Iterable[BankStatement],
    answers: Iterable[Application],
    left_out: Iterable[LeftOut],
    repeated: Iterable[tuple[str, int]] = (),
) -> dict[str, Places]:
    """The places by currency. `repeated`: currency and amount of what was received before. Raises NotConserved."""
    places: dict[str, Places] = {}

    def of(currency: str) -> Places:
        return places.setdefault(currency, Places())

    for statement in statements:
        for entry in statement.entries:
            if entry.booked and entry.amount > 0:
                of(entry.currency).received += entry.amount
    for answer in answers:
        _put(of(answer.payment.currency), answer)
    for each in left_out:
        if each.refused_amount:
            of(each.entry.currency).refused += each.refused_amount
    for currency, amount in repeated:
        of(currency).repeated += amount
    for currency, found in places.items():
        if found.missing:
            missing = format_minor(found.missing, currency)
            raise NotConserved(f"{missing} {currency} of what came in is in no place, or in two")
    return places


def _put(places: Places, answer: Application) -> None:
    amount = answer.payment.amount
    if answer.status is Status.UNIDENTIFIED:
        places.unidentified += amount
    elif answer.status is Status.SUGGESTED:
        places.suggested += amount
    else:
        [first, *_] = answer.proposals
        places.applied += sum(each.amount for each in first.allocations)
        places.on_account += first.on_account
