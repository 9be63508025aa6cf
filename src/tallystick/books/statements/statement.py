"""A bank statement as every format's reader gives it: balances, entries, and what about it does not add up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tallystick.documents.money import format_minor


class StatementError(Exception):
    """A file that can't be read as a statement at all; the message says what, where, which value, what to do next."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What the account held: minor units of `currency`, negative when overdrawn."""

    amount: int
    currency: str
    on: date


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One movement on the account. `amount` is in minor units of `currency`, positive when money came in."""

    amount: int
    currency: str
    booked_on: date
    value_on: date | None = None
    bank_reference: str | None = None
    """The bank's own, unique on the account."""
    payer_reference: str | None = None
    """What the payer gave the bank to pass on: an end-to-end id, a customer reference."""
    remittance: str = ""
    """What the payment is for, in the payer's words."""
    counterparty: str | None = None
    counterparty_account: str | None = None
    kind: str | None = None
    """The bank's code of the kind of movement, as it writes it."""
    booked: bool = True
    """False: announced only, and no money yet."""


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One account over a time. Where the format has no balances (notices of single movements), there are none."""

    account: str
    number: str
    entries: tuple[BankEntry, ...]
    opening: Balance | None = None
    closing: Balance | None = None
    problems: tuple[str, ...] = ()
    """What does not add up, in words; such a statement's money is looked at by a person before it is applied."""
    format: str = ""
    """What kind of file it came in: mt940, mt942, camt.053, camt.054, bai2 or csv."""
    notes: tuple[str, ...] = ()
    """How a file that does not say it itself was read: separator, decimal mark, order of dates."""


def balance_problems(
    opening: Balance | None, closing: Balance | None, entries: tuple[BankEntry, ...]
) -> tuple[str, ...]:
    """Why the opening balance with the booked entries is not the closing one; nothing where it is, or where one is missing."""
    if opening is None or closing is None:
        return ()
    currencies = sorted({opening.currency, closing.currency, *(each.currency for each in entries)})
    if len(currencies) > 1:
        return (f"it mixes currencies ({', '.join(currencies)}): its balances can't be compared",)
    booked = sum(each.amount for each in entries if each.booked)
    if opening.amount + booked == closing.amount:
        return ()
    currency = opening.currency
    said, found = format_minor(closing.amount, currency), format_minor(opening.amount + booked, currency)
    return (f"its closing balance is {said} {currency}, but its opening balance and entries make {found}",)
