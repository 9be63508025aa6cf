"""A whole small company for the stages' tests: real database, API and worker here, the sandbox's systems as processes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import orjson
import uvicorn
from standardwebhooks.webhooks import Webhook
from tests.integration.systems.sandbox_erp_masters import load, load_masters

from tallystick.api.app import create_app
from tallystick.control.keys import create_key
from tallystick.documents.transaction import Transaction
from tallystick.installation import connect_systems
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.sandbox.process import listen
from tallystick.settings import Settings, parse_settings
from tallystick.stages.flow import Flow
from tallystick.stages.transactions import read_transactions
from tallystick.stages.worker import keep_replicas_fresh, make_dispatcher
from tallystick.store.pool import Pool, open_pool

SYSTEMS = ("erp", "tax", "wms", "payments", "crm")
LONGEST_WAIT = 20.0
_numbers = itertools.count(1)
Found = TypeVar("Found")


def order(*quantities: str, **changes: Any) -> dict[str, Any]:
    """An order of anvils and bolts at their list price, with a number of its own; California's tax comes on top."""
    products = itertools.cycle(("ANVIL", "BOLT"))
    lines = [
        {"line_number": number, "product_id": product, "quantity": quantity, "unit_price": "10.00"}
        for number, (quantity, product) in enumerate(zip(quantities or ("10", "4"), products, strict=False), start=1)
    ]
    return {
        "channel": "crm",
        "order_number": f"SO-{next(_numbers)}",
        "customer_id": "C-1",
        "currency": "USD",
        "ordered_at": datetime.now(UTC).isoformat(),
        "ship_to": {"country": "US", "region": "CA"},
        "lines": lines,
    } | changes


@dataclass(slots=True)
class Company:
    """The installation and everybody around it. Every order goes by its own number, so tests do not disturb each other."""

    sandbox: Sandbox
    flow: Flow
    clients: Mapping[str, httpx.AsyncClient]
    database: str
    """The URL of its database."""

    @property
    def pool(self) -> Pool:
        return self.flow.pool

    # What people and channels do, over HTTP.

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = "admin",
        version: int | None = None,
        status: int = 0,
    ) -> Any:
        """A call of the API; must succeed, or answer `status`."""
        headers = {"if-match": f'"{version}"'} if version is not None else {}
        content = orjson.dumps(body) if body is not None else b""
        headers |= {"content-type": "application/json"} if content else {}
        answer = await self.clients[by].request(method, f"/v1{path}", content=content, headers=headers)
        assert answer.status_code == status if status else answer.is_success, answer.text
        return answer.json()

    async def submit(self, body: dict[str, Any], status: int = 201) -> UUID:
        """Submit an order as its channel does; its transaction's id."""
        answer = await self.call("POST", "/orders", body, by="sales", status=status)
        return UUID(answer["transaction_id"])

    async def submit_planned(
        self, body: dict[str, Any], ships: str = "nothing", pays: str = "never", **plan: Any
    ) -> UUID:
        """Submit an order with what warehouse and payer do of their own accord; by themselves nothing."""
        await self.plan(body["order_number"], ships, pays, **plan)
        return await self.submit(body)

    async def plan(self, number: str, ships: str = "nothing", pays: str = "never", **plan: Any) -> None:
        """Plan an order before it comes."""
        wms = {key: value for key, value in plan.items() if key in ("fraction", "rest_delay_seconds", "delay_seconds")}
        await self.sandbox.call("wms", "PUT", f"/plans/{number}", {"kind": ships} | wms)
        money = {"difference": plan["difference"]} if "difference" in plan else {}
        await self.sandbox.call("payments", "PUT", f"/plans/{number}", {"kind": pays} | money)

    async def exception(self, transaction_id: UUID, kind: str) -> dict[str, Any]:
        """The one open exception of this type of a transaction, once there is one."""

        async def found() -> list[dict[str, Any]]:
            path = f"/exceptions?transaction_id={transaction_id}&type={kind}"
            items: list[dict[str, Any]] = (await self.call("GET", path))["items"]
            return items

        items = await until(found, bool)
        assert len(items) == 1
        shown: dict[str, Any] = await self.call("GET", f"/exceptions/{items[0]['id']}")
        return shown

    async def work(self, exception: Mapping[str, Any], action: str, body: Any = None, **more: Any) -> Any:
        """Do something with an exception that was read."""
        path = f"/exceptions/{exception['id']}:{action}"
        return await self.call("POST", path, body, version=exception["version"], **more)

    # What is known of a transaction.

    async def transaction(self, transaction_id: UUID) -> Transaction:
        async with self.pool.acquire() as connection:
            return (await read_transactions(connection, [transaction_id]))[transaction_id]

    async def reach(self, transaction_id: UUID, **states: str | int) -> Transaction:
        """The transaction once its states are these."""

        def there(transaction: Transaction) -> bool:
            return all(getattr(transaction, name) == value for name, value in states.items())

        return await until(lambda: self.transaction(transaction_id), there)

    async def at_rest(self, transaction_id: UUID) -> None:
        """Wait until none of its messages has anything to do."""

        async def moving() -> int:
            count: int = await self.pool.fetchval(
                "select count(*) from messages where transaction_id = $1 and state = 'ready'", transaction_id
            )
            return count

        await until(moving, lambda count: count == 0)

    async def facts(self, transaction_id: UUID) -> list[dict[str, Any]]:
        """Its lineage."""
        items: list[dict[str, Any]] = (await self.call("GET", f"/transactions/{transaction_id}/lineage"))["items"]
        return items

    async def told(self, transaction_id: UUID) -> list[str]:
        """What the CRM was told of its order, in the order it came, without the frame of the names."""
        found = await self.transaction(transaction_id)
        try:
            shown = await self.sandbox.call("crm", "GET", f"/v1/orders/{found.channel}/{found.order_number}")
        except httpx.HTTPStatusError:
            return []  # nothing has reached it yet
        return [
            each["event_type"].removeprefix("tallystick.").removesuffix(".v1")
            for each in shown["updates"]
            if each["transaction_id"] == str(transaction_id)
        ]

    async def books(self, transaction_id: UUID, kind: str) -> list[dict[str, Any]]:
        """The ERP's own entries of this kind that carry the transaction's reference."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = await self.sandbox.call("erp", "POST", "/v1/books/search", {"after": after, "limit": 1000})
            found += [each for each in page["items"] if transaction_id.hex in (each["reference"] or "")]
            after = page["next"]
        return [each for each in found if each["kind"] == kind]

    async def erp_order(self, transaction_id: UUID) -> dict[str, Any]:
        """The order as the ERP shows it."""
        found = await self.transaction(transaction_id)
        shown: dict[str, Any] = await self.sandbox.call("erp", "GET", f"/v1/orders/{found.erp_reference}")
        return shown

    async def warehouse_orders(self, transaction_id: UUID) -> list[dict[str, Any]]:
        """The warehouse's orders for it, the oldest first."""
        path = f"/v1/shipment-requests?order_reference=TS-{transaction_id.hex}"
        items: list[dict[str, Any]] = (await self.sandbox.call("wms", "GET", path))["items"]
        return items

    # What the systems around tell.

    async def send(self, system: str, kind: str, subject: object, data: Mapping[str, Any], **changes: Any) -> str:
        """Send an event as a system does, signed; returns the answer's code."""
        [code] = await self.send_all(system, [event(system, kind, subject, data) | changes])
        return code

    async def send_all(self, system: str, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Send events in one call; returns the answers' codes in their order."""
        body = orjson.dumps(events)
        now = datetime.now(UTC)
        signature = Webhook(self.sandbox.servers[system].event_secret).sign("msg", now, body.decode())
        headers = {"webhook-id": "msg", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
        headers["content-type"] = "application/cloudevents-batch+json"
        answer = await self.clients["nobody"].post("/v1/events", content=body, headers=headers)
        results = answer.json().get("results") or [answer.json()]
        return [each["code"] for each in results]

    async def ship(self, transaction_id: UUID, *lines: tuple[int, str], final: bool = False, **changes: Any) -> str:
        """Tell as the warehouse that these (line, quantity) left; returns the shipment's number."""
        data = shipment(*lines, final=final) | changes
        assert await self.send("wms", "shipment.dispatched", transaction_id, data) == "event.taken"
        return str(data["number"])

    async def pay(self, transaction_id: UUID, amount: int, invoice: str | None, **changes: Any) -> dict[str, Any]:
        """Tell as the payment side that money came in."""
        data = payment(amount, invoice) | changes
        assert await self.send("payments", "payment.received", transaction_id, data) == "event.taken"
        return data

    async def faults(self, system: str, **plan: Any) -> None:
        """Break a system, or heal it."""
        await self.sandbox.put_faults(system, plan)


def event(system: str, kind: str, subject: object, data: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a sandbox system with an id of its own."""
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": f"/systems/{system}",
        "type": f"tallystick.{kind}.v1",
        "subject": str(subject),
        "data": dict(data),
    }


def shipment(*lines: tuple[int, str], final: bool = False) -> dict[str, Any]:
    """A shipment of these (line, quantity) of an order of anvils and bolts."""
    return {
        "number": f"HAND-{next(_numbers)}",
        "shipped_at": datetime.now(UTC).isoformat(),
        "lines": [
            {"line_number": line, "product_id": "ANVIL" if line % 2 else "BOLT", "quantity": quantity}
            for line, quantity in lines
        ],
        "final": final,
    }


def payment(amount: int, invoice: str | None) -> dict[str, Any]:
    """A transfer in US dollars (minor units)."""
    return {
        "number": f"CHARGE-{next(_numbers)}",
        "currency": "USD",
        "amount": amount,
        "paid_at": datetime.now(UTC).isoformat(),
        "invoice_number": invoice,
    }


async def until(
    look: Callable[[], Awaitable[Found]], good: Callable[[Found], bool], seconds: float = LONGEST_WAIT
) -> Found:
    """What `look` sees, once it is good; fails with what it saw last."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not good(found := await look()):
        assert asyncio.get_running_loop().time() < deadline, f"not reached in {seconds:g} s: {found}"
        await asyncio.sleep(0.05)
    return found


def _settings(sandbox: Sandbox) -> Settings:
    systems: dict[str, dict[str, Any]] = {
        name: {**sandbox.servers[name].connection, "breaker_seconds": 0.3, "read_timeout": 2} for name in SYSTEMS
    }
    systems["erp"]["poll_seconds"] = 0.2
    policy = {"overtaken_shipment_seconds": 0.7, "deadline_seconds": 1.5, "tax": {"source": "live"}}
    return parse_settings(
        {
            "worker": {
                "poll_seconds": 0.5,
                "maximum_attempts": 30,
                "backoff_seconds": 0.05,
                "backoff_limit_seconds": 0.3,
            },
            "systems": systems,
            "entities": {
                "default": {**{name: name for name in SYSTEMS}, "policy": policy},
                "agreed": {
                    "erp": "erp",
                    "wms": "wms",
                    "policy": {"disabled_checks": ["price"], "deadline_seconds": 20},
                },
            },
        }
    )


@asynccontextmanager
async def open_company(folder: Path, database: str) -> AsyncIterator[Company]:
    """Start everybody; the systems learn the hub's address before it serves."""
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with Sandbox(folder, hub_url=url) as sandbox:
        await sandbox.start(*(ServerPlan(name) for name in SYSTEMS))
        await load_masters(sandbox)
        settings = _settings(sandbox)
        flow = Flow(await open_pool(database, size=8), settings, connect_systems(settings))
        clients = await _clients(flow.pool, url)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Flow]:
            yield flow

        server = uvicorn.Server(uvicorn.Config(create_app(settings.server, opened), log_level="error"))
        dispatcher = make_dispatcher(flow, flow.pool)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        working = asyncio.create_task(dispatcher.run())
        refreshing = asyncio.create_task(keep_replicas_fresh(flow))
        try:
            await until(lambda: flow.pool.fetchval("select count(*) from replica_feeds where complete"), bool)
            yield Company(sandbox, flow, clients, database)
        finally:
            dispatcher.stop()
            server.should_exit = True
            refreshing.cancel()
            await asyncio.gather(serving, working, refreshing, return_exceptions=True)
            for client in clients.values():
                await client.aclose()
            for system in flow.systems.values():
                await system.close()
            await flow.pool.close()


async def _clients(pool: Pool, url: str) -> dict[str, httpx.AsyncClient]:
    clients = {"nobody": httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)}
    async with pool.acquire() as connection:
        for name in ("admin", "sales", "operator", "finance"):
            secret = (await create_key(connection, name, [name])).secret
            headers = {"authorization": f"Bearer {secret}"}
            clients[name] = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30)
    return clients


async def add_customer(company: Company, customer_id: str, **master: Any) -> str:
    """A customer of a test's own, known to the replica when this returns."""
    await load(company.sandbox, "erp", "customers", {"id": customer_id, "name": customer_id, **master})
    query = "select count(*) from replica_credit where customer_id = $1"
    await until(lambda: company.pool.fetchval(query, customer_id), bool)
    return customer_id
