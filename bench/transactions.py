"""How many whole transactions a second: from the order over HTTP to paid, with every piece of news taken by the CRM.

For a while orders come as fast as they are taken; then the backlog is worked off. The rate is of all orders over all that time,
from the first request to the last message. Two API processes take orders (one also the systems' events), two workers carry them,
and ERP, warehouse, tax service, payment gateway and CRM are the sandbox's, a process each, with no faults and as good as no delay
of their own. All of it, the client and PostgreSQL share the machine's cores, so the row says whose the CPU time was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from bench.goods import Goods
from bench.installation import Installation, cpu_by_process, installation, pids, shares
from bench.intake import prepared
from bench.load import Load, send_load
from bench.memory import MOST_MEGABYTES
from bench.processes import peak_megabytes, server_process
from bench.row import Place, Promise, Row
from bench.surroundings import scratch_database

_LINES = 4
"""An order of TPC-H has as many on average."""
_CONNECTIONS = 32
_LEAST_RATE = 150.0
_CORES = 4
_DONE_SECONDS = 120.0
_DELAYS = {"wms": {"delay_seconds": 0.0}, "payments": {"delay_seconds": 0.0}}
_PAID = "select count(*) from transactions where settlement = 'paid'"
_STATE = f"select ({_PAID}) as paid, exists (select from messages) as waiting"


@dataclass(frozen=True, slots=True)
class Whole:
    """What came of the orders, over how long, and whose CPU time it took, in seconds by process."""

    orders: int
    paid: int
    published: int
    seconds: float
    intake_seconds: float
    cpu: Mapping[str, float]
    megabytes: float

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.paid / self.seconds


async def row(place: Place) -> Row:
    """The row of the table."""
    goods, seconds = (Goods(20, 50, _LINES), 0.5) if place.smoke else (Goods(500, 1_000, _LINES), 10.0)
    async with scratch_database(place.server, "bench_transactions") as url:
        whole = await measure_whole(url, place.folder, goods, seconds, processes=1 if place.smoke else 2)
    used = sum(whole.cpu.values())
    return Row(
        name="transactions",
        what=f"{whole.orders:,} orders of {_LINES} lines to paid and published, against the sandbox's systems",
        unit="transactions/s",
        ours=whole.rate,
        promises=(
            Promise("transactions a second", whole.rate, least=_LEAST_RATE, cores=_CORES),
            Promise("MB of the largest of our processes", whole.megabytes, most=MOST_MEGABYTES),
        ),
        notes=(
            f"{whole.paid:,} paid, {whole.published:,} pieces of news with the CRM; orders came for {whole.intake_seconds:.0f} "
            f"of the {whole.seconds:.0f} seconds",
            f"CPU: {used / whole.paid * 1000:.1f} ms a transaction, {used / whole.seconds:.2f} cores busy",
            f"of it {shares(whole.cpu)}",
        ),
        detail={"cpu_seconds": dict(whole.cpu), "orders": whole.orders, "seconds": whole.seconds},
    )


async def measure_whole(url: str, folder: Path, goods: Goods, seconds: float, processes: int) -> Whole:
    """Drive orders through an installation with so many API processes and workers, on the empty database at `url`. Raises
    RuntimeError when some are not done."""
    orders = folder / "whole-orders.ndjson"
    orders.write_bytes(prepared(goods.orders(500)))
    server = await server_process(url)
    connection = await asyncpg.connect(url)
    try:
        async with installation(url, folder, goods, apis=processes, workers=processes, settings=_DELAYS) as running:
            before = cpu_by_process(running, server)
            started = time.perf_counter()
            taken = await _submit(running, orders, seconds)
            intake_seconds = time.perf_counter() - started
            paid = await _until_done(connection, taken.orders)
            passed = time.perf_counter() - started
            after = cpu_by_process(running, server)
            published = await connection.fetchval("select count(*) from lineage where stage = 'publication'")
            megabytes = max(peak_megabytes(pid) for pid in pids(("api", "worker"), running))
    finally:
        await connection.close()
    cpu = {name: after[name] - before[name] for name in after} | {"client": taken.client_seconds}
    return Whole(taken.orders, paid, published, passed, intake_seconds, cpu, megabytes)


@dataclass(frozen=True, slots=True)
class _Taken:
    orders: int
    client_seconds: float


async def _submit(running: Installation, orders: Path, seconds: float) -> _Taken:
    """Orders to all API processes at once, each from a client of its own."""
    headers = {"Authorization": f"Bearer {running.key}"}
    loads = [
        Load(
            port,
            running.processes[f"api-{number}"],
            "/v1/orders",
            headers,
            str(orders),
            number * 10**7,
            _CONNECTIONS,
            seconds,
        )
        for number, port in enumerate(running.ports, 1)
    ]
    seen = await asyncio.gather(*(send_load(load) for load in loads))
    return _Taken(sum(each.orders for each in seen), sum(each.client_cpu * each.seconds for each in seen))


async def _until_done(connection: asyncpg.Connection[asyncpg.Record], orders: int) -> int:
    """Until every order is paid and nothing waits; how many are paid."""
    deadline = time.monotonic() + _DONE_SECONDS
    while time.monotonic() < deadline:
        state = await connection.fetchrow(_STATE)
        if state is not None and state["paid"] == orders and not state["waiting"]:
            return orders
        await asyncio.sleep(0.2)
    open_now = await connection.fetch("select type, count(*) from exceptions where state = 'open' group by type")
    waiting = await connection.fetch("select stage, system, state, count(*) from messages group by 1, 2, 3")
    raise RuntimeError(
        f"not all of {orders} orders were paid after {_DONE_SECONDS:g} s: {await connection.fetchval(_PAID)} are; "
        f"exceptions {[tuple(each) for each in open_now]}, messages {[tuple(each) for each in waiting]}"
    )
