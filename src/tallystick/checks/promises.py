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
from tallystick.store.pool import Connection, json_text

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
    new = await _count(connection, promises)
    before = [each for each in promises if _key(each) not in new]
    if before:
        await release(connection, before)
        await _count(connection, before)
    await _refuse_overdrawn(connection, promises)


async def _count(connection: Connection, promises: Sequence[Promise]) -> set[tuple[str, ...]]:
    """Write the rows of orders that have none, and add them to the sums; returns the keys of those that were new.

    The sums are locked as `_move` does: credit first, and each by its key in the order of code points, as Python sorts.
    """
    rows = await connection.fetch(
        """
        with new as (
            insert into promises (system, entity, channel, order_number, customer_id, amount, stock)
            select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::jsonb[])
            on conflict do nothing
            returning system, entity, channel, order_number, customer_id, amount, stock
        ), credit as (
            insert into promised_credit (system, customer_id, amount)
            select system, customer_id, sum(amount) from new
            group by system, customer_id order by system collate "C", customer_id collate "C"
            on conflict (system, customer_id) do update set amount = promised_credit.amount + excluded.amount
            returning 1
        ), stock as (
            insert into promised_stock (system, product_id, warehouse, quantity)
            select new.system, asked ->> 0, asked ->> 1, sum((asked ->> 2)::numeric)
            from new, jsonb_array_elements(new.stock) as asked
            where (select count(*) from credit) >= 0
            group by 1, 2, 3 order by new.system collate "C", (asked ->> 0) collate "C", (asked ->> 1) collate "C"
            on conflict (system, product_id, warehouse) do update set quantity = promised_stock.quantity + excluded.quantity
        )
        select system, entity, channel, order_number from new
        """,
        *_keys(promises),
        [each.customer_id for each in promises],
        [each.amount for each in promises],
        [json_text(each.stock) for each in promises],
    )
    return {tuple(row) for row in rows}


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
    if await connection.fetchval(
        """
        select exists (
            select from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bool[])
                as k (system, entity, channel, order_number, within_credit, within_stock)
            join promises p using (system, entity, channel, order_number)
            where k.within_credit and exists (
                    select from replica_credit r
                    where r.system = p.system and r.customer_id = p.customer_id
                        and r.limit_amount < r.open_orders + r.open_invoices + (
                            select sum.amount from promised_credit sum
                            where sum.system = r.system and sum.customer_id = r.customer_id))
                or k.within_stock and exists (
                    select from jsonb_array_elements(p.stock) as asked
                    where (select r.available from replica_stock r
                           where r.system = p.system and r.product_id = asked ->> 0 and r.warehouse = asked ->> 1)
                        < (select sum.quantity from promised_stock sum
                           where sum.system = p.system and sum.product_id = asked ->> 0 and sum.warehouse = asked ->> 1)))
        """,
        *_keys(promises),
        [each.within_credit for each in promises],
        [each.within_stock for each in promises],
    ):
        raise PromiseRaceError
