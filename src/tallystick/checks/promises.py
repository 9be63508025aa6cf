"""What accepted orders have promised of stock and credit while the ERP does not know them yet, so that checks can count it.

One row an order says what it was promised; the sums by product and by customer are what checks read. What is kept or released
is what that row says, and the row goes: doing it twice, or for an order that was never promised anything, changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from tallystick.checks.inventory import demand
from tallystick.documents.decision import CheckResult
from tallystick.documents.order import Order
from tallystick.settings import Policy
from tallystick.store.pool import Connection, encode_json

_KEYS = "unnest($1::text[], $2::text[], $3::text[], $4::text[]) as k (system, entity, channel, order_number)"


@dataclass(frozen=True, slots=True)
class Promise:
    """What one order takes from one system of record's stock and its customer's credit (minor units)."""

    system: str
    entity: str
    channel: str
    order_number: str
    customer_id: str
    amount: int
    stock: tuple[tuple[str, str, Decimal], ...]
    """(product, warehouse, quantity)."""
    asked_at: datetime | None = None
    """When the ERP was asked to take the order: what its replica has learnt since then includes it already."""
    within_credit: bool = False
    """The credit check found on the replica that it fits: it is not made if by now it doesn't."""
    within_stock: bool = False
    """The same of the inventory check."""


class PromiseRaceError(Exception):
    """Orders that fitted when they were checked do not fit any more: others, checked at the same moment, were promised first.
    The transaction is to be undone and the orders are to be checked again."""


def promise_of(
    order: Order,
    system: str,
    policy: Policy,
    results: Sequence[CheckResult] = (),
    *,
    asked_at: datetime | None = None,
) -> Promise:
    """The promise that accepting this order makes. `results` are its checks', which know its tax and its warehouse; without
    them the quoted tax and the policy's warehouse count. To keep or release a promise neither matters."""
    tax = next((each.tax_amount for each in results if each.tax_amount is not None), order.tax_amount)
    warehouse = next((each.warehouse for each in results if each.warehouse), policy.default_warehouse)
    wanted, net_amount = demand(order, warehouse), order.net_amount
    return Promise(
        system=system,
        entity=order.entity,
        channel=order.channel,
        order_number=order.order_number,
        customer_id=order.customer_id,
        amount=net_amount + (tax or 0),
        stock=tuple([(product, warehouse, quantity) for (product, warehouse), quantity in wanted.items()]),
        asked_at=asked_at,
        within_credit=_passed(results, "credit") and net_amount > 0,
        within_stock=_passed(results, "inventory") and policy.backorders != "allow",
    )


def promise_of_change(
    before: Order, after: Order, revision: int, system: str, policy: Policy, results: Sequence[CheckResult]
) -> Promise:
    """What a change takes on top of the order in force (with the tax it really has), until the ERP has it; what it gives back
    is free only with the ERP's word. It stands beside the order's own promise, which the ERP may not have taken over yet."""
    new, old = promise_of(after, system, policy, results), promise_of(before, system, policy, results)
    amount = max(0, new.amount - before.net_amount - (before.tax_amount or 0))
    already = {(product, warehouse): quantity for product, warehouse, quantity in old.stock}
    more = [
        (product, warehouse, quantity - already.get((product, warehouse), Decimal(0)))
        for product, warehouse, quantity in new.stock
    ]
    return replace(
        new,
        order_number=_number_of_change(after.order_number, revision),
        amount=amount,
        stock=tuple([each for each in more if each[2] > 0]),
        within_credit=new.within_credit and amount > 0,
    )


def promises_of_changes(
    order: Order, system: str, revisions: Sequence[int], *, asked_at: datetime | None = None
) -> tuple[Promise, ...]:
    """The promises that changes of an order were given, to keep or release: those name what the row itself remembers."""
    return tuple(
        Promise(
            system=system,
            entity=order.entity,
            channel=order.channel,
            order_number=_number_of_change(order.order_number, revision),
            customer_id=order.customer_id,
            amount=0,
            stock=(),
            asked_at=asked_at,
        )
        for revision in revisions
    )


def _number_of_change(order_number: str, revision: int) -> str:
    """The key of a change's own row. No channel's number can be the same: control characters are refused in them."""
    return f"{order_number}\x1f{revision}"


def _passed(results: Sequence[CheckResult], check: str) -> bool:
    """Whether this check let the order pass by the replica's figures, with nothing overridden."""
    return any(each.check == check and each.source == "replica" and not each.reasons for each in results)


async def promise(connection: Connection, promises: Sequence[Promise]) -> None:
    """Count promises, inside the transaction that accepts the orders. An order promised before is promised anew.

    Raises PromiseRaceError where orders promised since the checks leave too little credit or stock. Checks read without
    locks and promises lock the sums: so two orders that fit one by one but not together are never both accepted.
    """
    if not promises:
        return
    sums = _Sums()
    for row in await _take_rows(connection, promises):
        sums.add(row["system"], row["customer_id"], row["amount"], row["stock"], -1)
    await connection.execute(
        """
        insert into promises (system, entity, channel, order_number, customer_id, amount, stock)
        select t.system, t.entity, t.channel, t.order_number, t.customer_id, t.amount, t.stock::jsonb
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
            as t (system, entity, channel, order_number, customer_id, amount, stock)
        """,
        *_keys(promises),
        [each.customer_id for each in promises],
        [each.amount for each in promises],
        [encode_json(each.stock) for each in promises],
    )
    for each in promises:
        sums.add(each.system, each.customer_id, each.amount, each.stock, 1)
    await _move(connection, sums)
    await _refuse_overdrawn(connection, promises)


async def release(connection: Connection, promises: Sequence[Promise]) -> None:
    """Take promises back: the order was cancelled or refused."""
    sums = _Sums()
    for row in await _take_rows(connection, promises):
        sums.add(row["system"], row["customer_id"], row["amount"], row["stock"], -1)
    await _move(connection, sums)


async def keep(connection: Connection, promises: Sequence[Promise]) -> None:
    """The ERP holds the order now: carry the promise over to the replica, until the ERP's next word replaces it.

    A row of the replica that was refreshed after the ERP was asked is left alone: it counts the order, or will at the feed's
    next page; counting it twice would last until the customer's or the product's next change.
    """
    asked_at = {_key(each): each.asked_at for each in promises}
    promised, kept = _Sums(), _Sums()
    for row in await _take_rows(connection, promises):
        promised.add(row["system"], row["customer_id"], row["amount"], row["stock"], -1)
        asked = asked_at[row["system"], row["entity"], row["channel"], row["order_number"]]
        kept.add(row["system"], row["customer_id"], row["amount"], row["stock"], 1, asked)
    await _move(connection, promised)
    await _carry_over(connection, kept)


def _key(each: Promise) -> tuple[str, str, str, str]:
    return each.system, each.entity, each.channel, each.order_number


def _keys(promises: Sequence[Promise]) -> tuple[list[str], list[str], list[str], list[str]]:
    """The promises' keys as columns."""
    return (
        [each.system for each in promises],
        [each.entity for each in promises],
        [each.channel for each in promises],
        [each.order_number for each in promises],
    )


async def _take_rows(connection: Connection, promises: Sequence[Promise]) -> list[Any]:
    """Remove and return what these orders were promised."""
    if not promises:
        return []
    return await connection.fetch(
        f"""
        delete from promises p using {_KEYS}
        where p.system = k.system and p.entity = k.entity and p.channel = k.channel and p.order_number = k.order_number
        returning p.system, p.entity, p.channel, p.order_number, p.customer_id, p.amount, p.stock
        """,
        *_keys(promises),
    )


class _Sums:
    """Sums over a batch by key; read out in the keys' order, so that batches side by side lock rows in one order."""

    def __init__(self) -> None:
        self._credit: dict[tuple[str, str, datetime | None], int] = defaultdict(int)
        self._stock: dict[tuple[str, str, str, datetime | None], Decimal] = defaultdict(Decimal)

    def add(
        self, system: str, customer_id: str, amount: int, stock: Sequence[Any], sign: int, asked: datetime | None = None
    ) -> None:
        """Add one promise; quantities may be text, as JSON keeps them."""
        self._credit[system, customer_id, asked] += sign * amount
        for product, warehouse, quantity in stock:
            self._stock[system, product, warehouse, asked] += sign * Decimal(quantity)

    def credit(self) -> list[list[Any]]:
        """Columns: system, customer, when asked, amount."""
        return _columns([(*key, amount) for key, amount in sorted(self._credit.items(), key=_row_key)], 4)

    def stock(self) -> list[list[Any]]:
        """Columns: system, product, warehouse, when asked, quantity."""
        return _columns([(*key, quantity) for key, quantity in sorted(self._stock.items(), key=_row_key)], 5)


def _row_key(item: tuple[tuple[Any, ...], Any]) -> tuple[Any, ...]:
    return item[0][:-1]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


async def _move(connection: Connection, sums: _Sums) -> None:
    """Add sums to what is promised; each key occurs once."""
    systems, customers, _, amounts = sums.credit()
    if systems:
        await connection.execute(
            """
            insert into promised_credit (system, customer_id, amount) select * from unnest($1::text[], $2::text[], $3::bigint[])
            on conflict (system, customer_id) do update set amount = promised_credit.amount + excluded.amount
            """,
            systems,
            customers,
            amounts,
        )
    systems, products, warehouses, _, quantities = sums.stock()
    if systems:
        await connection.execute(
            """
            insert into promised_stock (system, product_id, warehouse, quantity)
            select * from unnest($1::text[], $2::text[], $3::text[], $4::numeric[])
            on conflict (system, product_id, warehouse) do update set quantity = promised_stock.quantity + excluded.quantity
            """,
            systems,
            products,
            warehouses,
            quantities,
        )


async def _carry_over(connection: Connection, sums: _Sums) -> None:
    """Add sums to the replica's rows that were not refreshed since the ERP was asked, locking them in the keys' order."""
    credit, stock = sums.credit(), sums.stock()
    if credit[0]:
        await connection.execute(
            """
            with kept as (
                select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[])
                    as k (system, customer_id, asked_at, amount)
            ), locked as (
                select r.system, r.customer_id, r.refreshed_at from replica_credit r
                where (r.system, r.customer_id) in (select system, customer_id from kept)
                order by r.system, r.customer_id for update
            ), added as (
                select l.system, l.customer_id, sum(k.amount) as amount from locked l join kept k using (system, customer_id)
                where k.asked_at is null or l.refreshed_at < k.asked_at group by 1, 2
            )
            update replica_credit r set open_orders = r.open_orders + added.amount
            from added where r.system = added.system and r.customer_id = added.customer_id
            """,
            *credit,
        )
    if stock[0]:
        await connection.execute(
            """
            with kept as (
                select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[])
                    as k (system, product_id, warehouse, asked_at, quantity)
            ), locked as (
                select r.system, r.product_id, r.warehouse, r.refreshed_at from replica_stock r
                where (r.system, r.product_id, r.warehouse) in (select system, product_id, warehouse from kept)
                order by r.system, r.product_id, r.warehouse for update
            ), added as (
                select l.system, l.product_id, l.warehouse, sum(k.quantity) as quantity
                from locked l join kept k using (system, product_id, warehouse)
                where k.asked_at is null or l.refreshed_at < k.asked_at group by 1, 2, 3
            )
            update replica_stock r set available = r.available - added.quantity
            from added
            where r.system = added.system and r.product_id = added.product_id and r.warehouse = added.warehouse
            """,
            *stock,
        )


async def _refuse_overdrawn(connection: Connection, promises: Sequence[Promise]) -> None:
    """A statement of its own after the sums are locked: it sees what the transactions that we waited for have written."""
    customers = {(each.system, each.customer_id) for each in promises if each.within_credit}
    stock = {(each.system, *key[:2]) for each in promises if each.within_stock for key in each.stock}
    if customers and await connection.fetchval(
        """
        select exists (
            select from unnest($1::text[], $2::text[]) as k (system, customer_id)
            join replica_credit r on r.system = k.system and r.customer_id = k.customer_id
            join promised_credit p on p.system = k.system and p.customer_id = k.customer_id
            where r.open_orders + r.open_invoices + p.amount > r.limit_amount)
        """,
        *_columns(list(customers), 2),
    ):
        raise PromiseRaceError
    if stock and await connection.fetchval(
        """
        select exists (
            select from unnest($1::text[], $2::text[], $3::text[]) as k (system, product_id, warehouse)
            join replica_stock r on r.system = k.system and r.product_id = k.product_id and r.warehouse = k.warehouse
            join promised_stock p on p.system = k.system and p.product_id = k.product_id and p.warehouse = k.warehouse
            where p.quantity > r.available)
        """,
        *_columns(list(stock), 3),
    ):
        raise PromiseRaceError
