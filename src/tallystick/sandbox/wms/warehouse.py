"""The warehouse's own state: requests, shipments and returns, changed by records only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from tallystick.documents.party import Address
from tallystick.documents.returns import Return, ReturnLine
from tallystick.documents.shipment import Parcel, Shipment, ShipmentLine
from tallystick.documents.values import MAXIMUM_LINES, Day, Document, Identifier, ShortText
from tallystick.sandbox.batches import Reference
from tallystick.sandbox.wms.plans import Line, Plan, Simulation, steps


class ShipmentRequest(Document):
    """Ship this. The same `reference` again is the same request."""

    reference: Reference
    order_reference: Reference
    """Subject of the events about it."""
    order_number: Identifier
    erp_reference: str = Field(default="", max_length=64)
    customer_id: Identifier
    customer_po: Identifier | None = None
    ship_to: Address | None = None
    requested_delivery: Day | None = None
    requested_shipment: Day | None = None
    cancel_after: Day | None = None
    lines: tuple[Line, ...] = Field(min_length=1, max_length=MAXIMUM_LINES)


class ReturnAnnouncement(Document):
    """Goods came back: the whole of what was shipped of an order, or the lines named."""

    order_reference: Reference
    """The order's reference, or its number."""
    lines: tuple[ReturnLine, ...] = Field(default=(), max_length=MAXIMUM_LINES)
    reason: ShortText | None = None


class WarehouseError(Exception):
    """The warehouse says no. `status` and `code` go into the problem document."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class WarehouseOrder:
    """A request as the warehouse keeps it, with the shipments still to come."""

    number: str
    request: dict[str, Any]
    due: list[float] = field(default_factory=list)
    """Wall-clock seconds at which each shipment leaves."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    """Lines (as JSON), parcels and final of each shipment."""
    shipments: list[dict[str, Any]] = field(default_factory=list)
    """What left, as canonical documents."""
    state: str = "open"
    """open, cancelled or done."""

    def view(self) -> dict[str, Any]:
        """As the interface shows it."""
        return {"number": self.number, "state": self.state, **self.request, "shipments": self.shipments}


class Warehouse:
    """All requests. Methods that decide return a record; only `apply` changes anything, so that a journal can rebuild it."""

    def __init__(self, seed: int, simulation: Simulation) -> None:
        self._seed = seed
        self.simulation = simulation
        self.orders: dict[str, WarehouseOrder] = {}
        self.plans: dict[str, Plan] = {}
        self.returns: list[dict[str, Any]] = []
        self._by_order: dict[str, list[WarehouseOrder]] = {}
        self._shipments = 0

    def request(self, request: ShipmentRequest, now: float) -> dict[str, Any] | None:
        """The record of a request that comes in at `now` (wall clock, seconds); None when it is known.

        Raises WarehouseError when the reference was used for other lines, or was cancelled.
        """
        known = self.orders.get(request.reference)
        if known is not None:
            if known.state == "cancelled":
                raise WarehouseError(409, "wms.cancelled", f"{request.reference} was cancelled; use another reference")
            if known.request["lines"] != request.model_dump(mode="json")["lines"]:
                detail = f"{request.reference} was used for other lines; a changed order needs another reference"
                raise WarehouseError(409, "wms.reference_reused", detail)
            return None
        planned = steps(self._plan(request), request.lines)
        return {
            "record": "requested",
            "number": f"WO-{len(self.orders) + 1:06}",
            "request": request.model_dump(mode="json"),
            "due": [now + step.after_seconds for step in planned],
            "steps": [
                {
                    "lines": [line.model_dump(mode="json") for line in step.lines],
                    "parcels": step.parcels,
                    "final": step.final,
                }
                for step in planned
            ],
        }

    def cancel(self, reference: str) -> dict[str, Any] | None:
        """The record of a cancellation, None when it is cancelled. Raises WarehouseError when goods have left.

        A request that is not known is cancelled too: if it still comes, it must not ship.
        """
        known = self.orders.get(reference)
        if known is not None and known.shipments:
            numbers = ", ".join(each["number"] for each in known.shipments)
            raise WarehouseError(
                409, "wms.goods_left", f"{reference}: goods have left with {numbers}; take a return instead"
            )
        if known is not None and known.state == "cancelled":
            return None
        return {"record": "cancelled", "reference": reference}

    def dispatch(self, reference: str, index: int) -> dict[str, Any] | None:
        """The record of an order's shipment `index` that leaves now; None when it was cancelled meanwhile."""
        order = self.orders[reference]
        if order.state != "open" or index != len(order.shipments):
            return None
        step = order.steps[index]
        number = f"SH-{self._shipments + 1:06}"
        warehouses = {line["warehouse"] for line in step["lines"]}
        shipment = Shipment(
            number=number,
            warehouse=warehouses.pop() if len(warehouses) == 1 else None,
            shipped_at=datetime.now(UTC),
            lines=tuple(
                ShipmentLine(
                    line_number=line["line_number"], product_id=line["product_id"], quantity=Decimal(line["quantity"])
                )
                for line in step["lines"]
            ),
            parcels=tuple(
                Parcel(tracking_number=f"{number}-{parcel}", carrier="Sandbox Parcel")
                for parcel in range(1, step["parcels"] + 1)
            ),
            final=step["final"],
        )
        return {"record": "dispatched", "reference": reference, "shipment": shipment.model_dump(mode="json")}

    def take_back(self, announcement: ReturnAnnouncement) -> dict[str, Any]:
        """The record of a return. Raises WarehouseError when more comes back than left."""
        orders = self._by_order.get(announcement.order_reference, [])
        left = self._still_out(orders)
        if not left:
            detail = f"nothing of {announcement.order_reference} is out; ship it first"
            raise WarehouseError(404, "wms.nothing_shipped", detail)
        lines = announcement.lines or tuple(
            ReturnLine(line_number=number, product_id=product, quantity=quantity)
            for (number, product), quantity in left.items()
        )
        for line in lines:
            out = left.get((line.line_number, line.product_id), Decimal(0))
            if line.quantity > out:
                detail = f"line {line.line_number}: {line.quantity} of {line.product_id} come back, only {out} are out"
                raise WarehouseError(422, "wms.more_than_shipped", detail)
        returned = Return(
            number=f"RMA-{len(self.returns) + 1:06}",
            received_at=datetime.now(UTC),
            reason=announcement.reason,
            lines=lines,
        )
        reference = orders[0].request["order_reference"]
        return {"record": "returned", "order_reference": reference, "return": returned.model_dump(mode="json")}

    def apply(self, record: Mapping[str, Any]) -> None:
        """Change the state by one record, live or from the journal."""
        match record.get("record"):
            case "requested":
                order = WarehouseOrder(record["number"], record["request"], list(record["due"]), list(record["steps"]))
                self.orders[order.request["reference"]] = order
                for key in {order.request["order_reference"], order.request["order_number"]}:
                    self._by_order.setdefault(key, []).append(order)
            case "cancelled":
                reference = record["reference"]
                known = self.orders.setdefault(reference, WarehouseOrder("none", {"reference": reference}))
                known.state = "cancelled"
            case "dispatched":
                order = self.orders[record["reference"]]
                order.shipments.append(record["shipment"])
                self._shipments += 1
                if len(order.shipments) == len(order.steps):
                    order.state = "done"
            case "returned":
                self.returns.append(dict(record))
            case "planned":
                self.plans[record["key"]] = Plan.model_validate(record["plan"])
            case "simulation":
                self.simulation = Simulation.model_validate(record["simulation"])

    def of_order(self, order_reference: str) -> Sequence[WarehouseOrder]:
        """All requests of an order, by its reference or its number."""
        return self._by_order.get(order_reference, [])

    def _plan(self, request: ShipmentRequest) -> Plan:
        for key in (request.reference, request.order_reference, request.order_number, request.erp_reference):
            if key in self.plans:
                return self.plans[key]
        return self.simulation.plan(self._seed, request.order_number)

    def _still_out(self, orders: Sequence[WarehouseOrder]) -> dict[tuple[int, str], Decimal]:
        references = {order.request["order_reference"] for order in orders}
        moved = [(line, 1) for order in orders for shipment in order.shipments for line in shipment["lines"]]
        for returned in self.returns:
            if returned["order_reference"] in references:
                moved += [(line, -1) for line in returned["return"]["lines"]]
        out: dict[tuple[int, str], Decimal] = {}
        for line, sign in moved:
            key = (line["line_number"], line["product_id"])
            out[key] = out.get(key, Decimal(0)) + sign * Decimal(line["quantity"])
        return {key: quantity for key, quantity in out.items() if quantity > 0}
