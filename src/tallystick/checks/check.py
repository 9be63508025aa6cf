"""What every check is: a name and a judgement of a batch of orders, from facts gathered once for the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from tallystick.checks.facts import Facts, FactSource
from tallystick.documents.decision import Reason
from tallystick.documents.order import Order
from tallystick.documents.party import Customer
from tallystick.settings import Policy
from tallystick.systems.ports import Tax


@dataclass(slots=True)
class Batch:
    """The orders of one entity that are judged together, and what their checks share."""

    orders: Sequence[Order]
    replacing: Sequence[Order | None]
    """For each, the order in force that it would replace: what that one uses already is not counted twice."""
    policy: Policy
    source: FactSource
    tax: Tax | None
    today: date
    _customers: asyncio.Task[Facts[Mapping[str, Customer]]] | None = field(default=None, init=False)

    async def customers(self) -> Facts[Mapping[str, Customer]]:
        """The orders' customers by id, asked for once whichever checks want them. Raises the system's Failure."""
        if self._customers is None:
            ids = list({order.customer_id for order in self.orders})
            self._customers = asyncio.ensure_future(self.source.customers(self.policy.customer, ids))
        assert self._customers is not None  # noqa: S101 - set just above
        return await asyncio.shield(self._customers)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One check's reasons for each order of a batch, and where the facts came from."""

    reasons: Sequence[tuple[Reason, ...]]
    source: str = "none"
    age_seconds: float | None = None
    tax_amounts: Sequence[int | None] | None = None


class Check(Protocol):
    """One file a check; `judge` raises a Failure when its facts can't be had."""

    name: str

    async def judge(self, batch: Batch) -> Judgement:
        """Reasons against each order, none where it passes."""
        ...
