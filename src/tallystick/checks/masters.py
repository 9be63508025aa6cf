"""Customers, products and prices of a fresh replica, held in this process as long as the replica's count of changes stands.

Every batch reads that count first (it stands in the feed's row). Whatever is cached under it is at least that new; when the
count moves, all is dropped. The replica's own age is still the policy's to judge, at every batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from sys import intern
from typing import Generic, TypeVar

from tallystick.checks.price_ladder import Ladder, LadderKey, PriceSheet, Tier
from tallystick.checks.replica import read_customers, read_products
from tallystick.documents.party import Customer
from tallystick.store.pool import Pool

Value = TypeVar("Value")
ProductFact = tuple[str, bool]
"""(unit, active)."""
OwnPrices = Mapping[str, tuple[Tier, ...]]
"""One customer's own prices, by product."""

# Bounds on what one process holds: about 100 MB when all are reached, far beyond what most distributors trade in a day.
_CUSTOMERS, _PRODUCTS, _TIERS, _LADDERS = 10_000, 100_000, 100_000, 50_000


class _Shelf(Generic[Value]):
    """A bounded part of the cache; the oldest entries make room. None stands for what is known not to exist."""

    def __init__(self, limit: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._held: dict[str, Value] = {}

    def find(self, keys: Iterable[str]) -> tuple[dict[str, Value], list[str]]:
        """What is held of these keys, and which are not."""
        held = self._held
        found = {key: held[key] for key in keys if key in held}
        return found, [key for key in keys if key not in found]

    def put(self, values: Mapping[str, Value]) -> None:
        """Hold these too, and drop the oldest past the limit."""
        for key, value in values.items():
            if key not in self._held:
                self._held[key] = value
                self._weight += self._weigh(value)
        while self._weight > self._limit and self._held:
            self._weight -= self._weigh(self._held.pop(next(iter(self._held))))

    def clear(self) -> None:
        self._held.clear()
        self._weight = 0


class Masters:
    """One system's masters in memory. `version` is the count of changes that the caller has just read."""

    def __init__(self, pool: Pool, system: str) -> None:
        self._pool = pool
        self._system = system
        self._version = -1
        self._customers = _Shelf[Customer | None](_CUSTOMERS)
        self._products = _Shelf[ProductFact | None](_PRODUCTS)
        self._general = _Shelf[tuple[Tier, ...]](_TIERS, lambda tiers: 1 + len(tiers))
        self._own = _Shelf[OwnPrices](_TIERS, lambda own: 1 + sum(map(len, own.values())))
        self._ladders: dict[LadderKey, Ladder] = {}

    async def customers(self, version: int, ids: Sequence[str]) -> dict[str, Customer]:
        """Customers by id; unknown ones are absent."""

        async def load(missing: Sequence[str]) -> dict[str, Customer | None]:
            rows = await read_customers(self._pool, self._system, missing, None)
            return {key: rows[key][0] if key in rows else None for key in missing}

        found = await self._get(self._customers, version, ids, load)
        return {key: customer for key, customer in found.items() if customer is not None}

    async def products(self, version: int, ids: Sequence[str]) -> dict[str, ProductFact]:
        """Each product's unit and whether it is active; unknown ones are absent."""

        async def load(missing: Sequence[str]) -> dict[str, ProductFact | None]:
            rows = await read_products(self._pool, self._system, missing, None)
            return {key: rows[key][:2] if key in rows else None for key in missing}

        found = await self._get(self._products, version, ids, load)
        return {key: product for key, product in found.items() if product is not None}

    async def prices(self, version: int, customer_ids: Sequence[str], product_ids: Sequence[str]) -> PriceSheet:
        """All prices for everybody of these products, and all own prices of these customers."""
        general = await self._get(self._general, version, product_ids, self._load_general)
        own = await self._get(self._own, version, customer_ids, self._load_own)
        if version != self._version:
            return PriceSheet(general, own)  # replaced meanwhile: what is derived from these must not outlive the batch
        if len(self._ladders) > _LADDERS:
            self._ladders = {}
        return PriceSheet(general, own, self._ladders)

    async def _get(
        self,
        shelf: _Shelf[Value],
        version: int,
        keys: Sequence[str],
        load: Callable[[Sequence[str]], Awaitable[dict[str, Value]]],
    ) -> dict[str, Value]:
        if version > self._version:
            for each in (self._customers, self._products, self._general, self._own):
                each.clear()
            self._ladders = {}
            self._version = version
        found, missing = shelf.find(keys)
        if missing:
            asked_at = self._version
            loaded = await load(missing)
            found.update(loaded)
            if asked_at == self._version:  # else it may be older than the cache is by now
                shelf.put(loaded)
        return found

    async def _load_general(self, product_ids: Sequence[str]) -> dict[str, tuple[Tier, ...]]:
        rows = await self._pool.fetch(
            """
            select product_id, kind, price_list, currency, unit, unit_price, minimum_quantity, valid_from, valid_to
            from replica_prices where system = $1 and product_id = any($2::text[]) and customer_id is null
            """,
            self._system,
            product_ids,
        )
        return {**dict.fromkeys(product_ids, ()), **_tiers_by((row[0], row[1:]) for row in rows)}

    async def _load_own(self, customer_ids: Sequence[str]) -> dict[str, OwnPrices]:
        rows = await self._pool.fetch(
            """
            select customer_id, product_id, kind, price_list, currency, unit, unit_price, minimum_quantity, valid_from, valid_to
            from replica_prices where system = $1 and customer_id = any($2::text[])
            """,
            self._system,
            customer_ids,
        )
        by_customer: dict[str, list[tuple[str, _TierRow]]] = {customer: [] for customer in customer_ids}
        for row in rows:
            by_customer[row[0]].append((row[1], row[2:]))
        return {customer: _tiers_by(found) for customer, found in by_customer.items()}


_TierRow = tuple[str, str | None, str, str, Decimal, Decimal, date | None, date | None]


def _tiers_by(rows: Iterable[tuple[str, _TierRow]]) -> dict[str, tuple[Tier, ...]]:
    found: dict[str, tuple[Tier, ...]] = {}
    for key, row in rows:
        kind, price_list, currency, unit = row[:4]
        tier = Tier(intern(kind), price_list, intern(currency), intern(unit), *row[4:])
        found[key] = (*found.get(key, ()), tier)
    return found
