"""How many orders a second one process checks: 20 lines each, all five checks on replica data, by size of the batch.

python -m bench.checks [--seconds N] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import time

from bench.goods import Goods, load_replica
from bench.surroundings import scratch_folder, scratch_server

from tallystick.checks.runner import CheckRunner
from tallystick.documents.decision import Decision, gravest
from tallystick.documents.order import Order
from tallystick.settings import Entity, FactsPolicy, Policy
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Pool, open_pool

ENTITY = Entity(erp="erp", tax="tax", policy=Policy(tax=FactsPolicy(source="replica"), deadline_seconds=30))


async def measure(pool: Pool, size: int, seconds: float, made: list[Order]) -> tuple[float, float]:
    """Orders a second, and CPU milliseconds of this process an order."""
    runner = CheckRunner(pool, {})
    for start in range(0, len(made), size):  # warm
        results = await runner.check(ENTITY, made[start : start + size])
        assert all(gravest(each) is Decision.ACCEPT for each in results), results[0]  # noqa: S101
    done, start = 0, 0
    started, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        batch = made[start : start + size]
        await runner.check(ENTITY, batch)
        done += len(batch)
        start = (start + size) % len(made)
    elapsed = time.perf_counter() - started
    return done / elapsed, (time.process_time() - cpu) / done * 1000


async def run(url: str, seconds: float, profile: bool) -> None:
    """Print the table."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=8)
    goods = Goods()
    await load_replica(pool, goods, "erp", "tax")
    made = goods.orders(4_000)
    print(f"{'batch':>6} {'orders/s':>10} {'CPU ms/order':>13}")
    for size in (1, 16, 64, 500):
        rate, cpu = await measure(pool, size, seconds, made)
        print(f"{size:>6} {rate:>10,.0f} {cpu:>13.3f}")
    if profile:
        profiler = cProfile.Profile()
        profiler.enable()
        await measure(pool, 16, seconds, made)
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
    await pool.close()


def main() -> None:
    """Run it on an embedded server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with scratch_folder() as folder, scratch_server(folder) as server:
        asyncio.run(run(server, options.seconds, options.profile))


if __name__ == "__main__":
    main()
