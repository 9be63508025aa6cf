"""Ties remittance advices to the payments that they are of: by the trace that the bank passed on, else by the amount alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tallystick.books.cash.items import Payment
from tallystick.documents.remittance import Remittance

_WORD = re.compile(r"[0-9A-Z]+")
_SHORTEST = 4
"""Shorter traces are too often days or amounts."""
_AROUND = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Tied:
    """The payments with their advices, and the advices for which no payment came."""

    payments: tuple[Payment, ...]
    untied: tuple[Remittance, ...]


def tie(payments: Iterable[Payment], advices: Sequence[Remittance]) -> Tied:
    """An advice goes to the payment of its amount whose texts have its trace, else to the only one of its amount and time."""
    found = list(payments)
    by_amount: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, each in enumerate(found):
        by_amount[each.currency, each.amount].append(place)
    left = []
    for advice in advices:
        fitting = [place for place in by_amount[advice.currency, advice.amount] if found[place].advice is None]
        traced = [place for place in fitting if _names(found[place], advice.trace)]
        if len(traced) == 1:
            found[traced[0]] = _advised(found[traced[0]], advice, surely=True)
        else:
            left.append(advice)
    untied = []
    for advice in left:
        near = [
            place
            for place in by_amount[advice.currency, advice.amount]
            if found[place].advice is None
            and abs(found[place].paid_on - advice.paid_on) <= _AROUND
            and (advice.customer_id is None or found[place].customer_id in (None, advice.customer_id))
        ]
        alike = [each for each in left if (each.currency, each.amount) == (advice.currency, advice.amount)]
        if len(near) == 1 and len(alike) == 1:
            found[near[0]] = _advised(found[near[0]], advice, surely=False)
        else:
            untied.append(advice)
    return Tied(tuple(found), tuple(untied))


def _advised(payment: Payment, advice: Remittance, *, surely: bool) -> Payment:
    customer = payment.customer_id or (advice.customer_id if surely else None)
    return replace(payment, advice=advice, surely_advised=surely, customer_id=customer)


def _names(payment: Payment, trace: str) -> bool:
    """Whether the texts have the trace, in one word or several."""
    wanted = "".join(_WORD.findall(trace.upper()))
    if len(wanted) < _SHORTEST:
        return False
    for text in payment.texts:
        words = _WORD.findall(text.upper())
        for start in range(len(words)):
            run = ""
            for word in words[start:]:
                run += word
                if run == wanted:
                    return True
                if len(run) >= len(wanted):
                    break
    return False
