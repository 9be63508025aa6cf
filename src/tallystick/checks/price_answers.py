"""What an ERP without a (fresh) feed answered when it was asked for one customer's prices of one product, kept for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from tallystick.checks.price_ladder import Tier
from tallystick.store.pool import Connection, Pool, encode_json

Pair = tuple[str, str]
"""(customer, product)."""


async def read_price_answers(
    pool: Pool, system: str, pairs: Sequence[Pair], maximum_age: float
) -> dict[Pair, tuple[Sequence[Tier], float]]:
    """Answers no older than `maximum_age` seconds, with their age. That there was no price is an answer, too."""
    rows = await pool.fetch(
        """
        select a.customer_id, a.product_id, a.prices, extract(epoch from now() - a.refreshed_at)::float8
        from unnest($2::text[], $3::text[]) as wanted (customer_id, product_id)
        join replica_price_answers a on a.system = $1
            and a.customer_id = wanted.customer_id and a.product_id = wanted.product_id
        where a.refreshed_at >= now() - make_interval(secs => $4)
        """,
        system,
        [customer for customer, _ in pairs],
        [product for _, product in pairs],
        maximum_age,
    )
    return {(row[0], row[1]): ([_tier(each) for each in row[2]], row[3]) for row in rows}


async def write_price_answers(connection: Connection, system: str, answers: Mapping[Pair, Sequence[Tier]]) -> None:
    """Keep answers; call it in a transaction that holds `lock_replica`."""
    await connection.execute(
        """
        insert into replica_price_answers (system, customer_id, product_id, prices)
        select $1, t.customer_id, t.product_id, t.prices::jsonb
        from unnest($2::text[], $3::text[], $4::text[]) as t (customer_id, product_id, prices)
        on conflict (system, customer_id, product_id) do update set prices = excluded.prices, refreshed_at = now()
        """,
        system,
        [customer for customer, _ in answers],
        [product for _, product in answers],
        [encode_json([each._asdict() for each in tiers]) for tiers in answers.values()],
    )


def _tier(data: Mapping[str, Any]) -> Tier:
    return Tier(
        kind=data["kind"],
        price_list=data["price_list"],
        currency=data["currency"],
        unit=data["unit"],
        unit_price=Decimal(data["unit_price"]),
        minimum_quantity=Decimal(data["minimum_quantity"]),
        valid_from=date.fromisoformat(data["valid_from"]) if data["valid_from"] else None,
        valid_to=date.fromisoformat(data["valid_to"]) if data["valid_to"] else None,
    )
