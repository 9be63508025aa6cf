"""The ERP's HTTP interface: every write for one item or for a batch, look-ups, the change feed and the books."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Response
from pydantic import BaseModel, TypeAdapter, ValidationError

from tallystick.documents.product import Price, Product
from tallystick.sandbox.batches import item, item_problem, items_answer, json_answer
from tallystick.sandbox.erp import books, invoicing, masters, orders, payments, returns, shipments
from tallystick.sandbox.erp.configuration import Configuration
from tallystick.sandbox.erp.ledger import Ledger, plain
from tallystick.sandbox.erp.refusal import RefusalError
from tallystick.sandbox.erp.requests import (
    Answer,
    Batch,
    BooksSearch,
    CreditTerms,
    CustomerImport,
    InvoiceRequest,
    Keys,
    Lookup,
    OpenItemsSearch,
    OrderReference,
    PaymentRequest,
    PriceKeys,
    PriceSearch,
    ReturnRequest,
    SalesOrderRequest,
    ShipmentRequest,
    StockImport,
)
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options
from tallystick.sandbox.server import create_server, problem
from tallystick.sandbox.webhooks import EventOutbox, event_routes

DESCRIPTION = """
A small ERP that decides for itself: credit, totals and rounding are its own. Every write is `POST /v1/<name>` for one
item or `POST /v1/<name>/batch` with `{"items": [...]}`, answered item by item in order. Amounts are integers in minor
units. A write is known by the caller's `reference`: the same again answers 200 with what there is, new work 201.
"""

Operation = Callable[[Ledger, Any], Answer]


def create_app(options: Options) -> FastAPI:
    """The ERP with its state from the journal, if it has one. Raises ValidationError for a wrong setting."""
    configuration = Configuration.model_validate(options.settings)
    faults, journal = Faults(), Journal(options.state_file)
    outbox = EventOutbox(options, faults, journal)
    ledger = Ledger(journal, outbox)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        outbox.resume()
        sending = asyncio.create_task(outbox.run())
        yield
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        journal.close()

    routers = [_writes(ledger, configuration), _reads(ledger), event_routes(outbox)]
    return create_server("Sandbox ERP", DESCRIPTION, options, faults, routers, lifespan)


def _writes(ledger: Ledger, configuration: Configuration) -> APIRouter:
    def configured(operation: Callable[[Ledger, Configuration, Any], Answer]) -> Operation:
        def run(ledger: Ledger, request: Any) -> Answer:
            return operation(ledger, configuration, request)

        run.__doc__ = operation.__doc__
        return run

    router = APIRouter(prefix="/v1")
    _add_write(router, ledger, "customers", CustomerImport, masters.import_customer)
    _add_write(router, ledger, "products", Product, masters.import_product)
    _add_write(router, ledger, "prices", Price, masters.import_price)
    _add_write(router, ledger, "stock", StockImport, masters.import_stock)
    _add_write(router, ledger, "credit", CreditTerms, masters.set_credit_terms)
    _add_write(router, ledger, "orders", SalesOrderRequest, configured(orders.create_order))
    _add_write(router, ledger, "orders/confirm", OrderReference, orders.confirm_order)
    _add_write(router, ledger, "orders/change", SalesOrderRequest, configured(orders.change_order))
    _add_write(router, ledger, "orders/cancel", OrderReference, orders.cancel_order)
    _add_write(router, ledger, "shipments", ShipmentRequest, shipments.record_shipment)
    _add_write(router, ledger, "invoices", InvoiceRequest, configured(invoicing.post_invoice))
    _add_write(router, ledger, "payments", PaymentRequest, payments.record_payment)
    _add_write(router, ledger, "returns", ReturnRequest, configured(returns.credit_return))

    @router.post("/prices/remove", tags=["prices"])
    async def remove_prices(request: PriceKeys) -> Response:
        """Forget prices by their keys; unknown keys are no error."""
        removed = [key for key in request.keys if ledger.remove_price(key)]
        ledger.flush()
        return json_answer({"removed": removed})

    return router


def _add_write(router: APIRouter, ledger: Ledger, name: str, model: type[BaseModel], operation: Operation) -> None:
    """Two calls for an operation: one item, answered with its status; and a batch, with a status an item."""
    validate = TypeAdapter(model).validate_python
    tags: list[Any] = [name.split("/", maxsplit=1)[0]]

    async def one(request: Any) -> Response:
        try:
            status, body = operation(ledger, request)
        except RefusalError as refusal:
            raise problem(refusal.status, refusal.code, refusal.detail) from None
        ledger.flush()
        return json_answer(_data(body), status)

    async def batch(request: Any) -> Response:
        answers = [_answer_item(ledger, validate, operation, raw) for raw in request.items]
        ledger.flush()
        return items_answer(answers)

    # FastAPI reads the shapes from the annotations, and these are known only here.
    one.__annotations__["request"] = model
    batch.__annotations__["request"] = Batch[model]  # type: ignore[valid-type]  # a parameter made at run time
    router.add_api_route(f"/{name}", one, methods=["POST"], tags=tags, summary=operation.__doc__)
    router.add_api_route(f"/{name}/batch", batch, methods=["POST"], tags=tags, summary=f"A batch: {operation.__doc__}")


def _answer_item(ledger: Ledger, validate: Callable[[Any], Any], operation: Operation, raw: Any) -> dict[str, Any]:
    try:
        status, body = operation(ledger, validate(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return item_problem(422, "request.invalid", f"{where}: {first['msg']}")
    except RefusalError as refusal:
        return item_problem(refusal.status, refusal.code, refusal.detail)
    return item(status, _data(body))


def _data(body: Any) -> Any:
    """A record as JSON data; plain data as it is."""
    if isinstance(body, dict):
        return body
    return body.model_dump(mode="json") if isinstance(body, BaseModel) else plain(body)


def _reads(ledger: Ledger) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.post("/customers/search", tags=["customers"])
    async def find_customers(request: Keys) -> Response:
        """Customers by id; unknown ids are left out."""
        return json_answer({"items": [_data(ledger.customers[key]) for key in request.keys if key in ledger.customers]})

    @router.post("/products/search", tags=["products"])
    async def find_products(request: Keys) -> Response:
        """Products by id; unknown ids are left out."""
        return json_answer({"items": [_data(ledger.products[key]) for key in request.keys if key in ledger.products]})

    @router.post("/prices/search", tags=["prices"])
    async def find_prices(request: Batch[PriceSearch]) -> Response:
        """For each search all prices that may apply: contract, promotion and list, with their quantity breaks."""
        searches = TypeAdapter(list[PriceSearch]).validate_python(request.items)
        return json_answer({"items": [[_data(each) for each in masters.find_prices(ledger, one)] for one in searches]})

    @router.post("/stock/search", tags=["stock"])
    async def find_stock(request: Keys) -> Response:
        """Available to promise of products by warehouse."""
        return json_answer({"items": [_data(each) for key in request.keys for each in ledger.stock_levels(key)]})

    @router.post("/credit/search", tags=["credit"])
    async def find_credit(request: Keys) -> Response:
        """Credit positions of customers; unknown ids are left out."""
        known = [key for key in request.keys if key in ledger.customers]
        return json_answer({"items": [_data(ledger.credit_position(key)) for key in known]})

    @router.post("/references/search", tags=["references"])
    async def find_references(request: Batch[Lookup]) -> Response:
        """Documents by the other side's references, in order; null where there is none."""
        lookups = TypeAdapter(list[Lookup]).validate_python(request.items)
        return json_answer({"items": [_found(ledger, each) for each in lookups]})

    @router.get("/orders/{number}", tags=["orders"])
    async def show_order(number: str) -> Response:
        """One order whole."""
        return json_answer(_data(_known(ledger.orders, number, "order")))

    @router.get("/invoices/{number}", tags=["invoices"])
    async def show_invoice(number: str) -> Response:
        """One invoice whole."""
        return json_answer(_data(_known(ledger.invoices, number, "invoice")))

    @router.get("/changes", tags=["changes"])
    async def read_changes(
        cursor: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000
    ) -> Response:
        """Masters that changed after a cursor, oldest first; 0 starts with everything."""
        return json_answer(masters.read_changes(ledger, cursor, limit))

    @router.post("/open-items/search", tags=["payments"])
    async def find_open_items(request: OpenItemsSearch) -> Response:
        """Invoices that are not wholly paid, a page at a time."""
        return json_answer(payments.open_items(ledger, request))

    @router.post("/books/search", tags=["books"])
    async def read_books(request: BooksSearch) -> Response:
        """Orders, invoices, payments and credit memos as booked, a page at a time."""
        return json_answer(books.read_books(ledger, request))

    return router


def _found(ledger: Ledger, lookup: Lookup) -> Any:
    number = ledger.find(lookup.kind, lookup.owner, lookup.reference)
    if number is None:
        return None
    if lookup.kind == "order":
        return orders.summary(ledger.orders[number])
    tables: dict[str, Mapping[str, Any]] = {
        "shipment": ledger.shipments,
        "invoice": ledger.invoices,
        "payment": ledger.payments,
        "credit_memo": ledger.credits,
    }
    return _data(tables[lookup.kind][number])


def _known(table: dict[str, Any], number: str, kind: str) -> Any:
    if number not in table:
        raise problem(404, f"{kind}.unknown", f"there is no {kind} {number}")
    return table[number]
