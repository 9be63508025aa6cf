"""Every side's own record once all is quiet: the hub's database, the ERP past our connector, and each sandbox system."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from faults.world import World

from tallystick.demo.evidence import gather_sides
from tallystick.demo.tie_out import TieOut, tie_out

Row = Mapping[str, Any]
_RETURN = "-R-"
"""What return references have in them."""


@dataclass(slots=True)
class Evidence:
    """What was read. Rows of the hub are by transaction id, of the systems as they show them."""

    transactions: dict[str, Row] = field(default_factory=dict)
    facts: dict[str, list[Row]] = field(default_factory=dict)
    """Lineage in order."""
    documents: dict[str, list[Row]] = field(default_factory=dict)
    exceptions: Sequence[Row] = ()
    """The open ones."""
    messages: Sequence[Row] = ()
    """The live ones: dead letters, and what is stuck."""
    references: Sequence[tuple[str, str]] = ()
    """(kind, our reference) of everything in the ERP, drafts too."""
    shipment_requests: Sequence[Row] = ()
    shipments: Sequence[Row] = ()
    payment_requests: Sequence[Row] = ()
    payments: Sequence[Row] = ()
    sold: Sequence[Row] = ()
    """CRM's orders with their updates."""
    tied: TieOut = field(default_factory=TieOut)


async def gather(world: World) -> Evidence:
    """Read it all. Raises httpx.HTTPError or DemoError where a side does not answer."""
    around = world.surroundings
    found = Evidence()
    async with world.database.connected() as connection:
        rows = await connection.fetch("select * from transactions order by id")
        found.transactions = {str(row["id"]): dict(row) for row in rows}
        facts = await connection.fetch("select * from lineage order by transaction_id, at, id")
        found.facts = _by_transaction({**row, "detail": json.loads(row["detail"] or "{}")} for row in facts)
        documents = await connection.fetch("select transaction_id, type, number, revision from documents")
        found.documents = _by_transaction(map(dict, documents))
        found.exceptions = [
            dict(row) for row in await connection.fetch("select * from exceptions where state = 'open'")
        ]
        found.messages = [dict(row) for row in await connection.fetch("select * from messages")]
    # Some ERPs take goods back by an order of its own, which is no order that anybody sent.
    found.references = [
        ("return" if kind == "order" and _RETURN in reference else kind, reference)
        for kind, reference in await around.erp.references()
    ]
    found.shipment_requests = [each async for each in around.every("wms", "/v1/shipment-requests")]
    found.shipments = [each async for each in around.every("wms", "/v1/shipments")]
    found.payment_requests = [each async for each in around.every("payments", "/v1/payment-requests")]
    found.payments = [each async for each in around.every("payments", "/v1/payments")]
    known = {str(each["order_number"]) for each in found.transactions.values()} | set(world.history.acknowledged)
    sides = await gather_sides(world.hub, around)
    found.sold = [each async for each in around.every("crm", "/v1/orders?updates=true")]
    # What no channel sent, or sent and lost without an answer, was promised to nobody; that it is nowhere is a check of its own.
    found.tied = tie_out(replace(sides, sold=[each for each in sides.sold if str(each["order_number"]) in known]))
    return found


def _by_transaction(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row["transaction_id"])].append(row)
    return found
