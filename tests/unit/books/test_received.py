"""From a statement to payments: each once, whatever file it comes in, and whatever is no payment is listed with why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from tallystick.books.cash.received import payments_of
from tallystick.books.statements.statement import BankEntry, BankStatement

DAY = date(2026, 11, 25)
PAID = BankEntry(10_000, "USD", DAY, remittance="INV-1001", counterparty_account="DE01", bank_reference="B-1")


def statement(*entries: BankEntry, number: str = "1", problems: tuple[str, ...] = ()) -> BankStatement:
    return BankStatement("ACC", number, entries, problems=problems)


def ids(*statements: BankStatement) -> list[str]:
    return [each.id for each in payments_of(statements)[0]]


def test_payment_has_what_the_payer_wrote_and_the_customer_whose_account_it_came_from() -> None:
    entry = replace(PAID, payer_reference="E2E-7", value_on=date(2026, 11, 26))
    [payment], left_out = payments_of([statement(entry)], {"DE01": "C1"})
    assert (payment.amount, payment.customer_id, payment.texts) == (10_000, "C1", ("E2E-7", "INV-1001"))
    assert payment.paid_on == date(2026, 11, 26)
    assert left_out == []


def test_same_statement_again_makes_the_same_ids_also_in_another_file() -> None:
    bare = replace(PAID, bank_reference=None)
    assert ids(statement(PAID, bare)) == ids(statement(PAID, bare, number="2"))


def test_two_like_payments_of_one_statement_are_two() -> None:
    bare = replace(PAID, bank_reference=None)
    assert len(set(ids(statement(bare, bare, PAID, replace(PAID, amount=5))))) == 4


def test_payments_booked_together_under_one_bank_reference_are_apart() -> None:
    assert len(set(ids(statement(PAID, replace(PAID, payer_reference="other"))))) == 2


def test_what_is_no_payment_is_listed_with_why() -> None:
    announced, charge = replace(PAID, booked=False), replace(PAID, amount=-50)
    payments, left_out = payments_of([statement(announced, charge), statement(PAID, problems=("it is cut short",))])
    assert payments == []
    assert [each.reason for each in left_out] == [
        "it is announced and not booked",
        "no money came in by it",
        "its statement does not add up: it is cut short",
    ]
