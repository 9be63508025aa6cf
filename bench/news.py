"""How long it takes from an event at our door until the subscriber has been called: a shipment, by way of the ERP, to the CRM.

A warehouse's signed events come by the clock, each for an order of its own that the ERP has: `POST /v1/events`, one message to
record the shipment in the ERP, its outcome with the news, and the news to the CRM. An event's time runs from the moment that the
clock said until the CRM's request was read. Meanwhile the ERP also posts the invoices that follow, and their news and requests
for payment go out; nobody pays. One API process, one worker, the sandbox's systems, and our own subscriber in the CRM's place.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
from bench.goods import Goods
from bench.installation import Installation, cpu_by_process, installation, shares
from bench.intake import prepared
from bench.load import Load, send_load
from bench.processes import server_process
from bench.receiver import Receiver, receiving
from bench.row import Place, Promise, Row
from bench.surroundings import scratch_database
from standardwebhooks import Webhook

from tallystick.documents.event import EventType

OFFERED = 50.0
_MOST_P99_MS = 150.0
_LINES = 4
_PATIENCE_SECONDS = 60.0
_SETTINGS = {"wms": {"weights": {"nothing": 1}}, "payments": {"weights": {"never": 1}}}
_COMMITTED = """
    select t.id, t.order_number, d.body from transactions t join documents d on d.transaction_id = t.id and d.type = 'order'
    where t.commitment = 'committed' limit $1
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One signed request, and the order that it is about."""

    order_number: str
    body: bytes
    id: str


async def row(place: Place) -> Row:
    """The row of the table."""
    goods, seconds = (Goods(20, 50, _LINES), 1.0) if place.smoke else (Goods(500, 1_000, _LINES), 25.0)
    async with scratch_database(place.server, "bench_news") as url:
        measured, cpu = await measure_news(url, place.folder, goods, seconds)
    latencies = sorted(measured)
    p50, p99 = (latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
    return Row(
        name="news",
        what=f"{len(latencies):,} signed shipment events at {OFFERED:g}/s, through the ERP, to the subscriber that was called",
        unit="ms, p99",
        ours=p99,
        promises=(Promise(f"p99 in ms at {OFFERED:g}/s offered, from the scheduled moment", p99, most=_MOST_P99_MS),),
        notes=(
            f"p50 {p50:.1f} ms, slowest {latencies[-1]:.1f} ms",
            f"CPU: {sum(cpu.values()) / len(latencies) * 1000:.1f} ms an event with what follows; of it {shares(cpu)}",
        ),
        detail={"p50_ms": p50, "p99_ms": p99, "most_ms": latencies[-1], "events": len(latencies)},
    )


async def measure_news(url: str, folder: Path, goods: Goods, seconds: float) -> tuple[list[float], dict[str, float]]:
    """Each event's milliseconds, and CPU seconds by process, on an installation of its own on the empty database at `url`.

    Raises RuntimeError when an event is refused, TimeoutError when its news does not come.
    """
    count, server = int(OFFERED * seconds), await server_process(url)
    async with (
        receiving() as receiver,
        installation(url, folder, goods, settings=_SETTINGS, crm=receiver.url) as running,
    ):
        committed = await _committed(url, folder, goods, running, count)
        warm, measured = committed[: count // 5], committed[count // 5 :]
        await _send(running, warm, receiver)
        before = cpu_by_process(running, server)
        sent = await _send(running, measured, receiver)
        after = cpu_by_process(running, server)
    latencies = [(receiver.came_at[number, EventType.ORDER_SHIPPED.value] - due) * 1000 for number, due in sent.items()]
    return latencies, {name: after[name] - before[name] for name in after}


async def _committed(url: str, folder: Path, goods: Goods, running: Installation, count: int) -> list[asyncpg.Record]:
    """Orders that the ERP has and nobody ships, a fifth more than are asked for, once nothing is left to do for them."""
    wanted = count + count // 5
    orders = folder / "news-orders.ndjson"
    orders.write_bytes(prepared(goods.orders(500)))
    headers = {"Authorization": f"Bearer {running.key}"}
    connection = await asyncpg.connect(url)
    await connection.set_type_codec("jsonb", encoder=orjson.dumps, decoder=orjson.loads, schema="pg_catalog")
    try:
        taken = 0
        while taken < wanted:
            load = Load(
                running.ports[0], running.processes["api-1"], "/v1/orders", headers, str(orders), taken, 16, 1.0
            )
            taken += (await send_load(load)).orders
        async with asyncio.timeout(_PATIENCE_SECONDS):
            waiting = "select exists (select from messages)"
            while await connection.fetchval(waiting):  # noqa: ASYNC110 - workers of other processes empty it
                await asyncio.sleep(0.1)
        return await connection.fetch(_COMMITTED, wanted)
    finally:
        await connection.close()


async def _send(running: Installation, orders: Sequence[asyncpg.Record], receiver: Receiver) -> dict[str, float]:
    """Send an event for each order by the clock, and wait until all news has come; when each was due, by order number."""
    events = [_event(each) for each in orders]
    due: dict[str, float] = {}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{running.ports[0]}", trust_env=False, timeout=30
    ) as client:
        signer = Webhook(running.sandbox.servers["wms"].event_secret)
        async with asyncio.TaskGroup() as group:
            started = time.perf_counter()
            for number, event in enumerate(events):
                due[event.order_number] = moment = started + number / OFFERED
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                group.create_task(_post(client, signer, event))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            wanted = {(each, EventType.ORDER_SHIPPED.value) for each in due}
            while not wanted <= receiver.came_at.keys():  # noqa: ASYNC110 - only at the end is anybody waiting for it
                await asyncio.sleep(0.05)
    return due


async def _post(client: httpx.AsyncClient, signer: Webhook, event: Event) -> None:
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/cloudevents+json",
        "webhook-id": event.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(event.id, now, event.body.decode()),
    }
    response = await client.post("/v1/events", content=event.body, headers=headers)
    if response.status_code != 202:
        raise RuntimeError(f"an event was answered {response.status_code}: {response.text[:500]}")


def _event(order: asyncpg.Record) -> Event:
    """The whole order leaves the warehouse."""
    identifier, now = str(uuid.uuid4()), datetime.now(UTC).isoformat()
    lines = [
        {name: line[name] for name in ("line_number", "product_id", "quantity")} for line in order["body"]["lines"]
    ]
    data: dict[str, Any] = {"number": f"SH-{order['order_number']}", "shipped_at": now, "lines": lines, "final": True}
    envelope = {
        "specversion": "1.0",
        "id": identifier,
        "source": "/systems/wms",
        "type": EventType.SHIPMENT_DISPATCHED.value,
        "subject": str(order["id"]),
        "time": now,
        "data": data,
    }
    return Event(order["order_number"], orjson.dumps(envelope), identifier)
