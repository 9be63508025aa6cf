"""The HTTP application: routes under /v1, every error a problem document, every body bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi

import tallystick
from tallystick.api import (
    audit,
    events,
    exceptions,
    keys,
    messages,
    operations,
    order_stream,
    orders,
    schemas,
    systems,
    transactions,
)
from tallystick.api.context import BEARER, Context
from tallystick.api.limits import Bounds
from tallystick.api.measurement import Measurement
from tallystick.api.problems import add_problem_handlers
from tallystick.documents.order import Order
from tallystick.settings import Server
from tallystick.stages.flow import Flow

DESCRIPTION = """
Tallystick keeps what sales promised and what finance booked in agreement.

Amounts are integers in minor units of the document's currency (USD 12.34 is 1234). Errors are problem documents (RFC 9457).
Send `Authorization: Bearer tsk_…`; send `Idempotency-Key` with each new order; send `If-Match` with each change.
"""
_EXAMPLE = {
    "channel": "webshop",
    "order_number": "W-10023",
    "customer_id": "C-100",
    "customer_po": "PO-7781",
    "currency": "USD",
    "ordered_at": "2026-11-24T09:30:00Z",
    "lines": [{"line_number": 1, "product_id": "P-1", "quantity": "12", "unit_price": "19.99", "amount": 23988}],
    "charges": [{"kind": "charge", "code": "FREIGHT", "amount": 1500}],
}

Open = Callable[[], AbstractAsyncContextManager[Flow]]


def create_app(server: Server, open_flow: Open) -> FastAPI:
    """The application; `open_flow` opens the flow (database, systems) when it starts and closes it when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_flow() as flow:
            app.state.context = Context(flow)
            yield

    app = FastAPI(
        title="Tallystick",
        version=tallystick.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json" if server.docs else None,
        docs_url="/docs" if server.docs else None,
        redoc_url=None,
    )
    app.add_middleware(
        Bounds,
        maximum=server.maximum_body_bytes,
        batch_maximum=server.maximum_batch_bytes,
        seconds=server.request_timeout_seconds,
    )
    app.add_middleware(Measurement)
    add_problem_handlers(app)
    app.add_route("/v1/orders", orders.create_order, methods=["POST"], include_in_schema=False)
    for resource in (orders, order_stream, transactions, exceptions, messages, systems, audit, keys, schemas):
        app.include_router(resource.router, prefix="/v1", dependencies=[Depends(BEARER)])
    app.include_router(events.router, prefix="/v1")
    app.include_router(operations.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    order = Order.model_json_schema(ref_template="#/components/schemas/{model}")
    components.update(order.pop("$defs", {}))
    components["Order"] = {**order, "examples": [_EXAMPLE]}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
    answers = {status: {"description": text, "content": problem} for status, text in _ORDER_PROBLEMS.items()}
    schema["paths"]["/v1/orders"] = {
        "post": {
            "tags": ["orders"],
            "summary": "Submit an order",
            "operationId": "create_order",
            "security": [{"apiKey": []}],
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "maxLength": 255},
                    "required": False,
                }
            ],
            "requestBody": body,
            "responses": {"201": {"description": "Kept: accepted, or held with its exception"}, **answers},
        }
    }
    for path in ("/v1/orders:validate", "/v1/orders/{transaction_id}"):
        for operation in schema["paths"][path].values():
            operation["requestBody"] = body
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].setdefault("default", {"description": "A problem", "content": problem})
    app.openapi_schema = schema
    return schema


_ORDER_PROBLEMS = {
    "400": "Malformed JSON",
    "401": "No valid key",
    "403": "Not allowed for this entity",
    "409": "The key or the order number was used before",
    "413": "Too large",
    "422": "Not a valid order, or rejected with every reason",
    "429": "Too many requests",
}
