"""The warehouse as an HTTP server: shipment requests in, dispatch and return events out, plans for who plays with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Response
from pydantic import Field

from tallystick.documents.event import EventType
from tallystick.documents.values import Document
from tallystick.sandbox.batches import MAXIMUM_ITEMS, Reference, References, item, item_problem, items_answer, page
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options
from tallystick.sandbox.schedule import Schedule
from tallystick.sandbox.server import create_server, problem
from tallystick.sandbox.webhooks import EventOutbox, event_routes
from tallystick.sandbox.wms.plans import Plan, Simulation
from tallystick.sandbox.wms.warehouse import (
    ReturnAnnouncement,
    ShipmentRequest,
    Warehouse,
    WarehouseError,
    WarehouseOrder,
)

_DESCRIPTION = """A simulated warehouse.

It takes shipment requests, ships them as `PUT /plans/{key}` or `PUT /simulation` say, and sends a signed CloudEvent
`tallystick.shipment.dispatched.v1` for every shipment, `tallystick.return.received.v1` for every return."""


class ShipmentRequests(Document):
    """A batch of requests."""

    items: Annotated[tuple[ShipmentRequest, ...], Field(min_length=1, max_length=MAXIMUM_ITEMS)]


class WarehouseServer:
    """The warehouse with its journal, its clock and its way to the hub."""

    def __init__(self, options: Options, faults: Faults) -> None:
        self.journal = Journal(options.state_file)
        self.outbox = EventOutbox(options, faults, self.journal)
        self.warehouse = Warehouse(options.seed, Simulation.model_validate(options.settings))
        self.schedule: Schedule[tuple[str, int]] = Schedule(self._dispatch)

    def restore(self) -> None:
        """Take up the journal: state, shipments still to come, events still to deliver."""
        for record in self.journal.replay():
            self.warehouse.apply(record)
            self.outbox.replay(record)
        self.outbox.resume()
        for order in self.warehouse.orders.values():
            self._plan_next(order)

    def take_requests(self, requests: ShipmentRequests) -> Response:
        """Take each request once; all new ones are journaled with one write before the answer."""
        now = time.time()
        records: list[dict[str, Any]] = []
        answers = []
        for request in requests.items:
            try:
                record = self.warehouse.request(request, now)
            except WarehouseError as error:
                answers.append(item_problem(error.status, error.code, error.detail))
                continue
            if record is not None:
                self.warehouse.apply(record)
                records.append(record)
                self._plan_next(self.warehouse.orders[request.reference])
            answers.append(self._taken(request.reference, new=record is not None))
        self.journal.append(records)
        return items_answer(answers)

    def cancel(self, references: References) -> Response:
        """Cancel each request of which nothing has left."""
        records: list[dict[str, Any]] = []
        answers = []
        for reference in references.items:
            try:
                record = self.warehouse.cancel(reference)
            except WarehouseError as error:
                answers.append(item_problem(error.status, error.code, error.detail))
                continue
            if record is not None:
                self.warehouse.apply(record)
                records.append(record)
            answers.append(self._taken(reference, new=record is not None))
        self.journal.append(records)
        return items_answer(answers)

    def take_back(self, announcement: ReturnAnnouncement) -> Mapping[str, Any]:
        """Receive goods and tell the hub. Raises WarehouseError."""
        record = self.warehouse.take_back(announcement)
        returned: dict[str, Any] = record["return"]
        record["events"] = [self.outbox.event(EventType.RETURN_RECEIVED, record["order_reference"], returned)]
        self.change(record)
        return returned

    def change(self, record: dict[str, Any]) -> None:
        """Carry out one record and keep it."""
        self.warehouse.apply(record)
        self._keep([record])

    def _taken(self, reference: str, *, new: bool) -> dict[str, Any]:
        order = self.warehouse.orders[reference]
        return item(201 if new else 200, {"reference": reference, "number": order.number, "state": order.state})

    def _keep(self, records: list[dict[str, Any]]) -> None:
        self.journal.append(records)
        for record in records:
            self.outbox.put(record.get("events", ()))

    def _plan_next(self, order: WarehouseOrder) -> None:
        index = len(order.shipments)
        if order.state == "open" and index < len(order.due):
            self.schedule.add(order.due[index], (order.request["reference"], index))

    def _dispatch(self, due: list[tuple[str, int]]) -> None:
        """Let shipments leave; an order's next one is planned only now, so that they never overtake each other."""
        records: list[dict[str, Any]] = []
        for reference, index in due:
            record = self.warehouse.dispatch(reference, index)
            if record is None:
                continue
            order = self.warehouse.orders[reference]
            subject = order.request["order_reference"]
            record["events"] = [self.outbox.event(EventType.SHIPMENT_DISPATCHED, subject, record["shipment"])]
            self.warehouse.apply(record)
            records.append(record)
            self._plan_next(order)
        self._keep(records)


def create_app(options: Options) -> FastAPI:
    """The server. Its settings are those of `Simulation`."""
    faults = Faults()
    server = WarehouseServer(options, faults)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.restore()
        tasks = [asyncio.create_task(server.schedule.run()), asyncio.create_task(server.outbox.run())]
        yield
        for task in tasks:
            task.cancel()
        server.journal.close()

    routers = [_request_routes(server), _simulation_routes(server), event_routes(server.outbox)]
    return create_server("Sandbox warehouse", _DESCRIPTION, options, faults, routers, lifespan)


def _request_routes(server: WarehouseServer) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["shipments"])

    @router.post("/shipment-requests")
    async def request_shipments(requests: ShipmentRequests) -> Response:
        """Ask for shipments: 201 an item when taken, 200 when it was known, 409 when its reference means another order."""
        return server.take_requests(requests)

    @router.post("/shipment-requests/lookup")
    async def look_up(references: References) -> Response:
        """Which requests are known: 200 an item with the request, or 404."""
        orders = server.warehouse.orders
        return items_answer(
            [
                item(200, orders[each].view())
                if each in orders
                else item_problem(404, "wms.unknown", f"no request {each}")
                for each in references.items
            ]
        )

    @router.post("/shipment-requests/cancel")
    async def cancel(references: References) -> Response:
        """Ask not to ship: 409 an item when goods have left. An unknown reference is cancelled before it comes."""
        return server.cancel(references)

    @router.get("/shipment-requests")
    async def list_requests(order_reference: str | None = None, after: int = 0, limit: int = 100) -> dict[str, Any]:
        """All requests, or those of one order (by reference or number)."""
        orders = server.warehouse.of_order(order_reference) if order_reference else server.warehouse.orders.values()
        return page((order.view() for order in orders), after, limit)

    @router.get("/shipments")
    async def list_shipments(after: int = 0, limit: int = 100) -> dict[str, Any]:
        """Everything that left, with its order, for a tie-out."""
        rows = (
            {"order_reference": order.request["order_reference"], "order_number": order.request["order_number"], **each}
            for order in server.warehouse.orders.values()
            for each in order.shipments
        )
        return page(rows, after, limit)

    return router


def _simulation_routes(server: WarehouseServer) -> APIRouter:
    router = APIRouter(tags=["simulation"])

    @router.get("/simulation")
    async def show_simulation() -> Simulation:
        """What happens to orders without a plan."""
        return server.warehouse.simulation

    @router.put("/simulation")
    async def put_simulation(simulation: Simulation) -> Simulation:
        """Change it for requests to come."""
        server.change({"record": "simulation", "simulation": simulation.model_dump(mode="json")})
        return simulation

    @router.put("/plans/{key:path}")
    async def put_plan(key: Reference, plan: Plan) -> Plan:
        """Plan one order, by its number or any of its references, before its request comes."""
        server.change({"record": "planned", "key": key, "plan": plan.model_dump(mode="json")})
        return plan

    @router.get("/plans")
    async def list_plans() -> Mapping[str, Plan]:
        """All plans."""
        return server.warehouse.plans

    @router.post("/returns", status_code=201)
    async def take_back(announcement: ReturnAnnouncement) -> Mapping[str, Any]:
        """Goods came back; the hub gets an event."""
        try:
            return server.take_back(announcement)
        except WarehouseError as error:
            raise problem(error.status, error.code, error.detail) from None

    return router
