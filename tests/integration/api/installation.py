"""A small installation for the API's tests: two entities on replica data, one principal for each role, no outside system."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from fastapi import FastAPI

from tallystick.api.app import create_app
from tallystick.checks.refresh import apply_changes
from tallystick.checks.replica import lock_replica
from tallystick.control.access import PERMISSIONS
from tallystick.control.keys import create_key
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.settings import Settings, parse_settings
from tallystick.stages.flow import Flow
from tallystick.store.pool import Pool, open_pool
from tallystick.systems.ports import Change, System

EVENT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_numbers = itertools.count(1)


def configuration(**server: Any) -> dict[str, Any]:
    """East and west each have systems of their own; `shared` is the sales side of both."""
    wms = {"kind": "sandbox_wms", "event_source": "/systems/wms_east", "event_secret": EVENT_SECRET}
    return {
        "server": server,
        "systems": {
            "erp_east": {"kind": "sandbox_erp"},
            "erp_west": {"kind": "sandbox_erp"},
            "wms_east": wms,
            "wms_west": wms | {"event_source": "/systems/wms_west"},
            "shared": {"kind": "sandbox_crm", "event_source": "/systems/shared", "event_secret": EVENT_SECRET},
        },
        "entities": {
            "east": {"erp": "erp_east", "wms": "wms_east", "crm": "shared"},
            "west": {"erp": "erp_west", "wms": "wms_west", "crm": "shared"},
        },
    }


def settings(**server: Any) -> Settings:
    """The configuration, parsed."""
    return parse_settings(configuration(**server))


async def seed_replicas(pool: Pool, system: str, customer: str = "C-1", unit_price: str = "10.00") -> None:
    """A customer with credit of 10,000.00, products P-1 and P-2 at one price with 1,000 in stock each."""
    now = datetime.now(UTC)
    credit = CreditPosition(customer_id=customer, currency="USD", limit=1_000_000)
    changes = [
        Change("customer", customer, Customer(id=customer, name="Best Bolts"), now),
        Change("credit", customer, credit, now),
    ]
    for product in ("P-1", "P-2"):
        price = Price(product_id=product, currency="USD", unit_price=Decimal(unit_price))
        stock = StockLevel(product_id=product, warehouse="MAIN", available=Decimal(1000))
        changes += [
            Change("product", product, Product(id=product, name=product), now),
            Change("price", f"{product}-list", price, now),
            Change("stock", f"{product}/MAIN", stock, now),
        ]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("insert into replica_feeds (system, complete) values ($1, true)", system)
        await lock_replica(connection, system)
        await apply_changes(connection, system, changes)


def order(**changes: Any) -> dict[str, Any]:
    """A small order of the east that every check accepts, with a number of its own."""
    return {
        "entity": "east",
        "channel": "webshop",
        "order_number": f"W-{next(_numbers)}",
        "customer_id": "C-1",
        "currency": "USD",
        "ordered_at": "2026-11-24T09:30:00Z",
        "lines": [{"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "10.00"}],
    } | changes


def held_order(**changes: Any) -> dict[str, Any]:
    """An order whose price is too high, so that the price check holds it."""
    return order(lines=[{"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "8.00"}], **changes)


@dataclass(slots=True)
class Served:
    """The application with its flow, and clients who act as somebody."""

    app: FastAPI
    flow: Flow
    keys: Mapping[str, str]

    def acting_as(self, name: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client with the key of a role (every entity), of `east_<role>`, or with none."""
        authorization = {"Authorization": f"Bearer {self.keys[name]}"} if name else {}
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport, base_url="http://tallystick.test", headers=authorization | headers
        )

    @property
    def pool(self) -> Pool:
        return self.flow.pool


@asynccontextmanager
async def serve(url: str, **server: Any) -> AsyncIterator[Served]:
    """The application over the database at `url`, with replicas and keys."""
    async with serve_settings(url, settings(**server)) as served:
        yield served


@asynccontextmanager
async def serve_settings(url: str, made: Settings, systems: Mapping[str, System] = {}) -> AsyncIterator[Served]:
    """The same by other settings, which have at least the entities and ERPs of ours, and with these systems."""
    pool = await open_pool(url, size=8)
    flow = Flow(pool, made, systems)
    keys = {}
    async with pool.acquire() as connection:
        for role in PERMISSIONS:
            keys[role] = (await create_key(connection, role, [role])).secret
            keys[f"east_{role}"] = (await create_key(connection, f"east_{role}", [role], ["east"])).secret
    for system in ("erp_east", "erp_west"):
        await seed_replicas(pool, system)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Flow]:
        yield flow

    app = create_app(made.server, opened)
    async with app.router.lifespan_context(app):
        yield Served(app, flow, keys)
    await pool.close()
