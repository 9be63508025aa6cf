"""Statements as delimited text: what is found out about them is right, and what can't be right is said."""

from __future__ import annotations

from datetime import date

import pytest

from tallystick.books.statements.reader import statements_of
from tallystick.books.statements.statement import BankStatement, StatementError

GERMAN = """Kontonummer: DE37 0400 4405 3201 3000 00
Buchungstag;Valuta;Name;IBAN Zahlungsbeteiligter;Verwendungszweck;Betrag;Währung;Saldo nach Buchung
25.11.2026;25.11.2026;Müller GmbH;DE11 22;Rechnung INV-1001;1.980,00;EUR;2.680,00
24.11.2026;26.11.2026;Bank;;Gebühr;-5,00;EUR;700,00
"""
AMERICAN = b"""Date,Description,Reference,Debit,Credit,Balance
11/13/2026,"ACME, Inc. INV-1",TRN1,,"1,234.56",2234.56
11/14/2026,fee,,10.00,,2224.56
"""


def read(content: str | bytes, account: str | None = None, currency: str | None = None) -> BankStatement:
    data = content.encode() if isinstance(content, str) else content
    [found] = statements_of(data, account=account, currency=currency)
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_german_export_is_read_in_any_encoding_with_the_newest_line_first(encoding: str) -> None:
    found = read(GERMAN.encode(encoding))
    first, fee = found.entries
    assert (found.account, found.format, found.problems) == ("DE37040044053201300000", "csv", ())
    assert (first.amount, first.booked_on, first.counterparty) == (198_000, date(2026, 11, 25), "Müller GmbH")
    assert (first.counterparty_account, fee.amount, fee.value_on) == ("DE1122", -500, date(2026, 11, 26))
    assert found.opening is not None
    assert found.closing is not None
    assert (found.opening.amount, found.closing.amount) == (70_500, 268_000)
    assert found.notes == ("separated by ';'", "decimal comma", "dates day first")


def test_an_american_export_has_debits_and_credits_apart_and_months_first() -> None:
    found = read(AMERICAN, "ACC-1", "USD")
    assert [each.amount for each in found.entries] == [123_456, -1_000]
    assert found.entries[0].booked_on == date(2026, 11, 13)
    assert found.notes[1:] == ("decimal point", "dates month first")


def test_a_balance_that_does_not_follow_is_a_problem_that_names_its_line() -> None:
    broken = read(AMERICAN.replace(b"2224.56", b"2224.57"), "ACC-1", "USD")
    assert broken.problems == ("line 3: its balance 2224.57 USD does not follow from the rows around it",)


def test_an_order_of_dates_that_nothing_proves_is_said_to_be_assumed() -> None:
    found = read("date,amount,currency,account\n01/02/2026,1.00,USD,A-1\n")
    assert found.entries[0].booked_on == date(2026, 1, 2)
    assert found.notes[-1] == "dates taken as month first, which no date in it proves"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,amount,currency,account\n2026-11-25,1.00,USD,A\n2026-11-", "line 3: date is '2026-11-', and no date"),
        ("date,amount,currency,account\n2026-11-25,1.00,USD,A\n2026-11-25", "line 3"),
        ("date,amount,currency\n2026-11-25,1.00,USD\n", "it names no account"),
        ("date,amount,account\n2026-11-25,1.00,A\n", "it names no currency"),
        ("date,amount,account,currency\n2026-11-25,1.00,A,QQQ\n", "'QQQ' is no active ISO 4217 currency"),
        ("date,amount,account,currency\n2026-11-25,1.005,A,USD\n", "more decimals than USD has"),
        ("date,amount,account,currency\n2026-11-25,1x,A,USD\n", "line 2: amount is '1x', and no amount"),
        ("date,amount,account,currency\n13/11/2026,1,A,USD\n11/13/2026,1,A,USD\n", "day first and the month first"),
        ("date,amount,account,currency\n", "there is no entry below its heading"),
        ("what,is,this\n1,2,3\n", "no delimited text with a heading that is known"),
    ],
)
def test_what_cannot_be_read_for_sure_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(StatementError, match=said):
        read(text)


def test_accounts_in_one_file_are_statements_of_their_own() -> None:
    found = statements_of(b"account,date,amount,currency\nA-1,2026-11-25,1,USD\nA-2,2026-11-25,2,USD\n")
    assert [(each.account, each.entries[0].amount) for each in found] == [("A-1", 100), ("A-2", 200)]
