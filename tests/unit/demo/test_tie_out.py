from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tallystick.demo.tie_out import Sides, Step, tie_out
from tallystick.documents.order import Order, OrderLine
from tallystick.systems.ports import BookEntry

TRANSACTION = UUID("018f0000-0000-7000-8000-000000000001")
REFERENCE = f"TS-{TRANSACTION.hex}"
ORDER = Order(
    channel="edi",
    order_number="SO-1",
    customer_id="C-1",
    currency="USD",
    ordered_at=datetime(2026, 1, 1, tzinfo=UTC),
    lines=(OrderLine(line_number=1, product_id="P-1", quantity=Decimal(10), unit_price=Decimal("10.00")),),
    tax_amount=725,
)


def entry(kind: str, amount: int, net: int | None = None) -> BookEntry:
    return BookEntry(
        kind=kind,
        system_reference=f"{kind}-1",
        reference=REFERENCE,
        order_reference=REFERENCE,
        customer_id="C-1",
        currency="USD",
        net_amount=amount if net is None else net,
        total_amount=amount,
        booked_on=date(2026, 1, 1),
        state="posted",
    )


def transaction(**changed: Any) -> dict[str, Any]:
    states = {"intake": "accepted", "commitment": "committed", "fulfilment": "complete", "credited_amount": 0}
    return {"id": str(TRANSACTION), "order_number": "SO-1", **states, **changed}


def sold(**changed: Any) -> dict[str, Any]:
    known = {"invoiced_amount": 10_725, "paid_amount": 10_725, "credited_amount": 0}
    return {"order_number": "SO-1", "submitted": {"total_amount": 10_725}, **known, **changed}


AGREEING = Sides(
    sold=[sold()],
    transactions=[transaction()],
    orders={str(TRANSACTION): ORDER},
    reasons={},
    shipped={"SO-1": {1: Decimal(10)}},
    collected={"SO-1": 10_725},
    books=[entry("order", 10_725, 10_000), entry("invoice", 10_725), entry("payment", 10_725)],
)


def test_sides_that_agree_leave_no_difference() -> None:
    result = tie_out(AGREEING)
    assert result.differences == []
    assert (result.promised, result.invoiced, result.paid, result.unexplained) == (10_725, 10_725, 10_725, 0)


@pytest.mark.parametrize(
    ("changed", "step", "amount"),
    [
        ({"books": [entry("order", 10_725, 10_000), entry("payment", 10_725)]}, Step.INVOICED, 10_725),
        ({"books": [*AGREEING.books, entry("invoice", 1)]}, Step.INVOICED, -1),
        ({"books": [*AGREEING.books, entry("payment", 10_725)]}, Step.COLLECTED, -10_725),
        ({"books": [*AGREEING.books, entry("order", 10_725, 10_000)]}, Step.BOOKED, -10_000),
        ({"collected": {"SO-1": 10_000}}, Step.COLLECTED, -725),
        ({"sold": [sold(invoiced_amount=0)]}, Step.TOLD, 10_725),
        ({"sold": [sold(paid_amount=10_724)]}, Step.TOLD, 1),
        ({"transactions": [], "orders": {}}, Step.INVOICED, 10_725),
    ],
)
def test_what_nobody_decided_is_unexplained(changed: dict[str, Any], step: Step, amount: int) -> None:
    result = tie_out(replace(AGREEING, **changed))
    unexplained = [each for each in result.differences if each.cause is None]
    assert (step, amount) in {(each.step, each.amount) for each in unexplained}
    assert result.unexplained >= abs(amount)


def test_unexplained_amounts_never_cancel_out() -> None:
    books = [entry("order", 10_725, 10_000), entry("invoice", 10_726), entry("payment", 10_724)]
    assert tie_out(replace(AGREEING, books=books, sold=[sold()])).unexplained == 1 + 1 + 1 + 1


def test_an_order_that_is_held_is_explained_by_why() -> None:
    held = transaction(intake="held", commitment="none", fulfilment="none")
    sides = replace(
        AGREEING,
        sold=[sold(invoiced_amount=0, paid_amount=0)],
        transactions=[held],
        reasons={str(TRANSACTION): "credit.over_limit"},
        shipped={},
        collected={},
        books=[],
    )
    result = tie_out(sides)
    assert result.unexplained == 0
    assert result.by_cause(Step.INVOICED) == [("held: over the credit limit", "process_design", 1, 10_725)]


def test_an_order_held_by_us_but_booked_by_the_erp_is_unexplained() -> None:
    held = transaction(intake="held", commitment="none", fulfilment="none")
    assert tie_out(replace(AGREEING, transactions=[held])).unexplained >= 10_725


def test_short_shipment_is_worth_its_lines_and_their_share_of_the_tax() -> None:
    sides = replace(
        AGREEING,
        sold=[sold(invoiced_amount=4_290, paid_amount=4_290)],
        shipped={"SO-1": {1: Decimal(4)}},
        collected={"SO-1": 4_290},
        books=[entry("order", 10_725, 10_000), entry("invoice", 4_290), entry("payment", 4_290)],
    )
    result = tie_out(sides)
    assert result.unexplained == 0
    assert result.explained(Step.INVOICED) == 6_000 + 435


def test_a_corrected_price_is_the_difference_of_both_orders() -> None:
    result = tie_out(replace(AGREEING, sold=[sold(submitted={"total_amount": 10_189})]))
    assert result.unexplained == 0
    assert result.explained(Step.INVOICED) == 10_189 - 10_725


def test_what_a_customer_left_open_is_the_customers() -> None:
    short = [entry("order", 10_725, 10_000), entry("invoice", 10_725), entry("payment", 10_000)]
    result = tie_out(replace(AGREEING, books=short, collected={"SO-1": 10_000}, sold=[sold(paid_amount=10_000)]))
    assert result.unexplained == 0
    assert result.by_cause(Step.PAID) == [("the customer paid short: open receivable", "process_design", 1, 725)]


def test_an_order_that_its_channel_cancelled_is_explained_where_nothing_of_it_is_in_the_erp() -> None:
    cancelled = transaction(intake="cancelled", commitment="cancelled", fulfilment="cancelled")
    nowhere = replace(AGREEING, transactions=[cancelled], shipped={}, collected={}, books=[])
    assert tie_out(replace(nowhere, sold=[sold(invoiced_amount=0, paid_amount=0)])).unexplained == 0
    assert tie_out(replace(AGREEING, transactions=[cancelled])).unexplained >= 10_725


@pytest.mark.parametrize("in_the_books", [1_072, -1_072])
def test_goods_that_came_back_are_explained_by_one_credit_memo_and_not_by_two(in_the_books: int) -> None:
    credited = replace(
        AGREEING,
        transactions=[transaction(credited_amount=1_072)],
        sold=[sold(credited_amount=1_072)],
        books=[*AGREEING.books, entry("credit_memo", in_the_books)],
    )
    assert tie_out(credited).unexplained == 0
    twice = replace(credited, books=[*credited.books, entry("credit_memo", in_the_books)])
    assert tie_out(twice).unexplained >= 1_072
