"""Made-up customers, open items and payments with the truth of each payment beside it, which cash application never sees."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tallystick.books.cash.items import OpenItem, Payment

TODAY = date(2026, 11, 25)


@dataclass(frozen=True, slots=True)
class Case:
    """A payment and the numbers of the items that it really is for."""

    payment: Payment
    truth: frozenset[str]
    story: str


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
    """Payments as customers send them; somewhat more than half name what they pay."""
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
        amount = sum(each.open_amount for each in chosen)
        others = [
            each.number for each in owed if each.open_amount != amount
        ]  # the same amount would make it no mistake
        cases.append(_payment(draw, len(cases), chosen, others))
    return cases


def _payment(draw: random.Random, number: int, chosen: Sequence[OpenItem], others: Sequence[str]) -> Case:
    amount = sum(each.open_amount for each in chosen)
    story = draw.choices(
        ("named", "silent", "discount", "short", "over", "unknown", "mistyped", "misnamed"), (48, 22, 8, 6, 3, 5, 6, 2)
    )[0]
    texts: tuple[str, ...] = (
        " ".join(_written(draw, each.number) for each in chosen),
        f"payment {draw.randrange(10**6)}",
    )
    customer: str | None = chosen[0].customer_id
    if story == "silent":
        texts = ("payment with thanks",)
    elif story == "discount":
        amount -= sum(each.discount for each in chosen)
        texts = texts if draw.random() < 0.5 else ()
    elif story == "short":
        amount -= draw.randrange(1, max(2, amount // 5))
        texts = texts if draw.random() < 0.5 else ()
    elif story == "over":
        amount += draw.randrange(1, 10_000)
    elif story == "unknown":
        customer, texts = None, ()
    elif story == "misnamed":
        texts = (others[0],) if others else ()
    elif story == "mistyped":
        texts = (f"INV-{2026_000_000 + draw.randrange(10**6)}",) if draw.random() < 0.5 else ("INV-26-x",)
    payment = Payment(f"P{number}", amount, "USD", TODAY, texts, customer)
    return Case(payment, frozenset(each.number for each in chosen), story)


def _written(draw: random.Random, number: str) -> str:
    """As payers write it."""
    return draw.choice(
        (number, number.lower(), number.replace("-", " "), number.replace("-", ""), f"No. {number},", f"/{number}/")
    )
