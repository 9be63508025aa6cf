"""What the channels were told: kept in the campaign's process, away from everything that is broken."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An order that was answered: from then on its channel relies on it."""

    order_number: str
    transaction_id: str
    decision: str
    tries: int
    seconds: float
    """From the first sending to the answer."""


@dataclass(slots=True)
class History:
    """Every order that was sent, and what came of it at the channel."""

    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    abandoned: set[str] = field(default_factory=set)
    """Sent once and never again, by channels that got no answer: the hub may have them or not."""
    sent: dict[str, float] = field(default_factory=dict)
    """When each order was first sent, by the monotonic clock."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Every answer to an order, by its status; 0: no answer."""
    mistaken: list[str] = field(default_factory=list)
    """Repetitions that were answered otherwise than the first; there must be none."""
    unexpected: list[str] = field(default_factory=list)
    """Answers that a channel can make nothing of."""

    def note_sent(self, order_number: str) -> None:
        """An order leaves its channel."""
        self.sent.setdefault(order_number, time.monotonic())

    def note_answer(self, order_number: str, transaction_id: str, decision: str, tries: int) -> None:
        """A channel has its answer; a second one must be the same."""
        seconds = time.monotonic() - self.sent[order_number]
        new = Acknowledged(order_number, transaction_id, decision, tries, seconds)
        known = self.acknowledged.setdefault(order_number, new)
        if (known.transaction_id, known.decision) != (transaction_id, decision):
            self.mistaken.append(
                f"{order_number}: {known.decision} as {known.transaction_id}, then {decision} as {transaction_id}"
            )
        self.abandoned.discard(order_number)
