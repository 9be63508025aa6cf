"""What is applied by itself, what is only suggested, and that no cent is lost or used twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from typing import Any

import pytest
from bench.cash_cases import TODAY, judged, open_items, payments
from hypothesis import given
from hypothesis import strategies as st

from tallystick.books.cash.application import CashApplication
from tallystick.books.cash.items import OpenItem, Payment
from tallystick.books.cash.ledger import Ledger
from tallystick.books.cash.proposals import Allocation, Application, Rule, Status
from tallystick.books.cash.sums import MOST_ITEMS, ways_to_pay


def item(number: str, amount: int, customer: str = "C1", days: int = 30, **more: Any) -> OpenItem:
    return OpenItem(number, customer, "USD", amount, TODAY - timedelta(days=days), **more)


def payment(amount: int, *texts: str, customer: str | None = "C1", key: str = "P1", on: date = TODAY) -> Payment:
    return Payment(key, amount, "USD", on, texts, customer)


def applied(items: list[OpenItem], paid: Payment) -> Application:
    return CashApplication(items).apply([paid])[0]


def numbers(answer: Application) -> list[str]:
    return [each.number for each in answer.proposals[0].allocations]


ITEMS = [item("INV-1001", 10_000), item("INV-1002", 25_050), item("INV-1003", 33_333), item("INV-2001", 10_000, "C2")]


@pytest.mark.parametrize(
    "text",
    ["INV-1002", "inv 1002", "INV1002", "Invoice no. INV/1002, thanks", "/RFB/INV-1002/", "INV-1002INV-1002 INV-1002"],
)
def test_payer_s_way_of_writing_a_number_does_not_matter(text: str) -> None:
    answer = applied(ITEMS, payment(25_050, text, customer=None))
    assert (answer.status, numbers(answer), answer.proposals[0].rule) == (
        Status.APPLIED,
        ["INV-1002"],
        Rule.REFERENCE,
    )


def test_one_payment_for_many_invoices_is_applied_to_all_that_it_names() -> None:
    answer = applied(ITEMS, payment(35_050, "INV-1001 + INV-1002", customer=None))
    assert (answer.status, numbers(answer)) == (Status.APPLIED, ["INV-1001", "INV-1002"])


def test_many_payments_for_one_invoice_are_applied_until_it_is_paid() -> None:
    cash = CashApplication(ITEMS)
    first, second, third = cash.apply(payment(amount, "INV-1003", key=f"P{amount}") for amount in (10_001, 23_332, 5))
    assert [first.proposals[0].rule, second.proposals[0].rule] == [Rule.PART_PAYMENT, Rule.REFERENCE]
    assert third.status is not Status.APPLIED, "it is paid already"


@pytest.mark.parametrize(
    ("amount", "rule", "rest"),
    [
        (25_000, Rule.DEDUCTION, (0, 50)),
        (12_000, Rule.PART_PAYMENT, (0, 0)),
        (25_060, Rule.OVERPAYMENT, (10, 0)),
    ],
)
def test_a_named_invoice_is_paid_short_in_part_or_too_much(amount: int, rule: Rule, rest: tuple[int, int]) -> None:
    answer = applied(ITEMS, payment(amount, "INV-1002"))
    proposal = answer.proposals[0]
    assert (answer.status, proposal.rule) == (Status.APPLIED, rule)
    assert (proposal.on_account, proposal.deduction) == rest


def test_the_discount_is_taken_only_in_time_and_only_as_granted() -> None:
    granted = item("INV-1004", 10_000, discount=200, discount_until=TODAY)
    named = payment(9_800, "INV-1004")
    answer = applied([granted], named)
    assert answer.proposals[0].allocations == (Allocation("C1", "INV-1004", 9_800, 200),)
    assert answer.status is Status.APPLIED
    late = applied([granted], replace(named, paid_on=TODAY + timedelta(days=1)))
    assert late.proposals[0].rule is Rule.DEDUCTION
    silent = applied([granted], payment(9_800))
    assert (silent.status, silent.proposals[0].rule) == (Status.SUGGESTED, Rule.DISCOUNT)


def test_a_unique_exact_sum_of_the_customers_items_is_applied_and_one_of_two_is_not() -> None:
    answer = applied(ITEMS, payment(58_383))
    assert (answer.status, answer.proposals[0].rule, numbers(answer)) == (
        Status.APPLIED,
        Rule.EXACT_SUM,
        ["INV-1002", "INV-1003"],
    )
    rivals = [*ITEMS, item("INV-1005", 10_000, days=10)]
    ambiguous = applied(rivals, payment(10_000))
    assert (ambiguous.status, ambiguous.rivals, len(ambiguous.proposals)) == (Status.SUGGESTED, 1, 2)
    assert numbers(ambiguous) == ["INV-1001"], "the oldest first"


def test_a_sum_that_chance_would_hit_is_only_suggested() -> None:
    round_amounts = [item(f"INV-30{number:02}", 100_00 * number) for number in range(1, 12)]
    answer = applied(round_amounts, payment(66 * 100_00))
    assert answer.proposals[0].rule is Rule.EXACT_SUM
    assert answer.status is Status.SUGGESTED


def test_an_amount_that_is_not_the_named_invoice_s_but_another_s_is_put_before_a_person() -> None:
    answer = applied(ITEMS, payment(33_333, "INV-1001"))
    assert (answer.status, answer.rivals) == (Status.SUGGESTED, 1)
    assert [each.rule for each in answer.proposals] == [Rule.OVERPAYMENT, Rule.EXACT_SUM]


def test_a_number_known_only_by_its_digits_needs_the_amount_as_well() -> None:
    assert applied(ITEMS, payment(25_050, "1002")).status is Status.APPLIED
    assert applied(ITEMS, payment(20_000, "1002")).status is Status.SUGGESTED


def test_who_paid_is_not_guessed() -> None:
    answer = applied(ITEMS, payment(10_000, customer=None))
    assert (answer.status, answer.rivals) == (Status.SUGGESTED, 1)
    assert applied(ITEMS, payment(123, customer=None)).status is Status.UNIDENTIFIED
    by_sum = applied([*ITEMS, item("INV-1009", 77_777)], payment(25_050, "INV-2001", customer="C1"))
    assert (by_sum.status, numbers(by_sum)) == (Status.APPLIED, ["INV-1002"]), "another's number is no reference"
    assert applied(ITEMS, payment(0, "INV-1001")).status is Status.UNIDENTIFIED


def test_a_number_that_two_customers_have_names_nothing_unless_it_is_known_who_paid() -> None:
    twice = [item("A-7777", 500), item("A-7777", 700, "C2")]
    assert applied(twice, payment(700, "A-7777", customer=None)).status is Status.SUGGESTED
    assert applied(twice, payment(700, "A-7777", customer="C2")).status is Status.APPLIED


def test_the_same_payment_twice_is_applied_once() -> None:
    cash = CashApplication(ITEMS)
    first, again = cash.apply([payment(25_050, "INV-1002"), payment(25_050, "INV-1002")])
    assert again is first
    other = cash.apply([payment(25_050, "INV-1002", key="P2")])[0]
    assert other.status is not Status.APPLIED


@pytest.mark.parametrize("wrong", [[item("A-1", 5), item("A-1", 5)], [item("A-1", 0)], [item("A-1", -5)]])
def test_a_ledger_with_what_is_no_open_item_is_refused(wrong: list[OpenItem]) -> None:
    with pytest.raises(ValueError, match="'A-1'"):
        Ledger(wrong)


@given(amounts=st.lists(st.integers(1, 60), max_size=9), amount=st.integers(0, 200))
def test_all_ways_to_pay_are_counted(amounts: list[int], amount: int) -> None:
    places = range(len(amounts))
    ways = [
        way
        for size in range(1, len(amounts) + 1)
        for way in combinations(places, size)
        if sum(amounts[each] for each in way) == amount
    ]
    found = ways_to_pay(amount, amounts)
    assert found.count == len(ways)
    assert set(found.shown) <= set(ways)
    assert list(found.shown) == sorted(ways, key=lambda way: (len(way), way))[: len(found.shown)]


def test_more_items_than_can_be_tried_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 24"):
        ways_to_pay(1, [1] * (MOST_ITEMS + 1))


def test_of_thousands_of_payments_what_is_applied_by_itself_is_right_and_nothing_is_lost() -> None:
    items = open_items(10_000, seed=4)
    cases = payments(items, 2_500, seed=5)
    answers, wrong = judged(items, cases)
    auto = [(case, each) for case, each in zip(cases, answers, strict=True) if each.status is Status.APPLIED]
    assert len(wrong) <= len(auto) / 1_000, Counter(each.story for each in wrong)
    assert len(auto) / len(cases) > 0.6, "precision without a rate is easy"
    for each in answers:
        for way in each.proposals:
            assert sum(part.amount for part in way.allocations) + way.on_account == each.payment.amount, way
    owed = {each.number: each.open_amount for each in items}
    for _, each in auto:
        proposal = each.proposals[0]
        assert sum(part.amount for part in proposal.allocations) + proposal.on_account == each.payment.amount
        for part in proposal.allocations:
            owed[part.number] -= part.amount + part.discount
    assert min(owed.values()) >= 0
