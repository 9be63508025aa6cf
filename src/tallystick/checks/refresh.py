"""Keeps the replicas fresh: pages of a system's change feed are applied as a whole, with the cursor, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.store.pool import Connection, Pool
from tallystick.systems.ports import Change, Erp


async def refresh_replicas(pool: Pool, system: str, erp: Erp) -> tuple[int, list[tuple[str, bool]]]:
    """Read the feed to its end and apply it; returns how many changes, and customers whose credit hold was (placed, released).

    One process at a time refreshes a system; another returns at once with nothing. Raises the system's Failure.
    """
    applied, holds = 0, []
    async with pool.acquire() as connection:
        if not await connection.fetchval("select pg_try_advisory_lock(hashtextextended($1, 0))", f"replica:{system}"):
            return 0, []
        try:
            cursor = await connection.fetchval("select cursor from replica_feeds where system = $1", system)
            more = True
            while more:
                page = await erp.read_changes(cursor)
                async with connection.transaction():
                    holds += await apply_changes(connection, system, page.changes)
                    await _move_cursor(connection, system, page.cursor, complete=not page.more)
                applied += len(page.changes)
                cursor, more = page.cursor, page.more
        finally:
            await connection.execute("select pg_advisory_unlock(hashtextextended($1, 0))", f"replica:{system}")
    return applied, holds


async def _move_cursor(connection: Connection, system: str, cursor: str, *, complete: bool) -> None:
    await connection.execute(
        """
        insert into replica_feeds (system, cursor, complete) values ($1, $2, $3)
        on conflict (system) do update set cursor = $2, complete = replica_feeds.complete or $3,
            refreshed_at = case when $3 then now() else replica_feeds.refreshed_at end
        """,
        system,
        cursor,
        complete,
    )


async def apply_changes(connection: Connection, system: str, changes: Sequence[Change]) -> list[tuple[str, bool]]:
    """Apply one page, the last change of a key winning; returns the credit holds that changed as (customer, on hold)."""
    latest = {(change.kind, change.key): change for change in changes}
    by_kind: dict[str, list[Change]] = {}
    for change in latest.values():
        by_kind.setdefault(change.kind, []).append(change)
    for kind, table in (("customer", "replica_customers"), ("product", "replica_products")):
        await _replace_bodies(connection, table, system, by_kind.get(kind, ()))
    await _replace_prices(connection, system, by_kind.get("price", ()))
    await _replace_stock(connection, system, [each.value for each in by_kind.get("stock", ())])
    return await _replace_credit(connection, system, [each.value for each in by_kind.get("credit", ())])


async def _replace_bodies(connection: Connection, table: str, system: str, changes: Sequence[Change]) -> None:
    kept = [each for each in changes if isinstance(each.value, Customer | Product)]
    await connection.execute(
        f"""
        insert into {table} (system, id, body) select $1, * from unnest($2::text[], $3::jsonb[])
        on conflict (system, id) do update set body = excluded.body, refreshed_at = now()
        """,
        system,
        [each.key for each in kept],
        [each.value.model_dump(mode="json") for each in kept if each.value],
    )
    removed = [each.key for each in changes if each.value is None]
    await connection.execute(f"delete from {table} where system = $1 and id = any($2::text[])", system, removed)


async def _replace_prices(connection: Connection, system: str, changes: Sequence[Change]) -> None:
    kept = [(each.key, each.value) for each in changes if isinstance(each.value, Price)]
    await connection.execute("delete from replica_prices where system = $1 and key = any($2::text[])",
                             system, [each.key for each in changes])  # fmt: skip
    await connection.execute(
        """
        insert into replica_prices (system, product_id, key, customer_id, price_list, body)
        select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
        """,
        system,
        [price.product_id for _, price in kept],
        [key for key, _ in kept],
        [price.customer_id for _, price in kept],
        [price.price_list for _, price in kept],
        [price.model_dump(mode="json") for _, price in kept],
    )


async def _replace_stock(connection: Connection, system: str, values: Sequence[Any]) -> None:
    levels = [each for each in values if isinstance(each, StockLevel)]
    await connection.execute(
        """
        insert into replica_stock (system, product_id, warehouse, available)
        select $1, * from unnest($2::text[], $3::text[], $4::numeric[])
        on conflict (system, product_id, warehouse) do update set available = excluded.available, refreshed_at = now()
        """,
        system,
        [each.product_id for each in levels],
        [each.warehouse for each in levels],
        [each.available for each in levels],
    )


async def _replace_credit(connection: Connection, system: str, values: Sequence[Any]) -> list[tuple[str, bool]]:
    positions = [each for each in values if isinstance(each, CreditPosition)]
    rows = await connection.fetch(
        """
        with told as (
            select * from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[])
                as t (customer_id, currency, limit_amount, open_orders, open_invoices, on_hold)
        ), before as (
            select r.customer_id, r.on_hold from replica_credit r join told using (customer_id) where r.system = $1
        ), written as (
            insert into replica_credit (system, customer_id, currency, limit_amount, open_orders, open_invoices, on_hold)
            select $1, * from told
            on conflict (system, customer_id) do update set currency = excluded.currency, limit_amount = excluded.limit_amount,
                open_orders = excluded.open_orders, open_invoices = excluded.open_invoices, on_hold = excluded.on_hold,
                refreshed_at = now()
        )
        select customer_id, told.on_hold from told join before using (customer_id) where told.on_hold <> before.on_hold
        """,
        system,
        [each.customer_id for each in positions],
        [each.currency for each in positions],
        [each.limit for each in positions],
        [each.open_orders for each in positions],
        [each.open_invoices for each in positions],
        [each.on_hold for each in positions],
    )
    return [(row["customer_id"], row["on_hold"]) for row in rows]
