"""The five-step flow on Procrastinate: five jobs, each of which defers the next. Runs in the peers' own environment.

python bench/peers/procrastinate_flow.py URL fill COUNT | work

Settings after procrastinate.readthedocs.io: asynchronous tasks with many jobs at once in each worker, a connection for each, all
first jobs deferred as one batch, finished jobs deleted, workers woken by notifications.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

import procrastinate

CONCURRENCY = int(os.environ.get("BENCH_PROCRASTINATE_CONCURRENCY", "32"))
STEPS = ("order", "check", "commit", "invoice", "publish")


def make_app(url: str) -> procrastinate.App:
    """The application with its tasks."""
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=CONCURRENCY, max_size=CONCURRENCY + 4)
    app = procrastinate.App(connector=connector)
    for step, following in zip(STEPS, [*STEPS[1:], None], strict=True):
        app.task(name=step)(_step(app, following))
    return app


def _step(app: procrastinate.App, following: str | None) -> Any:
    async def step(payload: dict[str, Any]) -> None:
        if following:
            await app.tasks[following].defer_async(payload=payload)

    return step


async def fill(url: str, count: int, payload: dict[str, Any]) -> None:
    """Make the tables, and defer the first job of so many flows."""
    app = make_app(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await app.tasks[STEPS[0]].batch_defer_async(*({"payload": payload} for _ in range(count)))


async def work(url: str) -> None:
    """Run jobs from the first line on stdin until stdin ends."""
    app = make_app(url)
    async with app.open_async():
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        worker = asyncio.create_task(
            app.run_worker_async(
                concurrency=CONCURRENCY,
                fetch_job_polling_interval=1.0,
                delete_jobs="successful",
                install_signal_handlers=False,
            )
        )
        await asyncio.to_thread(sys.stdin.readline)
        worker.cancel()
        await asyncio.wait([worker])


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    if sys.argv[2] == "fill":
        asyncio.run(fill(sys.argv[1], int(sys.argv[3]), {"order_number": "B1000042", "amount": 1_234_567}))
    else:
        asyncio.run(work(sys.argv[1]))
