"""Keeps the replicas fresh: pages of a system's change feed are applied as a whole, with the cursor, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tallystick.checks.replica import lock_replica, write_credit, write_customers, write_products, write_stock
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.store.pool import Connection, Pool
from tallystick.systems.failure import Transient
from tallystick.systems.ports import Change, Changes, Erp

Hold = tuple[str, bool]
"""A customer, and whether the ERP placed (True) or released (False) the credit hold."""
Announce = Callable[[Connection, Sequence[Hold]], Awaitable[None]]


async def refresh_replicas(
    pool: Pool, system: str, erp: Erp, announce: Announce | None = None
) -> tuple[int, list[Hold]]:
    """Read the feed to its end and apply it; returns how many changes, and the credit holds placed or released.

    `announce` is called in the very transaction that applies a page with such holds, so that none is told twice or never.
    One process at a time refreshes a system; another returns at once with nothing. Raises the system's Failure.
    """
    applied, holds = 0, list[Hold]()
    async with pool.acquire() as connection:
        row = await connection.fetchrow(
            """
            select pg_try_advisory_lock(hashtextextended($1, 0)), (select cursor from replica_feeds where system = $2)
            """,
            f"replica:{system}",
            system,
        )
        if row is None or not row[0]:
            return 0, []
        cursor: str | None = row[1]
        try:
            while True:
                page = await erp.read_changes(cursor)
                if page.more and page.cursor == cursor:
                    raise Transient(f"its change feed says there is more, but stays at {cursor!r}", system=system)
                holds += await _apply_page(connection, system, page, announce)
                applied += len(page.changes)
                cursor = page.cursor
                if not page.more:
                    return applied, holds
        finally:
            await _unlock(connection, system)


async def _unlock(connection: Connection, system: str) -> None:
    """Let others refresh the system. Where that can't be said, the connection goes, and the lock with it."""
    try:
        await connection.execute("select pg_advisory_unlock(hashtextextended($1, 0))", f"replica:{system}")
    except BaseException:
        connection.terminate()
        raise


async def _apply_page(connection: Connection, system: str, page: Changes, announce: Announce | None) -> list[Hold]:
    if not page.changes:
        await _move_cursor(connection, system, page)
        return []
    async with connection.transaction():
        await lock_replica(connection, system)
        holds = await apply_changes(connection, system, page.changes)
        await _move_cursor(connection, system, page)
        if holds and announce is not None:
            await announce(connection, holds)
    return holds


async def _move_cursor(connection: Connection, system: str, page: Changes) -> None:
    await connection.execute(
        """
        insert into replica_feeds (system, cursor, complete) values ($1, $2, $3)
        on conflict (system) do update set cursor = $2, complete = replica_feeds.complete or $3,
            refreshed_at = case when $3 then now() else replica_feeds.refreshed_at end
        """,
        system,
        page.cursor,
        not page.more,
    )


async def apply_changes(connection: Connection, system: str, changes: Sequence[Change]) -> list[Hold]:
    """Apply one page, the last change of a key winning; returns the credit holds that changed. Call it in a transaction
    that holds `lock_replica`."""
    by_kind: dict[str, dict[str, Change]] = {}
    for change in changes:
        by_kind.setdefault(change.kind, {})[change.key] = change
    customers, products = by_kind.get("customer", {}), by_kind.get("product", {})
    await write_customers(
        connection, system, {k: each.value for k, each in customers.items() if isinstance(each.value, Customer)}
    )
    await write_products(
        connection, system, {k: each.value for k, each in products.items() if isinstance(each.value, Product)}
    )
    await _remove_masters(connection, "replica_customers", "id", system, _removed(customers))
    await _remove_masters(connection, "replica_products", "id", system, _removed(products))
    await _replace_prices(connection, system, by_kind.get("price", {}))
    credit = by_kind.get("credit", {})
    await write_credit(connection, system, [e.value for e in credit.values() if isinstance(e.value, CreditPosition)])
    await _remove(connection, "replica_credit", "customer_id", system, _removed(credit))
    stock = by_kind.get("stock", {})
    levels = {key: each.value for key, each in stock.items() if isinstance(each.value, StockLevel)}
    await write_stock(connection, system, list(levels.values()), list(levels))
    await _remove(connection, "replica_stock", "key", system, _removed(stock))
    return await _changed_holds(connection, system, list(credit))


async def apply_holds(connection: Connection, system: str, holds: Sequence[Hold]) -> list[Hold]:
    """What the ERP said of credit holds outside of its feed, the last word on a customer winning; returns those that the
    channels have not been told of. Call it in a transaction."""
    await lock_replica(connection, system)
    said = dict(holds)
    await connection.execute(
        """
        with said as (select * from unnest($2::text[], $3::bool[]) as s (id, on_hold)),
        changed as (
            update replica_customers r set body = jsonb_set(r.body, '{credit_hold}', to_jsonb(s.on_hold)) from said s
            where r.system = $1 and r.id = s.id and (r.body -> 'credit_hold') is distinct from to_jsonb(s.on_hold)
            returning 1)
        update replica_feeds set masters = masters + 1 where system = $1 and exists (select from changed)
        """,
        system,
        list(said),
        list(said.values()),
    )
    known = await connection.fetch(
        """
        with said as (select * from unnest($2::text[], $3::bool[]) as s (id, on_hold)),
        before as (
            select customer_id, announced_hold from replica_credit
            where system = $1 and customer_id in (select id from said) for update)
        update replica_credit r set on_hold = s.on_hold, announced_hold = s.on_hold
        from said s, before b where r.system = $1 and r.customer_id = s.id and b.customer_id = s.id
        returning r.customer_id, b.announced_hold
        """,
        system,
        list(said),
        list(said.values()),
    )
    told = {row["customer_id"]: row["announced_hold"] for row in known}
    return sorted((customer, on_hold) for customer, on_hold in said.items() if told.get(customer) is not on_hold)


def _removed(changes: Mapping[str, Change]) -> list[str]:
    return [key for key, change in changes.items() if change.value is None]


async def _remove(connection: Connection, table: str, column: str, system: str, keys: Sequence[str]) -> None:
    if keys:
        await connection.execute(f"delete from {table} where system = $1 and {column} = any($2::text[])", system, keys)


async def _remove_masters(connection: Connection, table: str, column: str, system: str, keys: Sequence[str]) -> None:
    if keys:
        await _remove(connection, table, column, system, keys)
        await _count_change(connection, system)


async def _count_change(connection: Connection, system: str) -> None:
    await connection.execute("update replica_feeds set masters = masters + 1 where system = $1", system)


async def _replace_prices(connection: Connection, system: str, changes: Mapping[str, Change]) -> None:
    if not changes:
        return
    await _remove(connection, "replica_prices", "key", system, list(changes))
    kept = {key: each.value for key, each in changes.items() if isinstance(each.value, Price)}
    prices = list(kept.values())
    await connection.execute(
        """
        insert into replica_prices (system, key, product_id, customer_id, kind, price_list, currency, unit, unit_price,
                                    minimum_quantity, valid_from, valid_to)
        select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                                 $9::numeric[], $10::numeric[], $11::date[], $12::date[])
        """,
        system,
        list(kept),
        [price.product_id for price in prices],
        [price.customer_id for price in prices],
        [price.kind.value for price in prices],
        [price.price_list for price in prices],
        [price.currency for price in prices],
        [price.unit for price in prices],
        [price.unit_price for price in prices],
        [price.minimum_quantity for price in prices],
        [price.valid_from for price in prices],
        [price.valid_to for price in prices],
    )
    await _count_change(connection, system)


async def _changed_holds(connection: Connection, system: str, customer_ids: Sequence[str]) -> list[Hold]:
    """Holds that the channels have not been told of; from now on they count as told."""
    if not customer_ids:
        return []
    rows = await connection.fetch(
        """
        update replica_credit set announced_hold = on_hold
        where system = $1 and customer_id = any($2::text[]) and announced_hold <> on_hold
        returning customer_id, on_hold
        """,
        system,
        customer_ids,
    )
    return sorted((row["customer_id"], row["on_hold"]) for row in rows)
