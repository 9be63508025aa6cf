"""How much memory a process takes under load, and whether a worker that has delivered a million messages has grown.

The server is `tallystick api` under 64 connections. The worker is a process with the dispatcher and a null system, which gets its
messages in ten portions; what it has after the first is what it had to load, and what it has after the last is compared with it.
Processes with all stages and connected systems are weighed in the row of whole transactions.
"""

from __future__ import annotations

from bench.crew import tell_to_go
from bench.goods import Goods
from bench.intake import CONNECTIONS, our_server
from bench.mailbox import add_messages, fill_mailbox, until_empty, worker_processes
from bench.processes import peak_megabytes, resident_megabytes
from bench.row import Place, Promise, Row
from bench.surroundings import scratch_database

from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import open_pool

MOST_MEGABYTES = 300.0
_MOST_GROWTH_MEGABYTES = 5.0
"""What an allocator may hold more or less of from one moment to the next; of a million messages that is five bytes each."""
_PORTIONS = 10


async def row(place: Place) -> Row:
    """The row of the table."""
    goods, seconds, portion = (Goods(50, 200), 0.5, 1_000) if place.smoke else (Goods(), 10.0, 100_000)
    async with scratch_database(place.server, "bench_memory_api") as url, our_server(url, place.folder, goods) as ours:
        seen = await ours.take(0, seconds)
        api = peak_megabytes(ours.address[1])
    async with scratch_database(place.server, "bench_memory") as url:
        sizes, worker = await measure_worker(url, portion)
    return Row(
        name="memory",
        what=f"memory of an API process with {CONNECTIONS} connections, and of a worker over {_PORTIONS * portion:,} messages",
        unit="MB at most",
        ours=max(api, worker),
        promises=(
            Promise("MB of the largest process at load", max(api, worker), most=MOST_MEGABYTES),
            Promise(
                f"MB that a worker grew from {portion:,} to {_PORTIONS * portion:,} messages",
                sizes[-1] - sizes[0],
                most=_MOST_GROWTH_MEGABYTES,
            ),
        ),
        notes=(
            f"API: {api:.0f} MB at most, with {seen.orders:,} orders taken",
            f"worker: {worker:.0f} MB at most; after each portion {', '.join(f'{each:.1f}' for each in sizes)} MB",
        ),
        detail={"api_megabytes": api, "worker_megabytes": worker, "after_each_portion": sizes},
    )


async def measure_worker(url: str, portion: int) -> tuple[list[float], float]:
    """What one worker has after each portion of messages, and the most that it had, in MB; on a database of its own."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=2)
    await fill_mailbox(pool, portion)
    sizes = []
    async with worker_processes(url, "mailbox", 1) as processes, pool.acquire() as connection:
        tell_to_go(processes)
        await until_empty(connection)
        for _ in range(_PORTIONS - 1):
            sizes.append(resident_megabytes(processes[0].pid))
            await add_messages(connection, portion)
            await until_empty(connection)
        sizes.append(resident_megabytes(processes[0].pid))
        most = peak_megabytes(processes[0].pid)
    await pool.close()
    return sizes, most
