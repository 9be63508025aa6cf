"""The payment gateway as an HTTP server: invoices in, payment events out, plans for who plays with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Response

from tallystick.documents.event import EventType
from tallystick.sandbox.batches import Reference, References, item, item_problem, items_answer, page
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options
from tallystick.sandbox.payments.collection import (
    Collection,
    Gateway,
    PaymentRequests,
    ReferenceReusedError,
)
from tallystick.sandbox.payments.plans import Plan, Simulation
from tallystick.sandbox.schedule import Schedule
from tallystick.sandbox.server import create_server
from tallystick.sandbox.webhooks import EventOutbox, event_routes

_DESCRIPTION = """A simulated payment gateway.

It takes posted invoices for collection. Its customers pay as `PUT /plans/{key}` or `PUT /simulation` say, and every
payment is sent as a signed CloudEvent `tallystick.payment.received.v1`."""


class PaymentServer:
    """The gateway with its journal, its clock and its way to the hub."""

    def __init__(self, options: Options, faults: Faults) -> None:
        self.journal = Journal(options.state_file)
        self.outbox = EventOutbox(options, faults, self.journal)
        self.gateway = Gateway(options.seed, Simulation.model_validate(options.settings))
        self.schedule: Schedule[tuple[str, int]] = Schedule(self._pay)

    def restore(self) -> None:
        """Take up the journal: state, payments still to come, events still to deliver."""
        for record in self.journal.replay():
            self.gateway.apply(record)
            self.outbox.replay(record)
        self.outbox.resume()
        for collection in self.gateway.collections.values():
            self._plan_next(collection)

    def take_requests(self, requests: PaymentRequests) -> Response:
        """Take each request once; all new ones are journaled with one write before the answer."""
        now = time.time()
        records: list[dict[str, Any]] = []
        answers = []
        for request in requests.items:
            try:
                record = self.gateway.request(request, now)
            except ReferenceReusedError as error:
                answers.append(item_problem(409, "payments.reference_reused", str(error)))
                continue
            if record is not None:
                self.gateway.apply(record)
                records.append(record)
                self._plan_next(self.gateway.collections[request.reference])
            number = self.gateway.collections[request.reference].number
            answers.append(item(200 if record is None else 201, {"reference": request.reference, "number": number}))
        self.journal.append(records)
        return items_answer(answers)

    def change(self, record: dict[str, Any]) -> None:
        """Keep a change of plans."""
        self.gateway.apply(record)
        self.journal.append([record])

    def _plan_next(self, collection: Collection) -> None:
        index = len(collection.payments)
        if index < len(collection.due):
            self.schedule.add(collection.due[index], (collection.request["reference"], index))

    def _pay(self, due: list[tuple[str, int]]) -> None:
        """Let payments come in; the second part is planned only now, so that it never overtakes the first."""
        records: list[dict[str, Any]] = []
        for reference, index in due:
            record = self.gateway.pay(reference, index)
            if record is None:
                continue
            collection = self.gateway.collections[reference]
            subject = collection.request["transaction_id"]
            record["events"] = [self.outbox.event(EventType.PAYMENT_RECEIVED, subject, record["payment"])]
            self.gateway.apply(record)
            records.append(record)
            self._plan_next(collection)
        self.journal.append(records)
        for record in records:
            self.outbox.put(record["events"])


def create_app(options: Options) -> FastAPI:
    """The server. Its settings are those of `Simulation`."""
    faults = Faults()
    server = PaymentServer(options, faults)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.restore()
        tasks = [asyncio.create_task(server.schedule.run()), asyncio.create_task(server.outbox.run())]
        yield
        for task in tasks:
            task.cancel()
        server.journal.close()

    routers = [_request_routes(server), _simulation_routes(server), event_routes(server.outbox)]
    return create_server("Sandbox payment gateway", _DESCRIPTION, options, faults, routers, lifespan)


def _request_routes(server: PaymentServer) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["payments"])

    @router.post("/payment-requests")
    async def request_payments(requests: PaymentRequests) -> Response:
        """Hand over invoices: 201 an item when taken, 200 when it was known, 409 when its reference means another one."""
        return server.take_requests(requests)

    @router.post("/payment-requests/lookup")
    async def look_up(references: References) -> Response:
        """Which requests are known: 200 an item with the request, or 404."""
        known = server.gateway.collections
        return items_answer(
            [
                item(200, known[each].view())
                if each in known
                else item_problem(404, "payments.unknown", f"no request {each}")
                for each in references.items
            ]
        )

    @router.get("/payment-requests")
    async def list_requests(after: int = 0, limit: int = 100) -> dict[str, Any]:
        """All requests with what was paid on them."""
        return page((each.view() for each in server.gateway.collections.values()), after, limit)

    @router.get("/payments")
    async def list_payments(after: int = 0, limit: int = 100) -> dict[str, Any]:
        """Every payment with its order, for a tie-out."""
        rows = (
            {
                "transaction_id": each.request["transaction_id"],
                "order_number": each.request["order_number"],
                **payment,
            }
            for each in server.gateway.collections.values()
            for payment in each.payments
        )
        return page(rows, after, limit)

    return router


def _simulation_routes(server: PaymentServer) -> APIRouter:
    router = APIRouter(tags=["simulation"])

    @router.get("/simulation")
    async def show_simulation() -> Simulation:
        """What happens to invoices without a plan."""
        return server.gateway.simulation

    @router.put("/simulation")
    async def put_simulation(simulation: Simulation) -> Simulation:
        """Change it for requests to come."""
        server.change({"record": "simulation", "simulation": simulation.model_dump(mode="json")})
        return simulation

    @router.put("/plans/{key:path}")
    async def put_plan(key: Reference, plan: Plan) -> Plan:
        """Plan how one invoice is paid, by its number or its order's, before its request comes."""
        server.change({"record": "planned", "key": key, "plan": plan.model_dump(mode="json")})
        return plan

    @router.get("/plans")
    async def list_plans() -> Mapping[str, Plan]:
        """All plans."""
        return server.gateway.plans

    return router
