"""Where checks get their facts: the ERP's replica in our store while it is fresh enough, else the ERP itself, by policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product
from tallystick.settings import FactsPolicy
from tallystick.store.pool import Pool
from tallystick.systems.failure import Failure, Unavailable
from tallystick.systems.ports import Erp, PriceQuery

Values = TypeVar("Values")
StockKey = tuple[str, str]
"""(product, warehouse)."""


@dataclass(frozen=True, slots=True)
class Facts(Generic[Values]):
    """Facts with where they came from (`live` or `replica`) and how old they are."""

    values: Values
    source: str
    age_seconds: float | None = None


class FactSource:
    """One entity's facts for a batch of orders; each kind is one query on the replica or one call to the ERP."""

    def __init__(self, pool: Pool, system: str, erp: Erp | None) -> None:
        self._pool = pool
        self._system = system
        self._erp = erp

    async def _replica_age(self) -> float | None:
        """Seconds since the feed last said that the replica is whole; None while it is not."""
        age: float | None = await self._pool.fetchval(
            "select extract(epoch from now() - refreshed_at)::float8 from replica_feeds where system = $1 and complete",
            self._system,
        )
        return age

    async def _choose(
        self, policy: FactsPolicy, live: Callable[[Erp], Awaitable[Values]], replica: Callable[[], Awaitable[Values]]
    ) -> Facts[Values]:
        """The replica if policy says so and it is fresh enough; else the system. Raises the system's Failure."""
        age = await self._replica_age() if policy.source == "replica" else None
        if age is not None and age <= policy.maximum_age_seconds:
            return Facts(await replica(), "replica", age)
        if self._erp is None:
            raise Unavailable(
                "no connection to the system of record, and its replica is missing or too old", system=self._system
            )
        return Facts(await live(self._erp), "live", 0.0)

    async def customers(self, policy: FactsPolicy, ids: Sequence[str]) -> Facts[Mapping[str, Customer]]:
        """Customers by id; unknown ones are absent."""

        async def replica() -> Mapping[str, Customer]:
            rows = await self._pool.fetch(
                "select id, body from replica_customers where system = $1 and id = any($2::text[])", self._system, ids
            )
            return {row["id"]: Customer.model_validate(row["body"]) for row in rows}

        return await self._choose(policy, lambda erp: erp.read_customers(ids), replica)

    async def products(self, policy: FactsPolicy, ids: Sequence[str]) -> Facts[Mapping[str, Product]]:
        """Products by id; unknown ones are absent."""

        async def replica() -> Mapping[str, Product]:
            rows = await self._pool.fetch(
                "select id, body from replica_products where system = $1 and id = any($2::text[])", self._system, ids
            )
            return {row["id"]: Product.model_validate(row["body"]) for row in rows}

        return await self._choose(policy, lambda erp: erp.read_products(ids), replica)

    async def prices(
        self, policy: FactsPolicy, wanted: Mapping[str, Sequence[str]], on: date
    ) -> Facts[Mapping[tuple[str, str], Sequence[Price]]]:
        """All prices that may apply, by (customer, product), for each customer's products."""

        async def replica() -> Mapping[tuple[str, str], Sequence[Price]]:
            rows = await self._pool.fetch(
                """
                select product_id, customer_id, body from replica_prices
                where system = $1 and product_id = any($2::text[]) and (customer_id is null or customer_id = any($3::text[]))
                """,
                self._system,
                list({product for products in wanted.values() for product in products}),
                list(wanted),
            )
            found: dict[tuple[str | None, str], list[Price]] = {}
            for row in rows:
                found.setdefault((row["customer_id"], row["product_id"]), []).append(Price.model_validate(row["body"]))
            return {
                (customer, product): [*found.get((customer, product), ()), *found.get((None, product), ())]
                for customer, products in wanted.items()
                for product in products
            }

        async def live(erp: Erp) -> Mapping[tuple[str, str], Sequence[Price]]:
            queries = [PriceQuery(customer, tuple(products), on) for customer, products in wanted.items()]
            answers = await erp.read_prices(queries)
            found: dict[tuple[str, str], list[Price]] = {}
            for query, prices in zip(queries, answers, strict=True):
                for price in prices:
                    found.setdefault((query.customer_id, price.product_id), []).append(price)
            return found

        return await self._choose(policy, live, replica)

    async def stock(self, policy: FactsPolicy, product_ids: Sequence[str]) -> Facts[Mapping[StockKey, Decimal]]:
        """Available by (product, warehouse), less what accepted orders have promised that the ERP does not know yet."""

        async def replica() -> Mapping[StockKey, Decimal]:
            rows = await self._pool.fetch(
                "select product_id, warehouse, available from replica_stock where system = $1 and product_id = any($2::text[])",
                self._system,
                product_ids,
            )
            return {(row["product_id"], row["warehouse"]): row["available"] for row in rows}

        async def live(erp: Erp) -> Mapping[StockKey, Decimal]:
            return {(level.product_id, level.warehouse): level.available for level in await erp.read_stock(product_ids)}

        facts, promised = await asyncio.gather(
            self._choose(policy, live, replica),
            self._pool.fetch(
                "select product_id, warehouse, quantity from promised_stock where system = $1 and product_id = any($2::text[])",
                self._system,
                product_ids,
            ),
        )
        available = dict(facts.values)
        for row in promised:
            key = (row["product_id"], row["warehouse"])
            available[key] = available.get(key, Decimal(0)) - row["quantity"]
        return Facts(available, facts.source, facts.age_seconds)

    async def credit(
        self, policy: FactsPolicy, customer_ids: Sequence[str]
    ) -> Facts[Mapping[str, tuple[CreditPosition, int]]]:
        """Each customer's position, with what accepted orders have promised on top, in minor units."""

        async def replica() -> Mapping[str, CreditPosition]:
            rows = await self._pool.fetch(
                """
                select customer_id, currency, limit_amount as limit, open_orders, open_invoices, on_hold
                from replica_credit where system = $1 and customer_id = any($2::text[])
                """,
                self._system,
                customer_ids,
            )
            return {row["customer_id"]: CreditPosition.model_construct(**row) for row in rows}

        facts, promised = await asyncio.gather(
            self._choose(policy, lambda erp: erp.read_credit(customer_ids), replica),
            self._pool.fetch(
                "select customer_id, amount from promised_credit where system = $1 and customer_id = any($2::text[])",
                self._system,
                customer_ids,
            ),
        )
        amounts = {row["customer_id"]: row["amount"] for row in promised}
        values = {customer: (position, amounts.get(customer, 0)) for customer, position in facts.values.items()}
        return Facts(values, facts.source, facts.age_seconds)


def unavailable_message(failure: Failure, what: str) -> str:
    """One sentence on why there are no facts."""
    return f"{what} could not be had: {failure.message}; the order waits until {failure.system} answers or a person overrides"
