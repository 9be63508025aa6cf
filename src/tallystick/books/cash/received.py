"""What came in on a bank account as payments to apply: booked credits of statements that add up, each under an id of its own."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tallystick.books.cash.items import Payment
from tallystick.books.statements.statement import BankEntry, BankStatement
from tallystick.documents.money import MINOR_DIGITS

_ALPHANUMERIC = re.compile(r"[0-9A-Z]+")
_KEY_LENGTH = 10


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that is no payment to apply, with why; nothing is dropped in silence."""

    account: str
    statement: str
    entry: BankEntry
    reason: str

    @property
    def refused_amount(self) -> int:
        """The money that came in and is refused: minor units; nothing where none came in."""
        return self.entry.amount if self.entry.booked and self.entry.amount > 0 else 0


@dataclass(frozen=True, slots=True)
class FileReceived:
    """Where lines come from."""

    name: str
    hash: str


@dataclass(frozen=True, slots=True)
class Received:
    """A line that brought money, with the payment that it is."""

    statement: BankStatement
    entry: BankEntry
    identity: str
    """The same for the same line in any file that says the same of it, on the account."""
    payment: Payment


def received_of(
    statements: Iterable[BankStatement], customer_by_account: Mapping[str, str] | None = None
) -> tuple[list[Received], list[LeftOut]]:
    """The lines that are payments, in the statements' order, and every entry that is none. `customer_by_account`: whose a paying
    account is.

    An identity is made of the bank's own reference. Where the bank gives none it is made of everything that the entry says, and
    of how many like it the statement has above it: so the same file again, or the same statement in another file, makes the
    same identities, and nothing is applied twice.
    """
    found: list[Received] = []
    left_out: list[LeftOut] = []
    for statement in statements:
        above: Counter[str] = Counter()
        for entry in statement.entries:
            reason = _no_payment(statement, entry)
            bare = _identity(entry)
            above[bare] += 1
            if reason is not None:
                left_out.append(LeftOut(statement.account, statement.number, entry, reason))
                continue
            identity = f"{bare}/{above[bare]}"
            payment = _payment(entry, f"{account_key(statement.account)}/{identity}", customer_by_account or {})
            found.append(Received(statement, entry, identity, payment))
    return found, left_out


def payments_of(
    statements: Iterable[BankStatement], customer_by_account: Mapping[str, str] | None = None
) -> tuple[list[Payment], list[LeftOut]]:
    """The payments of `received_of` alone."""
    found, left_out = received_of(statements, customer_by_account)
    return [each.payment for each in found], left_out


def account_key(account: str) -> str:
    """An account as all formats have it: an IBAN ends as MT940's bank and number do; a currency behind it does not count."""
    plain = "".join(_ALPHANUMERIC.findall(account.upper()))
    if len(plain) > _KEY_LENGTH and plain[-3:] in MINOR_DIGITS:
        plain = plain[:-3]
    return plain[-_KEY_LENGTH:]


def _no_payment(statement: BankStatement, entry: BankEntry) -> str | None:
    if statement.problems:
        return f"its statement does not add up: {statement.problems[0]}"
    if not entry.booked:
        return "it is announced and not booked"
    if entry.amount <= 0:
        return "no money came in by it"
    return None


def _identity(entry: BankEntry) -> str:
    if entry.bank_reference:
        return f"{entry.bank_reference}/{entry.amount}/{entry.booked_on.isoformat()}"
    said = (
        entry.amount,
        entry.currency,
        entry.booked_on.isoformat(),
        entry.payer_reference,
        entry.remittance,
        entry.counterparty,
        entry.counterparty_account,
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def _payment(entry: BankEntry, identity: str, customer_by_account: Mapping[str, str]) -> Payment:
    texts = (entry.payer_reference, entry.remittance)
    return Payment(
        id=identity,
        amount=entry.amount,
        currency=entry.currency,
        paid_on=entry.value_on or entry.booked_on,
        texts=tuple(each for each in texts if each),
        customer_id=customer_by_account.get(entry.counterparty_account or ""),
        payer=entry.counterparty,
        payer_account=entry.counterparty_account,
    )
