"""The five-step flow on DBOS: a workflow of five steps that do nothing, from a queue. Runs in the peers' own environment.

python bench/peers/dbos_flow.py URL fill COUNT | work

Settings after docs.dbos.dev: a queue with many workflows at once in each process, a connection for each, frequent polls, and all
workflows put into the queue in one transaction. What they do not need (tracing, logging of each step) is off.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSClient

QUEUE = "flows"
CONCURRENCY = int(os.environ.get("BENCH_DBOS_CONCURRENCY", "32"))
POLL_SECONDS = 0.05
VERSION = "1"
STEPS = ("order", "check", "commit", "invoice", "publish")


def configuration(url: str) -> dict[str, Any]:
    """One process's."""
    return {
        "name": "flows",
        "system_database_url": url,
        "sys_db_pool_size": CONCURRENCY + 4,
        "executor_id": str(os.getpid()),
        "application_version": VERSION,
        "log_level": "ERROR",
    }


def make_flow() -> Any:
    """The workflow, registered."""

    def nothing(payload: dict[str, Any]) -> dict[str, Any]:
        return payload

    steps = [DBOS.step(name=name)(nothing) for name in STEPS]

    def flow(payload: dict[str, Any]) -> dict[str, Any]:
        for step in steps:
            payload = step(payload)
        return payload

    return DBOS.workflow(name="flow")(flow)


def fill(url: str, count: int, payload: dict[str, Any]) -> None:
    """Make the tables, and put so many workflows into the queue."""
    make_flow()
    DBOS(config=configuration(url))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=0)
    client = DBOSClient(system_database_url=url)
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    options = {"workflow_name": "flow", "queue_name": QUEUE, "app_version": VERSION, "application_name": "flows"}
    with engine.begin() as connection:
        for _ in range(count):
            client.enqueue_in_transaction(connection, options, payload)
    client.destroy()
    DBOS.destroy()


def work(url: str) -> None:
    """Run workflows from the first line on stdin until stdin ends."""
    make_flow()
    DBOS(config=configuration(url))
    DBOS.launch()
    print("ready", flush=True)
    sys.stdin.readline()
    DBOS.register_queue(
        QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLL_SECONDS, on_conflict="always_update"
    )
    sys.stdin.readline()
    DBOS.destroy()


if __name__ == "__main__":
    if sys.argv[2] == "fill":
        fill(sys.argv[1], int(sys.argv[3]), {"order_number": "B1000042", "amount": 1_234_567})
    else:
        work(sys.argv[1])
