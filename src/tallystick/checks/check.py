"""What every check is: it gathers facts for a whole batch at once, and then judges one order after the other from them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from tallystick.checks.facts import Facts, FactSource, let_go
from tallystick.checks.tax_rates import TaxSource
from tallystick.documents.decision import Reason
from tallystick.documents.order import Order
from tallystick.documents.party import Customer
from tallystick.settings import Policy


@dataclass(slots=True)
class Case:
    """One order before the checks."""

    order: Order
    replaced: Order | None = None
    """The order in force that this one would replace: what that one uses already is not counted twice."""
    tax_amount: int | None = None
    """The tax service's amount in minor units, once the tax check has judged."""
    warehouse: str | None = None
    """Where lines that name no warehouse are promised, once the inventory check has judged."""

    @property
    def exposure(self) -> int:
        """What the order adds to what its customer owes: net and tax (the service's, else the quoted), in minor units."""
        tax = self.order.tax_amount if self.tax_amount is None else self.tax_amount
        return self.order.net_amount + (tax or 0)


@dataclass(slots=True)
class Batch:
    """The orders of one entity that are judged together, and what their checks share."""

    cases: Sequence[Case]
    policy: Policy
    source: FactSource
    tax: TaxSource | None
    """None: the entity has no tax service."""
    today: date
    _customers: asyncio.Task[Facts[Mapping[str, Customer]]] | None = field(default=None, init=False)

    async def customers(self) -> Facts[Mapping[str, Customer]]:
        """The orders' customers by id, asked for once whichever checks want them. Raises the system's Failure."""
        if self._customers is None:
            ids = list({case.order.customer_id for case in self.cases})
            self._customers = asyncio.ensure_future(self.source.customers(self.policy.customer, ids))
        task: asyncio.Task[Facts[Mapping[str, Customer]]] = self._customers
        # Shielded: a check that runs out of time must not take the answer away from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let go of questions that nobody waits for any more."""
        await let_go(self._customers)
        await self.source.close()


class Evidence(Protocol):
    """A check's facts for a batch, and its pure judgement of each of the orders."""

    source: str
    """`live`, `replica` or `none`."""
    age_seconds: float | None

    def judge(self, case: Case) -> Sequence[Reason]:
        """What speaks against an order, given those taken so far; nothing where it passes."""
        ...

    def take(self, case: Case) -> None:
        """The order is accepted by all checks: from now on it counts against the ones that arrived after it."""
        ...


class Check(Protocol):
    """One file a check."""

    name: str
    role: str
    """Whose facts it needs: `erp` or `tax`."""

    async def gather(self, batch: Batch) -> Evidence:
        """Facts for all orders of the batch, set-based. Raises the system's Failure when they can't be had."""
        ...
