"""How many orders a second `orders:batch` takes in: NDJSON streams, an answer a line, as many API processes as there are cores.

The orders and the replica are those of the intake row: 20 lines, five checks, everything kept. Two streams go to each process, so
that one is decided while the other comes in. Client and PostgreSQL share the machine's cores, and have their part in the profile.
"""

from __future__ import annotations

import os
import statistics
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.goods import LINES, Goods
from bench.intake import all_accepted, our_server, tallystick_api
from bench.processes import cpu_seconds, server_cpu_seconds, server_process
from bench.row import Place, Promise, Row
from bench.stream import Streamed, Streams, send_streams
from bench.surroundings import scratch_database

_LEAST_RATE = 5_000.0
_CORES = 4
_STREAMS = 2
"""To each process."""


@dataclass(frozen=True, slots=True)
class Round:
    """What the client saw, and CPU milliseconds an order of all API processes and of the database server."""

    seen: Streamed
    apis_ms: float
    server_ms: float

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.seen.orders / self.seen.seconds


async def row(place: Place) -> Row:
    """The row of the table."""
    cores = len(os.sched_getaffinity(0))
    goods, count, rounds = (Goods(50, 200), 50, 1) if place.smoke else (Goods(), 3_000, 3)
    async with scratch_database(place.server, "bench_batch") as url:
        measured = await measure_batch(url, place.folder, goods, processes=cores, count=count, rounds=rounds)
    rate, apis, server = (
        statistics.median(figures)
        for figures in zip(*((each.rate, each.apis_ms, each.server_ms) for each in measured), strict=True)
    )
    client = statistics.median(each.seen.client_seconds / each.seen.orders * 1000 for each in measured)
    return Row(
        name="batch",
        what=f"orders of {LINES} lines as NDJSON, five checks on replica data, {cores} API processes, {_STREAMS} streams to each",
        unit="orders/s",
        ours=rate,
        promises=(Promise("orders a second", rate, least=_LEAST_RATE, cores=_CORES),),
        notes=(
            f"CPU an order: API {apis:.2f} ms, database server {server:.2f} ms, client {client:.2f} ms; "
            f"rounds: {', '.join(f'{each.rate:,.0f}' for each in measured)}",
        ),
        detail={"rounds": [asdict(each) | {"rate": each.rate} for each in measured]},
    )


async def measure_batch(
    url: str, folder: Path, goods: Goods, *, processes: int, count: int, rounds: int
) -> list[Round]:
    """Stream `count` orders on each stream, on the empty database at `url`. Raises RuntimeError when one was not accepted."""
    server = await server_process(url)
    async with our_server(url, folder, goods) as first, AsyncExitStack() as stack:
        more = [await stack.enter_async_context(tallystick_api(url, folder)) for _ in range(processes - 1)]
        addresses = [first.address, *more]
        ports = [port for port, _ in addresses] * _STREAMS
        measured = []
        for number in range(rounds + 1):  # the first warms caches and plans up
            started = number * len(ports) * count
            streams = Streams(ports, first.headers, str(first.orders), started, count if number else count // 4 + 1)
            apis_cpu, server_cpu = sum(cpu_seconds(pid) for _, pid in addresses), server_cpu_seconds(server)
            seen = await send_streams(streams)
            apis_cpu = sum(cpu_seconds(pid) for _, pid in addresses) - apis_cpu
            server_cpu = server_cpu_seconds(server) - server_cpu
            measured.append(Round(seen, apis_cpu / seen.orders * 1000, server_cpu / seen.orders * 1000))
    kept = await all_accepted(url)
    if kept != sum(each.seen.orders for each in measured):
        raise RuntimeError(
            f"{sum(each.seen.orders for each in measured)} orders were answered, but {kept} are accepted"
        )
    return measured[1:]
