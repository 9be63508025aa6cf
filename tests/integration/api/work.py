"""Things for people to work on: orders that were kept, and dead letters with their exceptions, as the worker leaves them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.integration.api.installation import Served, held_order, order

from tallystick.mailbox.carrier import Deferral, Route
from tallystick.stages.commitment import commitment
from tallystick.systems.failure import Rejected


async def submit(served: Served, **changes: Any) -> dict[str, Any]:
    """The answer to an order of the east that every check accepts."""
    return await _kept(served, order(**changes))


async def hold(served: Served, **changes: Any) -> dict[str, Any]:
    """The answer to an order that is held for its price, with 4.00 at risk unless changed."""
    return await _kept(served, held_order() | changes)


async def _kept(served: Served, data: dict[str, Any]) -> dict[str, Any]:
    async with served.acting_as("sales") as sales:
        answer = await sales.post("/v1/orders", json=data)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An order that the ERP refused."""

    transaction_id: str
    message_id: str
    exception_id: str


async def refuse(served: Served, **changes: Any) -> DeadLetter:
    """Submit an order, and let its ERP refuse it: the message is claimed, deferred for good and buried, as a worker does."""
    kept = await submit(served, **changes)
    transaction_id = UUID(kept["transaction_id"])
    entity = str(changes.get("entity", "east"))
    carrier = served.flow.carrier
    async with served.pool.acquire() as connection:
        claimed = await carrier.claim(
            connection, Route("commitment", f"erp_{entity}"), limit=100, worker="test", lease=timedelta(seconds=30)
        )
        mine = [each for each in claimed if each.transaction_id == transaction_id]
        others = [each for each in claimed if each.transaction_id != transaction_id]
        failure = Rejected(
            "erp: there is no product P-1", system=mine[0].system, request={"a": 1}, response={"status": 422}
        )
        async with connection.transaction():
            await carrier.give_back(connection, others, timedelta())
            deferral = Deferral(mine[0], failure, timedelta(), burn_attempt=True, dead=True, duration_ms=12.5)
            await carrier.defer(connection, [deferral], "test")
            await commitment(served.flow).bury(connection, [(mine[0], failure)])
        exception_id = await connection.fetchval("select id from exceptions where message_id = $1", mine[0].id)
    return DeadLetter(str(transaction_id), str(mine[0].id), str(exception_id))
