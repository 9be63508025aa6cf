"""A whole installation on one machine: API and worker processes over one database, and the sandbox's systems around them.

All have their defaults but for what a row says. The sandbox's ERP gets the masters, and its change feed fills the replicas.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import asyncpg
from bench.goods import Goods
from bench.processes import cpu_seconds, server_cpu_seconds
from bench.surroundings import PROGRAM, serving, starting

from tallystick.control.keys import create_key
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, StockLevel
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.sandbox.loopback import free_port
from tallystick.settings import DATABASE_URL
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import open_pool

SYSTEMS = ("erp", "wms", "tax", "payments", "crm")
_BATCH = 1_000
_REPLICA_SECONDS = 60.0
_PATHS = {"customer": "customers", "product": "products", "price": "prices", "stock": "stock"}


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs, and how it is reached."""

    ports: tuple[int, ...]
    """Of the API processes; the systems send their events to the first."""
    processes: Mapping[str, int]
    """Process ids by name: api-1, worker-1, erp, …"""
    key: str
    """An API key that may submit orders."""
    sandbox: Sandbox


@asynccontextmanager
async def installation(
    url: str,
    folder: Path,
    goods: Goods,
    *,
    apis: int = 1,
    workers: int = 1,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    crm: str | None = None,
) -> AsyncIterator[Installation]:
    """Start everything on the empty database at `url`; it stops when left. `settings` are the sandbox servers' own, by name;
    `crm` is the address of somebody else who listens in the CRM's place. Raises RuntimeError when something does not come up."""
    ports = [free_port() for _ in range(apis)]
    sandbox = Sandbox(folder / "sandbox", hub_url=f"http://127.0.0.1:{ports[0]}")
    plans = [
        ServerPlan(name, settings=(settings or {}).get(name, {})) for name in SYSTEMS if not (crm and name == "crm")
    ]
    async with sandbox, AsyncExitStack() as stack:
        await sandbox.start(*plans)
        await _load_masters(sandbox, goods)
        written = folder / "installation.toml"
        written.write_text(_settings(sandbox, crm))
        await upgrade_schema(url)
        pool = await open_pool(url, size=2)
        async with pool.acquire() as connection:
            key = (await create_key(connection, "bench", ["sales"])).secret
        await pool.close()
        processes = {name: server.pid for name, server in sandbox.servers.items()}
        environment = {DATABASE_URL: url}
        for number in range(1, workers + 1):
            command = [PROGRAM, "worker", "--settings", str(written)]
            log = folder / f"worker-{number}.log"
            processes[f"worker-{number}"] = await stack.enter_async_context(starting(command, log, environment))
        for number, port in enumerate(ports, 1):
            command = [PROGRAM, "api", "--settings", str(written), "--port", str(port)]
            log = folder / f"api-{number}.log"
            processes[f"api-{number}"] = await stack.enter_async_context(serving(command, port, log, environment))
        await _until_replica(url)
        yield Installation(tuple(ports), processes, key, sandbox)


def _settings(sandbox: Sandbox, crm: str | None) -> str:
    """The settings file; its secrets are of this run, and go with it."""
    lines = []
    for name, server in sandbox.servers.items():
        lines += [f"[systems.{name}]", *(f'{option} = "{value}"' for option, value in server.connection.items())]
        lines += ["poll_seconds = 5" if name == "erp" else "", ""]
    if crm:
        lines += ["[systems.crm]", 'kind = "sandbox_crm"', f'url = "{crm}"', ""]
    lines += ["[entities.default]", *(f'{name} = "{name}"' for name in SYSTEMS)]
    return "\n".join(lines) + "\n"


async def _load_masters(sandbox: Sandbox, goods: Goods) -> None:
    """Everything that an order may name, in the order in which the ERP knows what it is told."""
    masters = goods.masters()
    limits = {each.key: each.value.limit for each in masters if isinstance(each.value, CreditPosition)}
    places = list(_PATHS)
    ordered = sorted((each for each in masters if each.kind in _PATHS), key=lambda each: places.index(each.kind))
    for kind, changes in groupby(ordered, key=lambda each: each.kind):
        items = [_imported(each.value, limits) for each in changes]
        for batch in (items[start : start + _BATCH] for start in range(0, len(items), _BATCH)):
            await _load(sandbox, _PATHS[kind], batch)


def _imported(value: Any, limits: Mapping[str, int | None]) -> dict[str, Any]:
    """A master as the sandbox's ERP takes it."""
    if isinstance(value, Customer):
        return {**value.model_dump(mode="json"), "credit_limit": limits.get(value.id)}
    if isinstance(value, StockLevel):
        return {"product_id": value.product_id, "warehouse": value.warehouse, "on_hand": "1000000000"}
    if isinstance(value, Price) and value.customer_id is None:
        return {"product_id": value.product_id, "currency": value.currency, "unit_price": str(value.unit_price)}
    told: dict[str, Any] = value.model_dump(mode="json", exclude_none=True)
    return told


async def _load(sandbox: Sandbox, path: str, batch: Sequence[Mapping[str, Any]]) -> None:
    answered = await sandbox.call("erp", "POST", f"/v1/{path}/batch", {"items": batch})
    refused = [each for each in answered["items"] if each["status"] >= 400]
    if refused:
        raise RuntimeError(f"the sandbox ERP did not take {len(refused)} {path}, one: {refused[0]}")


async def _until_replica(url: str) -> None:
    """Until the replica of the ERP is whole."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(_REPLICA_SECONDS):
            whole = "select bool_or(complete) from replica_feeds"
            while not await connection.fetchval(whole):  # noqa: ASYNC110 - a worker of another process fills it
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def cpu_by_process(running: Installation, server: int) -> dict[str, float]:
    """CPU seconds that each process has used until now, and the database server whose first process is `server`."""
    used = {name: cpu_seconds(pid) for name, pid in running.processes.items()}
    return used | {"postgresql": server_cpu_seconds(server)}


def shares(cpu: Mapping[str, float]) -> str:
    """Whose the CPU time was, in words, the most first."""
    used = sum(cpu.values())
    return ", ".join(f"{name} {seconds / used:.0%}" for name, seconds in sorted(cpu.items(), key=lambda each: -each[1]))


def pids(names: Iterable[str], running: Installation) -> list[int]:
    """Process ids of those whose names begin with one of `names`."""
    return [pid for name, pid in running.processes.items() if name.startswith(tuple(names))]
