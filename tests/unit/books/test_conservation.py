"""Every cent that came in is in exactly one place, and a cent that is not stops the run."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest

from tallystick.books.cash.application import CashApplication
from tallystick.books.cash.conservation import NotConserved, account_for
from tallystick.books.cash.deductions import DeductionReason, deduction_of, reason_of_code, reason_of_words
from tallystick.books.cash.items import OpenItem, Payment
from tallystick.books.cash.open_items import read_open_items
from tallystick.books.cash.proposals import Rule, Status
from tallystick.books.cash.received import payments_of
from tallystick.books.statements.statement import BankEntry, BankStatement, StatementError

DAY = date(2026, 11, 25)
ITEMS = [OpenItem("INV-1001", "C1", "USD", 10_000, DAY), OpenItem("INV-1002", "C1", "USD", 30_000, DAY)]
ENTRIES = (
    BankEntry(10_500, "USD", DAY, remittance="INV-1001 overpaid"),
    BankEntry(777, "USD", DAY, remittance="no idea"),
    BankEntry(-55, "USD", DAY, remittance="fee"),
    BankEntry(9_000, "USD", DAY, remittance="announced", booked=False),
    BankEntry(28_000, "USD", DAY, remittance="nothing", counterparty_account="X1"),
)
GOOD = BankStatement("A-1", "1", ENTRIES)
BAD = BankStatement("A-1", "2", (BankEntry(400, "USD", DAY),), problems=("it is cut short",))


def test_what_came_in_is_applied_on_account_suggested_unidentified_or_refused_to_the_cent() -> None:
    payments, left_out = payments_of([GOOD, BAD], {"X1": "C1"})
    answers = CashApplication(ITEMS).apply(payments)
    places = asdict(account_for([GOOD, BAD], answers, left_out)["USD"])
    assert places == {
        "received": 39_677,
        "applied": 10_000,
        "on_account": 500,
        "suggested": 28_000,
        "unidentified": 777,
        "refused": 400,
        "repeated": 0,
    }


def test_a_lost_or_doubled_payment_stops_the_run() -> None:
    payments, left_out = payments_of([GOOD])
    answers = CashApplication(ITEMS).apply(payments)
    for wrong in (answers[1:], [*answers, answers[0]]):
        with pytest.raises(NotConserved, match="USD"):
            account_for([GOOD], wrong, left_out)
    proposal = replace(answers[0].proposals[0], on_account=499)
    with pytest.raises(NotConserved, match=r"0\.01 USD"):
        account_for([GOOD], [replace(answers[0], proposals=(proposal,)), *answers[1:]], left_out)


def test_payments_that_only_together_are_an_invoice_are_suggested_for_it() -> None:
    two = [Payment(f"P{amount}", amount, "USD", DAY, (), "C1") for amount in (12_000, 18_000, 4_321)]
    first, second, third = CashApplication(ITEMS).apply(two)
    assert [each.status for each in (first, second, third)] == [Status.SUGGESTED, Status.SUGGESTED, Status.UNIDENTIFIED]
    assert (first.proposals[0].rule, first.proposals[0].covers.value) == (Rule.MANY_FOR_ONE, "many_for_one")
    assert "P18000" in first.proposals[0].evidence
    assert first.rivals == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("04", DeductionReason.DAMAGED),
        ("goods missing", DeductionReason.SHORTAGE),
        ("77", DeductionReason.UNKNOWN),
        (None, DeductionReason.UNKNOWN),
    ],
)
def test_an_advice_s_code_or_words_say_why(code: str | None, reason: DeductionReason) -> None:
    assert reason_of_code(code) is reason


def test_the_payer_s_words_or_the_amount_say_why_something_is_kept_back() -> None:
    item = OpenItem("INV-1", "C1", "USD", 10_000, DAY, 200, date(2026, 11, 1))
    assert deduction_of(item, 200, DAY, ("thanks",)).reason is DeductionReason.UNEARNED_DISCOUNT
    assert deduction_of(item, 99, DAY, ()).reason is DeductionReason.ROUNDING
    assert deduction_of(item, 500, DAY, ("less freight",)).reason is DeductionReason.FREIGHT
    assert deduction_of(item, 500, DAY, ()).reason is DeductionReason.UNKNOWN
    assert reason_of_words(("thanks for your patience",)) is None


def test_open_items_are_read_from_csv_and_json_and_what_is_none_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text(
        "Invoice;Customer;Open;Currency;Date;Skonto;Skonto bis;IBAN\n"
        "R-1001;C1;1.000,00;EUR;01.11.2026;20,00;30.11.2026;DE 11\nR-1002;C1;0,00;EUR;13.11.2026;;;\nR-1001;C1;5,00;EUR;;;;\n"
    )
    found = read_open_items(file)
    [item] = found.items
    assert (item.open_amount, item.discount, item.discount_until) == (100_000, 2_000, date(2026, 11, 30))
    assert found.customer_by_account == {"DE11": "C1"}
    assert found.quarantined == (
        "line 3: R-1002 of C1 owes nothing",
        "line 4: R-1001 of C1 is there twice; the first counts",
    )
    file.write_text(
        '[{"number": "R-1", "customer_id": "C1", "currency": "EUR", "open_amount": 5, "issued_on": "2026-11-01"}]'
    )
    assert read_open_items(file).items[0].open_amount == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("a,b\n1,2\n", "no"),
        ("[{]", "not valid JSON"),
        ('[{"number": "R-1"}]', "item 0.customer_id"),
        ("invoice,customer,open,currency\nR-1,C1,x,USD\n", "line 2: open amount is 'x'"),
        ("invoice,customer,open,currency\nR-1,,5,USD\n", "line 2: it has no customer"),
        ("invoice,customer,open,currency\nR-1,C1,5,QQQ\n", "line 2: 'QQQ'"),
    ],
)
def test_a_file_that_is_no_list_of_open_items_is_refused_naming_the_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "items"
    file.write_text(text)
    with pytest.raises(StatementError, match=said):
        read_open_items(file)
