"""What accepted orders have promised of stock and credit while the ERP does not know them yet, so that checks can count it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tallystick.checks.credit import exposure_of
from tallystick.checks.inventory import demand
from tallystick.documents.order import Order
from tallystick.settings import Policy
from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Promise:
    """What one order takes from one system of record's stock and its customer's credit (minor units)."""

    system: str
    customer_id: str
    amount: int
    stock: tuple[tuple[str, str, Decimal], ...]
    """(product, warehouse, quantity)."""


def promise_of(order: Order, system: str, policy: Policy) -> Promise:
    """The promise that accepting this order makes. Lines without a warehouse count on the policy's."""
    wanted = demand(order, None, policy)
    stock = tuple((product, warehouse, quantity) for (product, warehouse), quantity in wanted.items())
    return Promise(system, order.customer_id, exposure_of(order), stock)


async def promise(connection: Connection, promises: Sequence[Promise]) -> None:
    """Count promises, inside the transaction that accepts the orders."""
    await _move(connection, promises, 1)


async def release(connection: Connection, promises: Sequence[Promise]) -> None:
    """Take promises back: the order was cancelled or refused."""
    await _move(connection, promises, -1)


async def keep(connection: Connection, promises: Sequence[Promise]) -> None:
    """The ERP holds the order now: carry the promise over to the replica, until the ERP's next word replaces it."""
    if not promises:
        return
    await _move(connection, promises, -1)
    credit, stock = _totals(promises)
    await connection.execute(
        """
        update replica_credit r set open_orders = r.open_orders + k.amount
        from (select * from unnest($1::text[], $2::text[], $3::bigint[]) as k (system, customer_id, amount)
              order by system, customer_id) k
        where r.system = k.system and r.customer_id = k.customer_id
        """,
        [system for system, _ in credit],
        [customer for _, customer in credit],
        list(credit.values()),
    )
    await connection.execute(
        """
        update replica_stock r set available = r.available - k.quantity
        from (select * from unnest($1::text[], $2::text[], $3::text[], $4::numeric[])
                  as k (system, product_id, warehouse, quantity) order by system, product_id, warehouse) k
        where r.system = k.system and r.product_id = k.product_id and r.warehouse = k.warehouse
        """,
        [key[0] for key in stock],
        [key[1] for key in stock],
        [key[2] for key in stock],
        list(stock.values()),
    )


def _totals(
    promises: Sequence[Promise],
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str, str], Decimal]]:
    """Sums over a batch by key, keys sorted so that batches side by side lock rows in one order."""
    credit: dict[tuple[str, str], int] = defaultdict(int)
    stock: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for each in promises:
        credit[each.system, each.customer_id] += each.amount
        for product, warehouse, quantity in each.stock:
            stock[each.system, product, warehouse] += quantity
    return dict(sorted(credit.items())), dict(sorted(stock.items()))


async def _move(connection: Connection, promises: Sequence[Promise], sign: int) -> None:
    if not promises:
        return
    credit, stock = _totals(promises)
    await connection.execute(
        """
        insert into promised_credit (system, customer_id, amount)
        select * from unnest($1::text[], $2::text[], $3::bigint[])
        on conflict (system, customer_id) do update set amount = promised_credit.amount + excluded.amount
        """,
        [system for system, _ in credit],
        [customer for _, customer in credit],
        [sign * amount for amount in credit.values()],
    )
    await connection.execute(
        """
        insert into promised_stock (system, product_id, warehouse, quantity)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::numeric[])
        on conflict (system, product_id, warehouse) do update set quantity = promised_stock.quantity + excluded.quantity
        """,
        [key[0] for key in stock],
        [key[1] for key in stock],
        [key[2] for key in stock],
        [sign * quantity for quantity in stock.values()],
    )
