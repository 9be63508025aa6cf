"""Whether more worker processes on one database do more, as long as the machine has cores for them.

The ideal for n workers is n times the rate of one, and no more than what all cores together can do at the CPU time that a message
costs with one worker, the database server's part included. A number of workers is judged where there are as many cores: with
fewer the processes stand in each other's way whatever they do, and their figure tells of the machine.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.mailbox import Drained, drain, fill_mailbox
from bench.row import Place, Promise, Row
from bench.surroundings import scratch_database

from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import open_pool

_WORKERS = (1, 2, 4)
_LEAST_EFFICIENCY = 0.8


@dataclass(frozen=True, slots=True)
class Step:
    """So many workers: the medians of the rounds."""

    workers: int
    rate: float
    """Messages a second."""
    busy_cores: float
    """CPU time of workers and database server together, a second."""
    rates: tuple[float, ...]


async def row(place: Place) -> Row:
    """The row of the table."""
    messages, rounds, numbers = (2_000, 1, _WORKERS[:2]) if place.smoke else (60_000, 3, _WORKERS)
    async with scratch_database(place.server, "bench_scaling") as url:
        steps = await measure_scaling(url, messages, rounds, numbers)
    one, *more = steps
    cores = len(os.sched_getaffinity(0))
    room = cores / one.busy_cores
    promises = [
        Promise(
            f"efficiency of {each.workers} workers",
            each.rate / (one.rate * min(each.workers, room)),
            least=_LEAST_EFFICIENCY,
            cores=each.workers,
        )
        for each in more
    ]
    return Row(
        name="workers",
        what=f"{messages:,} waiting messages to a null system by {', '.join(str(each) for each in numbers)} worker processes",
        unit="messages/s of one worker",
        ours=one.rate,
        promises=tuple(promises),
        notes=(
            *(
                f"{each.workers} workers: {each.rate:,.0f} messages/s (of {', '.join(f'{rate:,.0f}' for rate in each.rates)}), "
                f"{each.busy_cores:.2f} cores busy with it"
                for each in steps
            ),
            f"one worker and its part of the database use {one.busy_cores:.2f} cores; {cores} have room for {room:.2f} of them",
        ),
        detail={"steps": [asdict(each) for each in steps]},
    )


async def measure_scaling(url: str, messages: int, rounds: int, numbers: Sequence[int]) -> list[Step]:
    """Drain so many messages with each number of workers, in turn, on a database of its own at `url`."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=2)
    drained: dict[int, list[Drained]] = {workers: [] for workers in numbers}
    for _ in range(rounds):
        for workers, into in drained.items():
            await fill_mailbox(pool, messages)
            into.append(await drain(pool, url, "mailbox", workers))
    await pool.close()
    return [
        Step(
            workers,
            statistics.median(messages / each.seconds for each in every),
            statistics.median((each.workers_cpu + each.server_cpu) / each.seconds for each in every),
            tuple(messages / each.seconds for each in every),
        )
        for workers, every in drained.items()
    ]
