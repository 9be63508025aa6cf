"""Reads BAI2 cash management files (BAI Cash Management Balance Reporting Specifications, version 2).

Amounts have no decimal point and as many decimals as their currency: they are minor units as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from tallystick.books.statements.statement import (
    Balance,
    BankEntry,
    BankStatement,
    StatementError,
    balance_problems,
)
from tallystick.documents.money import MINOR_DIGITS

_OPENING, _CLOSING = "010", "015"
# Some banks write several records on one line.
_NEXT_ON_THE_LINE = re.compile(r"(?<=/)\s+(?=(?:01|02|03|16|49|88|98|99),)")
_AMOUNT = re.compile(r"[+-]?[0-9]{1,18}")
_FIELDS_BEFORE_TEXT = 5
_FUNDS_FIELDS = {"V": 2, "S": 3}
_CODES = frozenset({"01", "02", "03", "16", "49", "88", "98", "99"})
_DIRECT, _VALUE_DATED, _DISTRIBUTED = "S", "V", "D"


@dataclass(slots=True)
class _Record:
    """A record with its continuations (88): its code, its fields, and the line of the file where it begins."""

    code: str
    text: str
    line: int

    def fields(self, most: int = -1) -> list[str]:
        """At most `most` + 1 fields; the last then holds the rest as it stands."""
        return self.text.split(",", most)


@dataclass(slots=True)
class _Account:
    """An account's records until its trailer (49), and the sum of every amount as written."""

    number: str
    currency: str
    as_of: date
    line: int
    control: int = 0
    opening: Balance | None = None
    closing: Balance | None = None
    entries: list[BankEntry] = field(default_factory=list)


def read_bai2(text: str) -> list[BankStatement]:
    """The accounts of a file. Raises StatementError naming the line where it is no BAI2, or cut short."""
    statements: list[BankStatement] = []
    group: tuple[date, str] | None = None
    of_group: list[int] = []
    account: _Account | None = None
    last = _Record("", "", 0)
    for record in _records(text):
        last = record
        match record.code:
            case "02":
                group, of_group = _group(record), []
            case "03":
                if group is None:
                    raise _error(record, "an account (03) outside of a group (02)")
                account = _account(record, *group)
            case "16":
                if account is None:
                    raise _error(record, "a transaction (16) outside of an account (03)")
                account.entries.append(_entry(record, account))
            case "49":
                if account is None:
                    raise _error(record, "an account trailer (49) without its account (03)")
                statements.append(_closed(record, account))
                of_group.append(_number(record, record.fields()[0] or "0"))
                account = None
            case "98":
                _check_group(record, of_group, statements)
            case "01" | "99":
                pass
            case _:
                raise _error(record, f"a record of the unknown kind {record.code!r}")
    if account is not None or last.code != "99":
        raise _error(last, "the file ends before its trailer (99): it is cut short; ask the bank for it again")
    return statements


def _records(text: str) -> Iterator[_Record]:
    """Logical records. A slash ends a line whose fields an 88 goes on with; without one it goes on with the text."""
    current: _Record | None = None
    ended = False
    for number, line in _lines(text):
        code, _, rest = line.partition(",")
        content = rest.removesuffix("/")
        if code == "88" and current is not None:
            current.text += ("," if ended and not _is_in_text(current) else " ") + content
        elif code not in _CODES and current is not None and not ended:
            current.text += f" {line.removesuffix('/')}"  # a record may be broken into lines anywhere
            rest = line
        else:
            if current is not None:
                yield current
            elif code != "01":
                raise StatementError(
                    f"line {number}: a BAI2 file begins with a file header (01), not with {code[:20]!r}"
                )
            current = _Record(code, content, number)
        ended = rest.endswith("/")
    if current is None:
        raise StatementError("the file is empty")
    yield current


def _is_in_text(record: _Record) -> bool:
    """Whether a transaction is complete up to its text, which a continuation then goes on with."""
    fields = record.fields()
    funds = fields[2] if len(fields) > 2 else ""
    return record.code == "16" and len(fields) > _FIELDS_BEFORE_TEXT + _FUNDS_FIELDS.get(funds, 0)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Physical records, each with the number of its line."""
    for number, line in enumerate(text.splitlines(), 1):
        for part in _NEXT_ON_THE_LINE.split(line.strip()):
            if part:
                yield number, part.strip()


def _group(record: _Record) -> tuple[date, str]:
    """The day that a group's accounts are as of, and its currency."""
    fields = [*record.fields(), "", "", "", "", "", ""]
    return _day(record, fields[3]), fields[5] or "USD"


def _account(record: _Record, as_of: date, group_currency: str) -> _Account:
    fields = record.fields()
    currency = (fields[1] if len(fields) > 1 else "") or group_currency
    if not fields[0]:
        raise _error(record, "an account without a number")
    if currency not in MINOR_DIGITS:
        raise _error(record, f"{currency[:10]!r} is no active ISO 4217 currency")
    account = _Account(fields[0], currency, as_of, record.line)
    rest = fields[2:]
    while rest:
        code, amount, rest = rest[0], (rest[1] if len(rest) > 1 else ""), rest[3:]
        funds, rest = (rest[0], rest[1:]) if rest else ("", [])
        _, rest = _availability(record, funds, rest)
        if not code or not amount:
            continue
        value = _number(record, amount)
        account.control += value
        if code in (_OPENING, _CLOSING):
            balance = Balance(value, currency, as_of)
            account.opening, account.closing = (
                (balance, account.closing) if code == _OPENING else (account.opening, balance)
            )
    return account


def _entry(record: _Record, account: _Account) -> BankEntry:
    fields = record.fields()
    code, amount = fields[0], fields[1] if len(fields) > 1 else ""
    value = _number(record, amount or "0")
    account.control += value
    value_on, rest = _availability(record, fields[2] if len(fields) > 2 else "", fields[3:])
    bank_reference, payer_reference = [*rest, "", ""][:2]
    return BankEntry(
        amount=_sign(record, code) * value,
        currency=account.currency,
        booked_on=account.as_of,
        value_on=value_on,
        bank_reference=bank_reference or None,
        payer_reference=payer_reference or None,
        remittance=",".join(rest[2:]).strip(),
        kind=code,
    )


def _sign(record: _Record, code: str) -> int:
    """Credits are numbered 100 to 399, debits 400 to 699; 9xx are the bank's own, with the same split at 920 and 960."""
    number = _number(record, code or "0")
    if 100 <= number < 400 or 920 <= number < 960:
        return 1
    if 400 <= number < 700 or 960 <= number < 1_000:
        return -1
    raise _error(record, f"type code {code!r} is neither a credit (100 to 399) nor a debit (400 to 699)")


def _availability(record: _Record, funds: str, rest: Sequence[str]) -> tuple[date | None, list[str]]:
    """The value date that a funds type gives, and the fields behind it."""
    if funds == _VALUE_DATED:
        return (_day(record, rest[0]) if rest and rest[0] else None), list(rest[2:])
    if funds == _DIRECT:
        return None, list(rest[3:])
    if funds == _DISTRIBUTED:
        count = int(rest[0]) if rest and rest[0].isdigit() else 0
        return None, list(rest[1 + 2 * count :])
    return None, list(rest)


def _closed(record: _Record, account: _Account) -> BankStatement:
    entries = tuple(account.entries)
    problems = balance_problems(account.opening, account.closing, entries)
    said = _number(record, record.fields()[0] or "0")
    if said != account.control:
        problems += (f"line {record.line}: its control total is {said}, but its amounts add up to {account.control}",)
    number = f"{account.as_of:%Y-%m-%d}"
    return BankStatement(account.number, number, entries, account.opening, account.closing, problems)


def _check_group(record: _Record, controls: Sequence[int], statements: list[BankStatement]) -> None:
    """A group whose trailer (98) does not fit its accounts may lack one; its last statement says so."""
    said = _number(record, record.fields()[0] or "0")
    if controls and said != sum(controls):
        problem = (
            f"line {record.line}: the group's control total is {said}, but its accounts' add up to {sum(controls)}"
        )
        statements[-1] = replace(statements[-1], problems=(*statements[-1].problems, problem))


def _number(record: _Record, text: str) -> int:
    digits = text.strip()
    if not _AMOUNT.fullmatch(digits):
        raise _error(record, f"{text[:40]!r} is no amount: digits without a decimal point, with a sign or none")
    return int(digits)


def _day(record: _Record, text: str) -> date:
    try:
        return datetime.strptime(text, "%y%m%d").date()  # noqa: DTZ007 - a calendar day of the bank's
    except ValueError:
        raise _error(record, f"{text[:40]!r} is no date of the form YYMMDD") from None


def _error(record: _Record, said: str) -> StatementError:
    return StatementError(f"line {record.line}: {said}")
