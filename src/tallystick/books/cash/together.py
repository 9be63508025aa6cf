"""Several payments of a customer that no one of them explains, and that together are exactly one invoice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tallystick.books.cash.items import OpenItem
from tallystick.books.cash.ledger import Ledger
from tallystick.books.cash.proposals import Allocation, Application, Proposal, Rule, Status
from tallystick.books.cash.sums import MOST_ITEMS, ways_to_pay

_MOST_SHOWN = 5


def put_together(answers: Sequence[Application], ledger: Ledger) -> list[Application]:
    """The answers, with suggestions for payments of a known customer that were unidentified each by itself."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, each in enumerate(answers):
        if each.status is Status.UNIDENTIFIED and each.payment.customer_id is not None and each.payment.amount > 0:
            places[each.payment.customer_id, each.payment.currency].append(place)
    found = list(answers)
    for (customer, currency), alone in places.items():
        if not 2 <= len(alone) <= MOST_ITEMS:
            continue
        proposals: dict[int, list[Proposal]] = defaultdict(list)
        for item in ledger.of(customer, currency):
            _for_one(item, alone, answers, proposals)
        for place, made in proposals.items():
            found[place] = replace(
                answers[place], status=Status.SUGGESTED, proposals=tuple(made[:_MOST_SHOWN]), rivals=len(made) - 1
            )
    return found


def _for_one(
    item: OpenItem, alone: Sequence[int], answers: Sequence[Application], proposals: dict[int, list[Proposal]]
) -> None:
    ways = ways_to_pay(item.open_amount, [answers[place].payment.amount for place in alone])
    for way in ways.shown:
        chosen = [alone[each] for each in way]
        for place in chosen:
            payment = answers[place].payment
            others = ", ".join(answers[each].payment.id for each in chosen if each != place)
            allocation = Allocation(item.customer_id, item.number, payment.amount)
            evidence = f"together with {others} it is {item.number}"
            proposals[place].append(Proposal(Rule.MANY_FOR_ONE, (allocation,), evidence))
