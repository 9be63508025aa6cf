"""Real sandbox servers for tests, and what a hub would take in: started once for a module, healed before each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook

from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address
from tallystick.sandbox.process import listen


@dataclass
class Hub:
    """A hub that verifies and keeps events; `answers` is what it says next, 202 when empty."""

    secrets: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    url: str = ""
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        sent = await request.json()
        batch = sent if isinstance(sent, list) else [sent]
        Webhook(self.secrets[batch[0]["source"]]).verify(body, dict(request.headers))
        self.calls.append((request.headers["content-type"].partition(";")[0], len(batch)))
        status = self.answers.pop(0) if self.answers else 202
        if status < 300:
            self.events += batch
            self._came.set()
        return Response(status_code=status)

    async def wait_for(self, count: int, seconds: float = 15) -> list[dict[str, Any]]:
        """The events once there are so many."""
        async with asyncio.timeout(seconds):
            while len(self.events) < count:
                self._came.clear()
                await self._came.wait()
        return self.events

    def of(self, subject: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["subject"] == subject]


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The URL of an app that is served on a port of its own."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task


async def serve_hub() -> AsyncIterator[Hub]:
    """A hub on a port of its own, until the generator is closed."""
    hub = Hub()
    app = FastAPI()
    app.add_api_route("/v1/events", hub.take, methods=["POST"])
    async with serving(app) as hub.url:
        yield hub


def make_order(number: str, *quantities: int, region: str | None = "CA", price: str = "10.00") -> Order:
    """An order with a line for each quantity."""
    return Order(
        channel="crm",
        order_number=number,
        customer_id="C-1",
        currency="USD",
        ordered_at=datetime(2026, 3, 1, tzinfo=UTC),
        ship_to=Address(country="US", region=region) if region else None,
        lines=tuple(
            OrderLine(line_number=index, product_id=f"P-{index}", quantity=Decimal(quantity), unit_price=Decimal(price))
            for index, quantity in enumerate(quantities or (10,), start=1)
        ),
    )
