"""Made-up customers, open items and payments with the truth of each payment beside it, which cash application never sees.

The tests and the benchmark share it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tallystick.books.cash.advices import tie
from tallystick.books.cash.application import CashApplication
from tallystick.books.cash.items import OpenItem, Payment
from tallystick.books.cash.proposals import Application, Status
from tallystick.documents.remittance import Remittance, RemittanceLine

TODAY = date(2026, 11, 25)
_STORIES = {
    "named": 42,
    "silent": 18,
    "advised": 8,
    "discount": 7,
    "short": 6,
    "mistyped": 5,
    "part": 4,
    "unknown": 4,
    "over": 3,
    "installments": 2,
    "misnamed": 1,
}
"""What payers do, and how often in a hundred; somewhat more than half name what they pay."""


@dataclass(frozen=True, slots=True)
class Case:
    """A payment and the numbers of the items that it really is for."""

    payment: Payment
    truth: frozenset[str]
    story: str
    advice: Remittance | None = None


def open_items(count: int, seed: int) -> list[OpenItem]:
    """Items of a customer for every twenty, in amounts as invoices have them: many round, some the same."""
    draw = random.Random(seed)  # noqa: S311 - the same data at every run
    items = []
    for number in range(count):
        amount = draw.choice((draw.randrange(2_000, 2_000_000), draw.randrange(20, 5_000) * 100, 25_000))
        items.append(
            OpenItem(
                number=f"INV-{2026_000_000 + number}",
                customer_id=f"C{draw.randrange(max(1, count // 20))}",
                currency="USD",
                open_amount=amount,
                issued_on=TODAY - timedelta(days=draw.randrange(90)),
                discount=round(amount * 0.02) if draw.random() < 0.3 else 0,
                discount_until=TODAY + timedelta(days=draw.randrange(-10, 10)),
            )
        )
    return items


def payments(items: Sequence[OpenItem], count: int, seed: int) -> list[Case]:
    """Payments as customers send them."""
    draw = random.Random(seed)  # noqa: S311 - the same data at every run
    by_customer: dict[str, list[OpenItem]] = {}
    for item in items:
        by_customer.setdefault(item.customer_id, []).append(item)
    cases: list[Case] = []
    customers = list(by_customer)
    while len(cases) < count:
        owed = by_customer[draw.choice(customers)]
        if len(owed) < 4:
            continue
        chosen = [owed.pop(draw.randrange(len(owed))) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
        story = draw.choices(list(_STORIES), list(_STORIES.values()))[0]
        if story == "installments":
            cases += _installments(draw, len(cases), chosen[0])
        else:
            cases.append(_case(draw, len(cases), story, chosen, owed))
    return cases[:count]


def judged(items: Sequence[OpenItem], cases: Sequence[Case]) -> tuple[list[Application], list[Case]]:
    """What cash application makes of the cases, and those that it applied wrongly by itself."""
    told = [case.advice for case in cases if case.advice is not None]
    answers = CashApplication(items).apply(tie([case.payment for case in cases], told).payments)
    wrong = [
        case
        for case, answer in zip(cases, answers, strict=True)
        if answer.status is Status.APPLIED
        and frozenset(each.number for each in answer.proposals[0].allocations) != case.truth
    ]
    return answers, wrong


def _installments(draw: random.Random, number: int, item: OpenItem) -> list[Case]:
    """An invoice in two silent payments."""
    first = draw.randrange(1, item.open_amount)
    truth = frozenset({item.number})
    return [
        Case(_payment(number + place, amount, ("installment",), item.customer_id), truth, "installments")
        for place, amount in enumerate((first, item.open_amount - first))
    ]


def _case(draw: random.Random, number: int, story: str, chosen: Sequence[OpenItem], owed: Sequence[OpenItem]) -> Case:
    truth = frozenset(each.number for each in chosen)
    if story == "advised":
        return _advised(draw, number, chosen, truth)
    amount = sum(each.open_amount for each in chosen)
    # The same amount as the misnamed item's would make it no mistake.
    others = [each.number for each in owed if each.open_amount != amount]
    names = " ".join(_written(draw, each.number) for each in chosen)
    texts: tuple[str, ...] = (names, f"payment {draw.randrange(10**6)}")
    customer: str | None = chosen[0].customer_id
    if story == "silent":
        texts = ("payment with thanks",)
    elif story == "discount":
        amount -= sum(each.discount for each in chosen)
        texts = texts if draw.random() < 0.5 else ()
    elif story == "short":
        amount -= draw.randrange(1, max(2, amount // 5))
        texts = texts if draw.random() < 0.5 else ("less damaged goods",)
    elif story == "part":
        amount = max(1, amount * draw.randrange(30, 70) // 100)
    elif story == "over":
        amount += draw.randrange(1, 10_000)
    elif story == "unknown":
        customer, texts = None, ()
    elif story == "misnamed":
        texts = (others[0],) if others else ()
    elif story == "mistyped":
        texts = (f"INV-{2026_000_000 + draw.randrange(10**6)}",) if draw.random() < 0.5 else ("INV-26-x",)
    return Case(_payment(number, amount, texts, customer), truth, story)


def _advised(draw: random.Random, number: int, chosen: Sequence[OpenItem], truth: frozenset[str]) -> Case:
    """A payment whose advice comes apart from it, with discounts and deductions; the bank passes most traces on."""
    lines = []
    for item in chosen:
        discount = item.discount if draw.random() < 0.3 else 0
        kept_back = draw.randrange(1, max(2, item.open_amount // 20)) if draw.random() < 0.2 else 0
        lines.append(
            RemittanceLine(
                invoice_number=_written(draw, item.number).strip("/,"),
                gross_amount=item.open_amount,
                discount_amount=discount,
                adjustment_amount=kept_back,
                adjustment_reason="04" if kept_back else None,
                net_amount=item.open_amount - discount - kept_back,
            )
        )
    amount = sum(each.net_amount for each in lines)
    trace = f"TRN{9_000_000 + number}"
    customer = chosen[0].customer_id if draw.random() < 0.5 else None
    texts = (f"/{trace}/",) if draw.random() < 0.8 else ()
    advice = Remittance(trace=trace, currency="USD", amount=amount, paid_on=TODAY, lines=tuple(lines))
    return Case(_payment(number, amount, texts, customer), truth, "advised", advice)


def _payment(number: int, amount: int, texts: tuple[str, ...], customer: str | None) -> Payment:
    return Payment(f"P{number}", amount, "USD", TODAY, texts, customer)


def _written(draw: random.Random, number: str) -> str:
    """As payers write it."""
    return draw.choice(
        (number, number.lower(), number.replace("-", " "), number.replace("-", ""), f"No. {number},", f"/{number}/")
    )
