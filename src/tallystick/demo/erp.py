"""The demo's ERP, a real Tryton or the sandbox's fast one: started, loaded with masters, killed and brought back, counted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tallystick.demo.failure import DemoError
from tallystick.demo.trade import CURRENCY, WAREHOUSE, today
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.sandbox.tryton.folder import template_folder
from tallystick.sandbox.tryton.masters import Masters, load_masters
from tallystick.sandbox.tryton.server import TrytonError, TrytonServer
from tallystick.stages.references import PREFIX

NAME = "erp"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Connection:
    """What `[systems.<name>]` in the settings must say; secrets go there by way of the environment."""

    kind: str
    options: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)


class DemoErp(Protocol):
    """An ERP that the demo runs on."""

    title: str

    async def start(self, masters: Masters) -> None:
        """Start it with these masters in it and nothing else. Raises DemoError."""
        ...

    def connection(self) -> Connection:
        """How the hub connects to it."""
        ...

    async def kill(self) -> None:
        """End its server with -9."""
        ...

    async def come_back(self) -> None:
        """Start the killed server again."""
        ...

    async def references(self) -> list[tuple[str, str]]:
        """(kind, our reference) of every order, invoice and payment in it, drafts included: asked past our own connector."""
        ...

    async def stop(self) -> None:
        """Stop it and let go of everything."""
        ...


class TrytonErp:
    """A real Tryton 8.2 with a database of its own."""

    title = "Tryton 8.2"
    # What holds a reference of ours in Tryton, unless it was cancelled.
    _DOCUMENTS: tuple[tuple[str, str, str, list[Any]], ...] = (
        ("order", "sale.sale", "reference", []),
        ("invoice", "account.invoice", "reference", [("type", "=", "out")]),
        ("payment", "account.statement", "name", []),
    )

    def __init__(self) -> None:
        self._server: TrytonServer | None = None

    async def start(self, masters: Masters) -> None:
        """Prepare the template where there is none yet, copy it, start the server, load the masters in batches."""
        try:
            await asyncio.to_thread(self._start, masters)
        except (TrytonError, PermissionError) as error:
            raise DemoError(f"Tryton could not be started: {error}") from error

    def _start(self, masters: Masters) -> None:
        server = self._server = TrytonServer(template_folder())
        server.prepare()
        server.create_database(f"demo_{os.getpid()}")
        server.start()
        with server.client() as client:
            load_masters(client, masters, today=today())

    def _running(self) -> TrytonServer:
        if self._server is None:
            raise DemoError("Tryton was not started")
        return self._server

    def connection(self) -> Connection:
        """Over its network RPC, as the integration user."""
        server = self._running()
        options = {"url": server.url, "database": server.database, "user": server.user, "warehouse": WAREHOUSE}
        return Connection("tryton", options, {"password": server.password})

    async def kill(self) -> None:
        """End it with -9."""
        await asyncio.to_thread(self._running().kill)

    async def come_back(self) -> None:
        """Start it again on its port."""
        await asyncio.to_thread(self._running().start)

    async def references(self) -> list[tuple[str, str]]:
        """Read straight from Tryton's models."""
        return await asyncio.to_thread(self._references)

    def _references(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        with self._running().client() as client:
            for kind, model, named, domain in self._DOCUMENTS:
                rows = client.search(
                    model, [*domain, ("state", "!=", "cancelled"), (named, "like", f"{PREFIX}%")], [named]
                )
                found += [(kind, str(row[named])) for row in rows]
        return found

    async def stop(self) -> None:
        """Stop the server and drop its database."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
            await asyncio.to_thread(self._server.drop_database)


class SandboxErp:
    """The sandbox's ERP: small, fast, and as strict about credit, stock and references."""

    title = "the sandbox ERP"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def start(self, masters: Masters) -> None:
        """Start the server and load the masters over its own interface."""
        await self._sandbox.start(ServerPlan("erp", NAME))
        limits = masters.credit_limits
        await self._load(
            "customers",
            ({**each.model_dump(mode="json"), "credit_limit": limits.get(each.id)} for each in masters.customers),
        )
        await self._load("products", (each.model_dump(mode="json") for each in masters.products))
        await self._load(
            "prices",
            (
                {"product_id": product, "currency": CURRENCY, "unit_price": str(price)}
                for product, price in masters.list_prices.items()
            ),
        )
        await self._load("prices", (each.model_dump(mode="json") for each in masters.contract_prices))
        await self._load(
            "stock",
            (
                {"product_id": product, "warehouse": WAREHOUSE, "on_hand": str(quantity)}
                for product, quantity in masters.stock.items()
            ),
        )

    async def _load(self, path: str, items: Iterable[dict[str, Any]]) -> None:
        waiting = list(items)
        for at in range(0, len(waiting), _BATCH):
            batch = {"items": waiting[at : at + _BATCH]}
            answered = await self._sandbox.call(NAME, "POST", f"/v1/{path}/batch", batch)
            refused = [each for each in answered["items"] if each["status"] >= 400]
            if refused:
                raise DemoError(f"the sandbox ERP did not take {len(refused)} {path}, one: {refused[0]}")

    def connection(self) -> Connection:
        """Over HTTP."""
        return sandbox_connection(self._sandbox, NAME)

    async def kill(self) -> None:
        """End it with -9."""
        await self._sandbox.kill(NAME)

    async def come_back(self) -> None:
        """Start it again on its port; its journal has everything."""
        await self._sandbox.restart(NAME)

    async def references(self) -> list[tuple[str, str]]:
        """Read straight from its books, unless it was cancelled."""
        found: list[tuple[str, str]] = []
        following: int | None = 0
        while following is not None:
            page = await self._sandbox.call(NAME, "POST", "/v1/books/search", {"after": following})
            found += [(each["kind"], each["reference"]) for each in page["items"] if each["state"] != "cancelled"]
            following = page["next"]
        return found

    async def stop(self) -> None:
        """The sandbox stops it with all others."""


def sandbox_connection(sandbox: Sandbox, name: str) -> Connection:
    """How the hub connects to one of the sandbox's servers."""
    told = sandbox.servers[name].connection
    secrets = {option: told[option] for option in ("token", "event_secret")}
    options = {option: value for option, value in told.items() if option not in (*secrets, "kind")}
    return Connection(told["kind"], options, secrets)


def repeated(references: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each reference that stands in more than one document of its kind."""
    seen: set[tuple[str, str]] = set()
    twice: list[tuple[str, str]] = []
    for each in references:
        if each in seen:
            twice.append(each)
        seen.add(each)
    return twice
