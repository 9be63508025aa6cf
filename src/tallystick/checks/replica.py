"""Our copy of the systems of record in PostgreSQL: what it says of a batch's keys, and how answers are written into it.

Who writes locks the system's row in `replica_feeds` first and credit before stock, so that no two writers wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Product, StockLevel
from tallystick.store.pool import Connection, Pool

StockKey = tuple[str, str]
"""(product, warehouse)."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """How old the feed's last word is in seconds (None: never read to its end), and the count of changes to masters."""

    age_seconds: float | None
    masters: int


async def read_feed(pool: Pool, system: str) -> FeedState:
    """Where a system's feed stands."""
    row = await pool.fetchrow(
        """
        select case when complete then extract(epoch from now() - refreshed_at)::float8 end, masters
        from replica_feeds where system = $1
        """,
        system,
    )
    return FeedState(row[0], row[1]) if row else FeedState(None, 0)


async def read_customers(
    pool: Pool, system: str, ids: Sequence[str], maximum_age: float | None
) -> dict[str, tuple[Customer, float]]:
    """Customers by id with their rows' age in seconds, those no older than `maximum_age` (None: all)."""
    rows = await pool.fetch(
        """
        select id, body, extract(epoch from now() - refreshed_at)::float8 from replica_customers
        where system = $1 and id = any($2::text[])
            and ($3::float8 is null or refreshed_at >= now() - make_interval(secs => $3))
        """,
        system,
        ids,
        maximum_age,
    )
    return {row[0]: (Customer.model_validate(row[1]), row[2]) for row in rows}


async def read_products(
    pool: Pool, system: str, ids: Sequence[str], maximum_age: float | None
) -> dict[str, tuple[str, bool, float]]:
    """Each product's unit, whether it is active, and its row's age, those no older than `maximum_age` (None: all)."""
    rows = await pool.fetch(
        """
        select id, body ->> 'unit', (body ->> 'active')::boolean, extract(epoch from now() - refreshed_at)::float8
        from replica_products
        where system = $1 and id = any($2::text[])
            and ($3::float8 is null or refreshed_at >= now() - make_interval(secs => $3))
        """,
        system,
        ids,
        maximum_age,
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def read_stock(
    pool: Pool, system: str, product_ids: Sequence[str], maximum_age: float | None
) -> list[tuple[str, str, Decimal, float]]:
    """(product, warehouse, available less promised, age of the row), of rows no older than `maximum_age` (None: all)."""
    rows = await pool.fetch(
        """
        select s.product_id, s.warehouse, s.available - coalesce((
                select p.quantity from promised_stock p
                where p.system = s.system and p.product_id = s.product_id and p.warehouse = s.warehouse), 0),
            extract(epoch from now() - s.refreshed_at)::float8
        from replica_stock s
        where s.system = $1 and s.product_id = any($2::text[])
            and ($3::float8 is null or s.refreshed_at >= now() - make_interval(secs => $3))
        """,
        system,
        product_ids,
        maximum_age,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def read_promised_stock(pool: Pool, system: str, product_ids: Sequence[str]) -> dict[StockKey, Decimal]:
    """What accepted orders have been promised that the ERP does not know yet."""
    rows = await pool.fetch(
        "select product_id, warehouse, quantity from promised_stock where system = $1 and product_id = any($2::text[])",
        system,
        product_ids,
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def read_credit(
    pool: Pool, system: str, customer_ids: Sequence[str], maximum_age: float | None
) -> dict[str, tuple[CreditPosition, int, float]]:
    """Each customer's position, what is promised on top in minor units, and the row's age in seconds."""
    rows = await pool.fetch(
        """
        select c.customer_id, c.currency, c.limit_amount, c.open_orders, c.open_invoices, c.on_hold, coalesce((
                select p.amount from promised_credit p where p.system = c.system and p.customer_id = c.customer_id), 0),
            extract(epoch from now() - c.refreshed_at)::float8
        from replica_credit c
        where c.system = $1 and c.customer_id = any($2::text[])
            and ($3::float8 is null or c.refreshed_at >= now() - make_interval(secs => $3))
        """,
        system,
        customer_ids,
        maximum_age,
    )
    return {
        row[0]: (
            CreditPosition.model_construct(
                customer_id=row[0],
                currency=row[1],
                limit=row[2],
                open_orders=row[3],
                open_invoices=row[4],
                on_hold=row[5],
            ),
            row[6],
            row[7],
        )
        for row in rows
    }


async def read_promised_credit(pool: Pool, system: str, customer_ids: Sequence[str]) -> dict[str, int]:
    """What accepted orders add to customers' debts that the ERP does not know yet, in minor units."""
    rows = await pool.fetch(
        "select customer_id, amount from promised_credit where system = $1 and customer_id = any($2::text[])",
        system,
        customer_ids,
    )
    return {row[0]: row[1] for row in rows}


async def lock_replica(connection: Connection, system: str) -> None:
    """Make sure that nobody else writes this system's replica until the transaction ends."""
    await connection.execute("insert into replica_feeds (system) values ($1) on conflict do nothing", system)
    await connection.execute("select 1 from replica_feeds where system = $1 for update", system)


async def write_customers(connection: Connection, system: str, customers: Mapping[str, Customer]) -> None:
    """Insert or replace customers; counts as a change of masters only where one differs."""
    await _write_bodies(connection, "replica_customers", system, customers)


async def write_products(connection: Connection, system: str, products: Mapping[str, Product]) -> None:
    """Insert or replace products; counts as a change of masters only where one differs."""
    await _write_bodies(connection, "replica_products", system, products)


async def _write_bodies(
    connection: Connection, table: str, system: str, documents: Mapping[str, Customer] | Mapping[str, Product]
) -> None:
    if not documents:
        return
    await connection.execute(
        f"""
        with told as (select * from unnest($2::text[], $3::jsonb[]) as t (id, body)),
        changed as (
            select 1 from told left join {table} r on r.system = $1 and r.id = told.id
            where r.body is distinct from told.body limit 1
        ), written as (
            insert into {table} (system, id, body) select $1, id, body from told
            on conflict (system, id) do update set body = excluded.body, refreshed_at = now()
        )
        update replica_feeds set masters = masters + 1 where system = $1 and exists (select from changed)
        """,
        system,
        list(documents),
        [each.model_dump(mode="json") for each in documents.values()],
    )


async def write_stock(
    connection: Connection, system: str, levels: Sequence[StockLevel], keys: Sequence[str | None] | None = None
) -> None:
    """Insert or replace stock levels; `keys` are the feed's own, by which it may say later that one is gone."""
    if not levels:
        return
    told = sorted(
        zip(levels, keys or [None] * len(levels), strict=True), key=lambda each: (each[0].product_id, each[0].warehouse)
    )
    await connection.execute(
        """
        insert into replica_stock (system, product_id, warehouse, available, key)
        select $1, * from unnest($2::text[], $3::text[], $4::numeric[], $5::text[])
        on conflict (system, product_id, warehouse) do update
            set available = excluded.available, key = coalesce(excluded.key, replica_stock.key), refreshed_at = now()
        """,
        system,
        [level.product_id for level, _ in told],
        [level.warehouse for level, _ in told],
        [level.available for level, _ in told],
        [key for _, key in told],
    )


async def write_credit(connection: Connection, system: str, positions: Sequence[CreditPosition]) -> None:
    """Insert or replace credit positions. Whom the channels were told to be on hold is left as it was."""
    if not positions:
        return
    told = sorted(positions, key=lambda each: each.customer_id)
    await connection.execute(
        """
        insert into replica_credit (system, customer_id, currency, limit_amount, open_orders, open_invoices, on_hold,
                                    announced_hold)
        select $1, t.*, t.on_hold
        from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[])
            as t (customer_id, currency, limit_amount, open_orders, open_invoices, on_hold)
        on conflict (system, customer_id) do update set currency = excluded.currency, limit_amount = excluded.limit_amount,
            open_orders = excluded.open_orders, open_invoices = excluded.open_invoices, on_hold = excluded.on_hold,
            refreshed_at = now()
        """,
        system,
        [each.customer_id for each in told],
        [each.currency for each in told],
        [each.limit for each in told],
        [each.open_orders for each in told],
        [each.open_invoices for each in told],
        [each.on_hold for each in told],
    )
