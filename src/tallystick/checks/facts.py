"""Where checks get their facts: the ERP's replica in our store while it is fresh enough, else the ERP itself, by policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

from tallystick.checks.masters import Masters, ProductFact
from tallystick.checks.price_answers import read_price_answers, write_price_answers
from tallystick.checks.price_ladder import PriceSheet, Tier, tier_of
from tallystick.checks.replica import (
    FeedState,
    StockKey,
    lock_replica,
    read_credit,
    read_customers,
    read_feed,
    read_products,
    read_promised_credit,
    read_promised_stock,
    read_stock,
    write_credit,
    write_customers,
    write_products,
    write_stock,
)
from tallystick.documents.party import CreditPosition, Customer
from tallystick.settings import FactsPolicy
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Failure, Unavailable
from tallystick.systems.ports import Erp, PriceQuery

Key = TypeVar("Key")
Value = TypeVar("Value")
Values = TypeVar("Values")

Credit = tuple[CreditPosition, int]
"""A customer's position, and what accepted orders have promised on top of it, in minor units."""


@dataclass(frozen=True, slots=True)
class Facts(Generic[Values]):
    """Facts with where they came from (`live` or `replica`) and how old the oldest of them is."""

    values: Values
    source: str
    age_seconds: float | None = None


class FactSource:
    """One entity's facts for one batch of orders; each kind is one query on the replica or one call to the ERP.

    While the replica's feed is complete and fresh the replica answers alone, also that something is not known. Else rows that
    were refreshed within the policy's age answer for themselves and the ERP is asked for the rest; its answer is kept.
    """

    def __init__(self, pool: Pool, system: str, erp: Erp | None, masters: Masters) -> None:
        self._pool = pool
        self._system = system
        self._erp = erp
        self._masters = masters
        self._feed: asyncio.Task[FeedState] | None = None

    async def customers(self, policy: FactsPolicy, ids: Sequence[str]) -> Facts[Mapping[str, Customer]]:
        """Customers by id; unknown ones are absent. Raises the system's Failure."""

        async def whole(feed: FeedState) -> Mapping[str, Customer]:
            return await self._masters.customers(feed.masters, ids)

        async def live(erp: Erp, missing: Sequence[str]) -> Mapping[str, Customer]:
            found = await erp.read_customers(missing)
            await self._keep(lambda connection: write_customers(connection, self._system, found))
            return found

        async def fresh() -> dict[str, tuple[Customer, float]]:
            return await read_customers(self._pool, self._system, ids, policy.maximum_age_seconds)

        return await self._choose(policy, ids, whole, fresh, live)

    async def products(self, policy: FactsPolicy, ids: Sequence[str]) -> Facts[Mapping[str, ProductFact]]:
        """Each product's unit and whether it is active; unknown ones are absent. Raises the system's Failure."""

        async def whole(feed: FeedState) -> Mapping[str, ProductFact]:
            return await self._masters.products(feed.masters, ids)

        async def live(erp: Erp, missing: Sequence[str]) -> Mapping[str, ProductFact]:
            found = await erp.read_products(missing)
            await self._keep(lambda connection: write_products(connection, self._system, found))
            return {key: (product.unit, product.active) for key, product in found.items()}

        async def fresh() -> dict[str, tuple[ProductFact, float]]:
            rows = await read_products(self._pool, self._system, ids, policy.maximum_age_seconds)
            return {key: (row[:2], row[2]) for key, row in rows.items()}

        return await self._choose(policy, ids, whole, fresh, live)

    async def prices(self, policy: FactsPolicy, wanted: Mapping[str, Sequence[str]], on: date) -> Facts[PriceSheet]:
        """All prices that may apply to each customer's products. Raises the system's Failure."""
        products = list({product for each in wanted.values() for product in each})
        if policy.source == "replica":
            feed = await self.feed()
            if _is_fresh(feed, policy):
                sheet = await self._masters.prices(feed.masters, list(wanted), products)
                return Facts(sheet, "replica", feed.age_seconds)
        pairs = [(customer, product) for customer, each in wanted.items() for product in each]

        async def live(erp: Erp, missing: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[Tier]]:
            by_customer: dict[str, list[str]] = {}
            for customer, product in missing:
                by_customer.setdefault(customer, []).append(product)
            queries = [PriceQuery(customer, tuple(each), on) for customer, each in by_customer.items()]
            answers = await erp.read_prices(queries)
            found: dict[tuple[str, str], list[Tier]] = {pair: [] for pair in missing}
            for query, prices in zip(queries, answers, strict=True):
                for price in prices:
                    found.setdefault((query.customer_id, price.product_id), []).append(tier_of(price))
            await self._keep(lambda connection: write_price_answers(connection, self._system, found))
            return found

        async def fresh() -> dict[tuple[str, str], tuple[Sequence[Tier], float]]:
            return await read_price_answers(self._pool, self._system, pairs, policy.maximum_age_seconds)

        facts = await self._choose(policy, pairs, None, fresh, live)
        own: dict[str, dict[str, Sequence[Tier]]] = {}
        for (customer, product), tiers in facts.values.items():
            own.setdefault(customer, {})[product] = tiers
        return Facts(PriceSheet({}, own), facts.source, facts.age_seconds)

    async def stock(self, policy: FactsPolicy, product_ids: Sequence[str]) -> Facts[dict[StockKey, Decimal]]:
        """Available by (product, warehouse), less what accepted orders have promised that the ERP does not know yet."""

        if policy.source == "replica":
            feed = await self.feed()
            if _is_fresh(feed, policy):
                rows = await read_stock(self._pool, self._system, product_ids, None)
                return Facts({row[:2]: row[2] for row in rows}, "replica", feed.age_seconds)

        async def live(erp: Erp, missing: Sequence[str]) -> Mapping[str, dict[str, Decimal]]:
            # Promised first: what the ERP takes over in between is counted twice for a moment, never not at all.
            promised = await read_promised_stock(self._pool, self._system, missing)
            levels = await erp.read_stock(missing)
            await self._keep(lambda connection: write_stock(connection, self._system, levels))
            found: dict[str, dict[str, Decimal]] = {}
            for level in levels:
                less = promised.get((level.product_id, level.warehouse), Decimal(0))
                found.setdefault(level.product_id, {})[level.warehouse] = level.available - less
            return found

        async def fresh() -> dict[str, tuple[dict[str, Decimal], float]]:
            found: dict[str, tuple[dict[str, Decimal], float]] = {}
            for product, warehouse, available, age in await read_stock(
                self._pool, self._system, product_ids, policy.maximum_age_seconds
            ):
                levels, oldest = found.get(product, ({}, 0.0))
                found[product] = ({**levels, warehouse: available}, max(age, oldest))
            return found

        facts = await self._choose(policy, product_ids, None, fresh, live)
        values = {
            (product, warehouse): available
            for product, levels in facts.values.items()
            for warehouse, available in levels.items()
        }
        return Facts(values, facts.source, facts.age_seconds)

    async def credit(self, policy: FactsPolicy, customer_ids: Sequence[str]) -> Facts[Mapping[str, Credit]]:
        """Each customer's position, with what accepted orders have promised on top; absent where the ERP has none."""

        async def whole(_: FeedState) -> Mapping[str, Credit]:
            rows = await read_credit(self._pool, self._system, customer_ids, None)
            return {key: row[:2] for key, row in rows.items()}

        async def live(erp: Erp, missing: Sequence[str]) -> Mapping[str, Credit]:
            promised = await read_promised_credit(self._pool, self._system, missing)
            found = await erp.read_credit(missing)
            await self._keep(lambda connection: write_credit(connection, self._system, list(found.values())))
            return {key: (position, promised.get(key, 0)) for key, position in found.items()}

        async def fresh() -> dict[str, tuple[Credit, float]]:
            rows = await read_credit(self._pool, self._system, customer_ids, policy.maximum_age_seconds)
            return {key: (row[:2], row[2]) for key, row in rows.items()}

        return await self._choose(policy, customer_ids, whole, fresh, live)

    async def feed(self) -> FeedState:
        """Where the replica's feed stands; read once for the batch."""
        if self._feed is None:
            self._feed = asyncio.ensure_future(read_feed(self._pool, self._system))
        task: asyncio.Task[FeedState] = self._feed
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let go of a question that nobody waits for any more."""
        await let_go(self._feed)

    async def _choose(
        self,
        policy: FactsPolicy,
        keys: Sequence[Key],
        whole: Callable[[FeedState], Awaitable[Mapping[Key, Value]]] | None,
        fresh: Callable[[], Awaitable[dict[Key, tuple[Value, float]]]],
        live: Callable[[Erp, Sequence[Key]], Awaitable[Mapping[Key, Value]]],
    ) -> Facts[Mapping[Key, Value]]:
        """The whole replica while its feed is fresh; else its fresh rows, and the system for the missing keys."""
        found: dict[Key, Value] = {}
        oldest, state = 0.0, FeedState(None, 0)
        if policy.source == "replica":
            state = await self.feed()
            if whole is not None and _is_fresh(state, policy):
                return Facts(await whole(state), "replica", state.age_seconds)
            rows = await fresh()
            oldest = max((age for _, age in rows.values()), default=0.0)
            found = {key: value for key, (value, _) in rows.items()}
        missing = [key for key in keys if key not in found]
        if not missing:
            return Facts(found, "replica", oldest) if keys else Facts(found, "none")
        try:
            if self._erp is None:
                raise Unavailable(f"{self._system} is not connected here as an ERP", system=self._system)
            found.update(await live(self._erp, missing))
        except Failure as failure:
            raise _without_replica(failure, policy, state) from failure
        return Facts(found, "live", oldest)

    async def _keep(self, write: Callable[[Connection], Awaitable[None]]) -> None:
        """Write the system's answer into the replica."""
        async with self._pool.acquire() as connection, connection.transaction():
            await lock_replica(connection, self._system)
            await write(connection)


async def let_go(task: asyncio.Task[Values] | None) -> None:
    """End a shared question for which nobody waits any more; its failure, if it had one, was nobody's."""
    if task is None:
        return
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _is_fresh(feed: FeedState, policy: FactsPolicy) -> bool:
    return feed.age_seconds is not None and feed.age_seconds <= policy.maximum_age_seconds


def _without_replica(failure: Failure, policy: FactsPolicy, feed: FeedState) -> Failure:
    """The same failure, saying why the replica could not stand in."""
    if policy.source == "live":
        why = "and the policy wants live facts"
    elif feed.age_seconds is None:
        why = "and our replica of it is not complete"
    else:
        why = f"and our replica of it is {feed.age_seconds:.0f} s old, more than the policy's {policy.maximum_age_seconds:.0f} s"
    return type(failure)(
        f"{failure.message}, {why}", system=failure.system, code=failure.code, retry_after=failure.retry_after
    )
