"""Asks every side for its own record of the trade, once all is quiet: CRM, hub, warehouse, gateway and the ERP's books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from tallystick.demo.erp import Connection
from tallystick.demo.failure import DemoError
from tallystick.demo.hub import Hub
from tallystick.demo.surroundings import Surroundings
from tallystick.demo.tie_out import Sides
from tallystick.documents.order import Order
from tallystick.systems.ports import BookEntry, Erp
from tallystick.systems.registry import connect


async def gather_sides(hub: Hub, surroundings: Surroundings) -> Sides:
    """Everybody's word, for the tie-out."""
    transactions = [each async for each in hub.every("transactions")]
    reasons: dict[str, str] = {}
    orders: dict[str, Order] = {}
    for each in transactions:
        identifier = str(each["id"])
        documents = (await hub.show(f"transactions/{identifier}/documents"))["documents"]
        orders[identifier] = _in_force(documents, int(each["order_revision"]))
        if each["intake"] in ("held", "rejected"):
            reasons[identifier] = await _reason(hub, identifier)
    return Sides(
        sold=[each async for each in surroundings.every("crm", "/v1/orders")],
        transactions=transactions,
        orders=orders,
        reasons=reasons,
        shipped=await _shipped(surroundings),
        collected=await _collected(surroundings),
        books=await _books(surroundings.erp.connection()),
    )


def _in_force(documents: list[dict[str, Any]], revision: int) -> Order:
    body = next(each["body"] for each in documents if each["type"] == "order" and each["revision"] == revision)
    return Order.model_validate(body)


async def _reason(hub: Hub, transaction_id: str) -> str:
    """The gravest reason's code, from the decision that stands in the lineage."""
    decided = [
        fact["detail"]["reasons"]
        for fact in (await hub.show(f"transactions/{transaction_id}/lineage"))["items"]
        if fact["stage"] == "intake" and fact["fact"] in ("held", "rejected")
    ]
    return str(decided[-1][0]) if decided and decided[-1] else ""


async def _shipped(surroundings: Surroundings) -> dict[str, dict[int, Decimal]]:
    shipped: dict[str, dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    async for shipment in surroundings.every("wms", "/v1/shipments"):
        for line in shipment["lines"]:
            shipped[shipment["order_number"]][int(line["line_number"])] += Decimal(line["quantity"])
    return shipped


async def _collected(surroundings: Surroundings) -> dict[str, int]:
    collected: dict[str, int] = defaultdict(int)
    async for payment in surroundings.every("payments", "/v1/payments"):
        collected[payment["order_number"]] += int(payment["amount"])
    return collected


async def _books(connection: Connection) -> list[BookEntry]:
    """The ERP's books through the connector that the hub uses too."""
    options: Mapping[str, Any] = {
        **connection.options,
        **{option: SecretStr(secret) for option, secret in connection.secrets.items() if option != "event_secret"},
    }
    options = {option: value for option, value in options.items() if option != "event_source"}
    erp = connect("erp", connection.kind, options)
    try:
        if not isinstance(erp, Erp):
            raise DemoError(f"{connection.kind} is no ERP")
        return list(await erp.read_books())
    finally:
        await erp.close()
