"""The CRM as an HTTP server: sales puts its orders in, the hub tells what became of them, anyone reads it back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Response

from tallystick.sandbox.batches import References, item, item_problem, items_answer, json_answer, page
from tallystick.sandbox.crm.book import Book, SalesOrders, StatusUpdates, view
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options
from tallystick.sandbox.server import create_server, problem

_DESCRIPTION = """A simulated CRM.

It keeps the sales side's orders, takes status updates once by their event id, in order, and shows for each order where it
stands: held, accepted, committed, shipped, invoiced and paid amounts, credit hold."""


class CrmServer:
    """The book with its journal."""

    def __init__(self, options: Options) -> None:
        self.journal = Journal(options.state_file)
        self.book = Book()

    def restore(self) -> None:
        """Take up the journal."""
        for record in self.journal.replay():
            self.book.apply(record)

    def take_orders(self, orders: SalesOrders) -> Response:
        """Keep what sales submitted."""
        records = [{"record": "submitted", **order.model_dump(mode="json")} for order in orders.items]
        for record in records:
            self.book.apply(record)
        self.journal.append(records)
        return items_answer([item(201, {"reference": order.order_number}) for order in orders.items])

    def take_updates(self, updates: StatusUpdates) -> Response:
        """Take each update once; all new ones are journaled with one write before the answer."""
        records: list[dict[str, Any]] = []
        answers = []
        for update in updates.items:
            known = self.book.knows(update.event_id)
            self.book.repeats += known
            if not known:
                record = {"record": "update", **update.model_dump(mode="json")}
                self.book.apply(record)
                records.append(record)
            answers.append(item(200 if known else 201, {"reference": update.event_id}))
        self.journal.append(records)
        return items_answer(answers)


def create_app(options: Options) -> FastAPI:
    """The server. It has no settings of its own."""
    if options.settings:
        raise ValueError(f"the CRM has no settings, got {', '.join(options.settings)}")
    server = CrmServer(options)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.restore()
        yield
        server.journal.close()

    routers = [_order_routes(server), _update_routes(server)]
    return create_server("Sandbox CRM", _DESCRIPTION, options, Faults(), routers, lifespan)


def _order_routes(server: CrmServer) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["orders"])

    @router.post("/orders")
    async def put_orders(orders: SalesOrders) -> Response:
        """Keep orders that sales won."""
        return server.take_orders(orders)

    @router.get("/orders")
    async def list_orders(
        status: str | None = None, updates: bool = False, after: int = 0, limit: Annotated[int, Query(le=1_000)] = 100
    ) -> Response:
        """All orders by where they stand, page by page; with `updates=true` each with its whole story."""
        chosen = [order for order in server.book.orders.values() if status in (None, order.status)]
        shown = page(chosen, after, limit)
        return json_answer(shown | {"items": [view(order, updates=updates) for order in shown["items"]]})

    @router.get("/orders/{channel}/{order_number:path}")
    async def show_order(channel: str, order_number: str) -> Response:
        """One order with all its updates in the order they came."""
        order = server.book.orders.get((channel, order_number))
        if order is None:
            raise problem(404, "crm.unknown_order", f"no order {order_number} of channel {channel}")
        return json_answer(view(order, updates=True))

    @router.get("/customers/{customer_id}")
    async def show_customer(customer_id: str) -> Response:
        """Whether a customer is on credit hold, as finance last said."""
        return json_answer(server.book.customers.get(customer_id, {"customer_id": customer_id, "credit_hold": False}))

    @router.get("/totals")
    async def show_totals() -> Response:
        """Sums for a tie-out."""
        return json_answer(server.book.totals())

    return router


def _update_routes(server: CrmServer) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["status updates"])

    @router.post("/status-updates")
    async def take_updates(updates: StatusUpdates) -> Response:
        """Take news of orders: 201 an item when new, 200 when its event id was taken before."""
        return server.take_updates(updates)

    @router.post("/status-updates/lookup")
    async def look_up(references: References) -> Response:
        """Which updates were taken, by event id: 200 an item, or 404."""
        return items_answer(
            [
                item(200, {"reference": each})
                if server.book.knows(each)
                else item_problem(404, "crm.unknown_update", f"no update {each}")
                for each in references.items
            ]
        )

    return router
