"""A runner over an ERP and a tax service in memory, and the real replica in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.integration.checks.memory_systems import MemoryErp, MemoryTax, entity, stocked_erp

from tallystick.checks.refresh import refresh_replicas
from tallystick.checks.runner import CheckRunner
from tallystick.documents.decision import CheckResult, Decision, gravest
from tallystick.documents.order import Order
from tallystick.settings import Entity
from tallystick.store.pool import Pool


@dataclass
class Installation:
    """One process's checks, with what they ask."""

    pool: Pool
    erp: MemoryErp
    tax: MemoryTax = field(default_factory=MemoryTax)
    entity: Entity = field(default_factory=entity)

    def __post_init__(self) -> None:
        self.runner = CheckRunner(self.pool, {"erp": self.erp, "tax": self.tax})

    async def refresh(self) -> None:
        """Read the ERP's feed into the replica."""
        await refresh_replicas(self.pool, "erp", self.erp)

    async def grow_old(self, seconds: float) -> None:
        """Let the whole replica be older."""
        for table in (
            "replica_feeds",
            "replica_customers",
            "replica_products",
            "replica_price_answers",
            "replica_stock",
            "replica_credit",
            "replica_tax_rates",
        ):
            await self.pool.execute(
                f"update {table} set refreshed_at = refreshed_at - make_interval(secs => $1)", seconds
            )

    async def check(self, *orders: Order, overrides: frozenset[str] | None = None) -> list[dict[str, CheckResult]]:
        """Each order's results by check."""
        waived = None if overrides is None else [overrides] * len(orders)
        results = await self.runner.check(self.entity, orders, overrides=waived)
        return [{each.check: each for each in result} for result in results]

    async def decide(self, *orders: Order) -> list[Decision]:
        """Each order's decision."""
        return [gravest(list(results.values())) for results in await self.check(*orders)]


def codes(results: dict[str, CheckResult]) -> list[str]:
    """All reason codes of an order."""
    return [reason.code for result in results.values() for reason in result.reasons]


@pytest.fixture
def installation(pool: Pool) -> Installation:
    """One customer and three products at an ERP that answers; the replica is empty."""
    return Installation(pool, stocked_erp())


@pytest.fixture
async def fresh(installation: Installation) -> Installation:
    """The same, with a replica that has just been read to the feed's end."""
    await installation.refresh()
    installation.erp.calls.clear()
    return installation
