"""Remittance advices: read, tied to their payments, and applied line by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from bench.cash_cases import TODAY

from tallystick.books.cash.advices import tie
from tallystick.books.cash.application import CashApplication
from tallystick.books.cash.deductions import DeductionReason
from tallystick.books.cash.items import OpenItem, Payment
from tallystick.books.cash.proposals import Allocation, Application, Rule, Status
from tallystick.books.statements.remittances import remittances_of
from tallystick.books.statements.statement import StatementError
from tallystick.documents.remittance import Remittance, RemittanceLine

CSV = b"""Trace;Customer;Payment date;Payment amount;Currency;Invoice;Gross;Discount;Adjustment;Reason;Net
TRN-77001;C1;25.11.2026;1.230,00;EUR;INV-1001;1.000,00;20,00;0;;980,00
TRN-77001;C1;25.11.2026;1.230,00;EUR;INV-1002;260,00;0;10,00;04;250,00
TRN-77002;C2;25.11.2026;99,00;EUR;INV-2001;100,00;0;0;;100,00
"""
ITEMS = [
    OpenItem("INV-1001", "C1", "USD", 10_000, TODAY, 200, TODAY),
    OpenItem("INV-1002", "C1", "USD", 25_050, TODAY),
    OpenItem("INV-2001", "C2", "USD", 10_000, TODAY),
]


def line(number: str, gross: int, discount: int = 0, adjustment: int = 0, reason: str | None = None) -> RemittanceLine:
    return RemittanceLine(
        invoice_number=number,
        gross_amount=gross,
        discount_amount=discount,
        adjustment_amount=adjustment,
        adjustment_reason=reason,
        net_amount=gross - discount - adjustment,
    )


def advice(*lines: RemittanceLine, trace: str = "TRN-77001", **more: Any) -> Remittance:
    amount = sum(each.net_amount for each in lines)
    return Remittance(trace=trace, currency="USD", amount=amount, paid_on=TODAY, lines=lines, **more)


def answer(given: Remittance, *texts: str, customer: str | None = None, on: date = TODAY) -> Application:
    payment = Payment("P1", given.amount, "USD", on, texts, customer)
    return CashApplication(ITEMS).apply(tie([payment], [given]).payments)[0]


def test_a_file_s_rows_are_grouped_to_advices_and_one_that_does_not_add_up_is_quarantined() -> None:
    found = remittances_of(CSV)
    [read] = found.advices
    assert (read.trace, read.amount, [each.net_amount for each in read.lines]) == (
        "TRN-77001",
        123_000,
        [98_000, 25_000],
    )
    assert (read.lines[0].discount_amount, read.lines[1].adjustment_amount) == (2_000, 1_000)
    assert found.quarantined == ("line 4: advice 'TRN-77002': it is for 99.00 EUR, but its lines make 100.00",)


@pytest.mark.parametrize("wrong", [b"", b"a,b\n1,2\n", CSV.replace(b"EUR", b"XXY"), CSV.replace(b"980,00", b"what")])
def test_a_file_that_is_no_advice_is_refused(wrong: bytes) -> None:
    with pytest.raises(StatementError):
        remittances_of(wrong)


def test_the_trace_ties_an_advice_and_every_line_is_applied_with_its_discount_and_its_deduction() -> None:
    given = advice(line("INV-1001", 10_000, discount=200), line("inv 1002", 25_050, adjustment=1_000, reason="04"))
    told = answer(given, "/TRN 77001/")
    [proposal] = told.proposals
    assert (told.status, proposal.rule) == (Status.APPLIED, Rule.DEDUCTION)
    assert proposal.allocations == (Allocation("C1", "INV-1001", 9_800, 200), Allocation("C1", "INV-1002", 24_050))
    [kept_back] = proposal.deductions
    assert (kept_back.number, kept_back.amount, kept_back.reason) == ("INV-1002", 1_000, DeductionReason.DAMAGED)


def test_a_discount_taken_too_late_is_a_deduction() -> None:
    told = answer(advice(line("INV-1001", 10_000, discount=200)), "TRN-77001", on=TODAY + timedelta(days=3))
    [kept_back] = told.proposals[0].deductions
    assert (told.status, kept_back.reason, kept_back.amount) == (Status.APPLIED, DeductionReason.UNEARNED_DISCOUNT, 200)


def test_an_advice_tied_by_its_amount_alone_posts_nothing_unless_the_payer_and_every_invoice_fit_whole() -> None:
    given = advice(line("INV-1001", 10_000), line("INV-1002", 25_050))
    assert answer(given).status is Status.SUGGESTED
    assert answer(given, customer="C1").status is Status.APPLIED
    part = advice(line("INV-1001", 5_000))
    assert (answer(part, customer="C1").status, answer(part, "TRN-77001").status) == (Status.SUGGESTED, Status.APPLIED)


def test_what_an_advice_pays_that_is_not_open_is_for_a_person() -> None:
    told = answer(advice(line("INV-1001", 10_000), line("INV-9999", 500)), "TRN-77001")
    [proposal] = told.proposals
    assert (told.status, proposal.on_account, "INV-9999 is not open" in proposal.evidence) == (
        Status.SUGGESTED,
        500,
        True,
    )
    too_much = answer(advice(line("INV-1001", 12_000)), "TRN-77001").proposals[0]
    assert (too_much.allocations[0].amount, too_much.on_account) == (10_000, 2_000)
    credits_taken = advice(line("INV-1002", 25_050), line("CM-1", -1_000))
    assert answer(credits_taken, "TRN-77001", customer="C1").status is not Status.APPLIED


def test_an_advice_without_its_payment_stays_untied_and_two_alike_are_not_guessed() -> None:
    given = advice(line("INV-1001", 10_000))
    payment = Payment("P1", 10_000, "USD", TODAY)
    assert tie([payment, replace(payment, id="P2")], [given]).untied == (given,)
    assert tie([payment], [given, advice(line("INV-2001", 10_000), trace="TRN-2")]).payments == (payment,)
    assert tie([replace(payment, amount=9_999, texts=("TRN-77001",))], [given]).untied == (given,)


def test_every_cent_of_an_advised_payment_is_in_a_place() -> None:
    for given in (
        advice(line("INV-1001", 10_000, discount=200, adjustment=-300)),
        advice(line("INV-1001", 12_000, discount=5_000), line("INV-1002", 100)),
        advice(line("INV-1001", 10_000), line("INV-1001", 10_000)),
    ):
        [proposal] = answer(given, "TRN-77001").proposals
        assert sum(each.amount for each in proposal.allocations) + proposal.on_account == given.amount
        for each in proposal.allocations:
            owed = next(item.open_amount for item in ITEMS if item.number == each.number)
            kept = sum(part.amount for part in proposal.deductions if part.number == each.number)
            assert each.amount + each.discount + kept <= owed
