"""Faults that come in at the front door, and a message that nobody can work off."""

from __future__ import annotations

import asyncio
from random import Random

from faults.kinds.fault import Fault, NotStruck
from faults.world import World

from tallystick.store.identifiers import new_id


async def send_thrice(world: World, chance: Random, _: str) -> str:
    """One order three times at the same moment, at both APIs: it is one order, and all three are told so."""
    sale = world.channels.take()
    await asyncio.gather(*(world.channels.submit(sale) for _ in range(3)))
    return sale.order.order_number


async def poison(world: World, _chance: Random, _: str) -> str:
    """A message on which our own stage fails each time: it ends as a dead letter with an exception, and nobody waits for it."""
    message = new_id()
    async with world.database.connected() as connection:
        lane = await connection.fetchval(
            "select id from transactions where commitment = 'committed' order by created_at desc limit 1"
        )
        if lane is None:
            raise NotStruck("nothing is committed yet")
        await connection.execute(
            """
            insert into messages (id, entity, stage, system, kind, lane, transaction_id, payload)
            values ($1, 'default', 'invoicing', 'erp', 'invoice_shipment', $2, $2, '{}')
            """,
            message,
            lane,
        )
        await connection.execute("select pg_notify('tallystick_offers', 'invoicing/erp')")
    world.poison.append(str(message))
    return f"in the lane of {lane}"


FAULTS = (
    Fault("order thrice at once, at both APIs", send_thrice),
    Fault("poison message", poison),
)
