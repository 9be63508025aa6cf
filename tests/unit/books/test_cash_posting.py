"""What settlement is asked to book is the line to the cent, a part for each customer, under references that never change."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from tallystick.books.cash.kept import reference_of
from tallystick.books.cash.posting import NotPostable, message_of, posting_of
from tallystick.documents.cash import CashPosting

LINE = UUID(int=7)


def posting(
    *allocations: tuple[str, str, int], on_account: int = 0, amount: int | None = None, **more: Any
) -> CashPosting:
    parts = [{"customer_id": c, "number": n, "amount": a, "discount": 0} for c, n, a in allocations]
    return posting_of(
        LINE,
        "TSC-1",
        {"allocations": parts, "on_account": on_account, "deductions": []},
        amount=sum(each[2] for each in allocations) + on_account if amount is None else amount,
        currency="USD",
        paid_on=date(2026, 11, 25),
        **{"payer": "Acme\n\x00Inc.", "remittance": "x" * 500, "customer_id": None, **more},
    )


def test_one_customer_s_line_is_one_payment_and_the_rest_is_theirs() -> None:
    made = posting(("C1", "INV-1", 300), ("C1", "INV-2", 200), on_account=50)
    [part] = made.parts
    assert (part.reference, part.customer_id, part.amount) == ("TSC-1", "C1", 550)
    assert [(each.invoice_number, each.amount) for each in part.shares] == [("INV-1", 300), ("INV-2", 200)]
    assert (made.payer, len(made.remittance)) == ("Acme Inc.", 140)
    message = message_of("default", "erp", made)
    assert (message.stage, message.kind, message.lane) == ("settlement", "apply_cash", LINE)
    assert CashPosting.model_validate(message.payload) == made


def test_a_line_of_several_customers_is_a_payment_of_each() -> None:
    made = posting(("C2", "INV-2", 200), ("C1", "INV-1", 300), on_account=10, customer_id="C9")
    assert [(each.reference, each.customer_id, each.amount) for each in made.parts] == [
        ("TSC-1-1", "C1", 300),
        ("TSC-1-2", "C2", 200),
        ("TSC-1-3", "C9", 10),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 299},
        {"on_account": 5, "amount": 300},
    ],
)
def test_a_cent_too_much_or_too_little_is_not_booked(wrong: dict[str, int]) -> None:
    with pytest.raises(NotPostable, match="not the payment"):
        posting(("C1", "INV-1", 300), **wrong)


def test_what_no_document_takes_or_nobody_owns_is_not_booked() -> None:
    with pytest.raises(NotPostable, match="invoice_number"):
        posting(("C1", "I" * 65, 300))
    with pytest.raises(NotPostable, match="name the customer"):
        posting(on_account=300)


def test_a_line_s_reference_is_its_own_and_the_same_in_every_format() -> None:
    reference = reference_of("default", "DE37040044053201300000", "B-1/100/2026-11-25/1")
    assert reference == reference_of("default", "04004405/3201300000", "B-1/100/2026-11-25/1")
    assert (
        len({reference, *(reference_of(*each) for each in (("west", "3201300000", "x"), ("default", "1", "x")))}) == 3
    )
    assert len(reference) == 28
