"""Reads SWIFT MT940 statements and MT942 interim reports, as banks really write them; the library knows their habits."""

from __future__ import annotations

import logging
import re
from datetime import date
from typing import Any

import mt940

from tallystick.books.statements.statement import (
    Balance,
    BankEntry,
    BankStatement,
    StatementError,
    balance_problems,
)
from tallystick.documents.money import MINOR_DIGITS, to_minor

# The library prints a page about every line that it can't read; our error says which one it was.
logging.getLogger("mt940").setLevel(logging.CRITICAL)
_BEGINNING = re.compile(r"^:20:", re.MULTILINE)
_END = re.compile(r"^-\}?\s*$", re.MULTILINE)
_INTERIM = re.compile(r"^:34F:", re.MULTILINE)
"""The floor limit, which only an interim report (MT942) has; that has no balances."""
_NO_REFERENCE = frozenset({"NONREF", ""})
_LONGEST_SHOWN = 80


def read_mt940(text: str) -> list[BankStatement]:
    """The statements of a file, in its order. Raises StatementError naming the one that can't be read."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    starts = [each.start() for each in _BEGINNING.finditer(text)]
    if not starts:
        raise StatementError("there is no statement in it: none begins with :20:")
    blocks = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [_statement(number, _END.split(block, maxsplit=1)[0]) for number, block in enumerate(blocks, 1)]


def _statement(number: int, block: str) -> BankStatement:
    parsed = _parsed(number, block)
    data = parsed.data
    opening = _balance(number, data.get("final_opening_balance") or data.get("intermediate_opening_balance"))
    closing = _balance(number, data.get("final_closing_balance") or data.get("intermediate_closing_balance"))
    entries = tuple(_entry(number, each.data) for each in parsed.transactions if "amount" in each.data)
    account = data.get("account_identification")
    if not account:
        raise StatementError(f"statement {number}: it names no account (:25:)")
    problems = balance_problems(opening, closing, entries)
    interim = bool(_INTERIM.search(block))
    if closing is None and not interim:
        problems += ("it has no closing balance (:62F:): it may be cut short",)
    sequence = [data.get("statement_number"), data.get("sequence_number")]
    return BankStatement(
        account=str(account),
        number="/".join(str(each) for each in sequence if each) or str(data.get("transaction_reference", number)),
        entries=entries,
        opening=opening,
        closing=closing,
        problems=problems,
        format="mt942" if interim else "mt940",
    )


def _parsed(number: int, block: str) -> Any:
    """As most banks write it, else as the one whose fields are longer than SWIFT allows."""
    long_fields: mt940.tags.Tag = mt940.tags.StatementASNB()
    first: Exception | None = None
    for tags in ({}, {long_fields.id: long_fields}):
        transactions = mt940.models.Transactions(tags=tags)
        try:
            transactions.parse(block)
        except Exception as error:  # the library raises whatever a broken text makes of its steps
            first = first or error
        else:
            return transactions
    said = str(first).split("'")
    line = said[1].partition("\\n")[0] if len(said) > 1 else str(first)
    raise StatementError(f"statement {number}: {line[:_LONGEST_SHOWN]!r} is not as MT940 has it")


def _balance(number: int, balance: Any) -> Balance | None:
    if balance is None:
        return None
    return Balance(*_money(number, balance.amount), _day(balance.date))


def _entry(number: int, data: dict[str, Any]) -> BankEntry:
    amount, currency = _money(number, data["amount"])
    text = [data.get("transaction_details"), data.get("extra_details"), data.get("purpose"), data.get("non_swift_text")]
    return BankEntry(
        amount=amount,
        currency=currency,
        booked_on=_day(data.get("entry_date") or data["date"]),
        value_on=_day(data["date"]),
        bank_reference=_reference(data.get("bank_reference")),
        payer_reference=_reference(data.get("customer_reference")) or _reference(data.get("end_to_end_reference")),
        remittance=" ".join(" ".join(each.split()) for each in text if each),
        counterparty=data.get("applicant_name") or None,
        counterparty_account=data.get("applicant_iban") or None,
        kind=data.get("id"),
    )


def _money(number: int, amount: Any) -> tuple[int, str]:
    currency = str(amount.currency)
    if currency not in MINOR_DIGITS:
        raise StatementError(f"statement {number}: {currency[:10]!r} is no active ISO 4217 currency")
    return to_minor(amount.amount, currency), currency


def _day(value: date) -> date:
    return date(value.year, value.month, value.day)


def _reference(value: Any) -> str | None:
    text = str(value or "").strip()
    return None if text in _NO_REFERENCE else text
