"""The HTTP application: routes under /v1, every error a problem document, every body bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

import tallystick
from tallystick.api import (
    audit,
    cash,
    events,
    exceptions,
    keys,
    messages,
    operations,
    order_stream,
    orders,
    reconciliations,
    schemas,
    systems,
    transactions,
)
from tallystick.api.context import Context
from tallystick.api.head import Head
from tallystick.api.limits import Bounds
from tallystick.api.measurement import Measurement
from tallystick.api.openapi import DESCRIPTION, describe, operation_id
from tallystick.api.problems import add_problem_handlers
from tallystick.settings import Server
from tallystick.stages.flow import Flow

RESOURCES = (
    *(orders, order_stream, transactions, exceptions, messages, systems, cash, reconciliations, audit, keys, schemas),
)

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
        redirect_slashes=False,
        strict_content_type=False,  # requests.py judges media types, and believes who names none
        generate_unique_id_function=operation_id,
    )
    app.add_middleware(
        Bounds,
        maximum=server.maximum_body_bytes,
        batch_maximum=server.maximum_batch_bytes,
        seconds=server.request_timeout_seconds,
    )
    app.add_middleware(Measurement)
    app.add_middleware(Head)
    add_problem_handlers(app)
    app.add_route("/v1/orders", orders.create_order, methods=["POST"], include_in_schema=False)
    for resource in RESOURCES:
        app.include_router(resource.router, prefix="/v1")
    app.include_router(events.router, prefix="/v1")
    app.include_router(operations.router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
    return app
