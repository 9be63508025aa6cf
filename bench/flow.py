"""The same five-step flow on our mailbox, on DBOS and on Procrastinate: order, check, commit, invoice, publish, to null systems.

Each step is durable: what it did and that the next is due is one commit, or more where an engine wants more. All flows wait
beforehand, and putting them in is not measured, which favours the peers: ours takes less time for it than they do. Each gets the
same number of processes, the same server, a database of its own that is dropped after the round, and turns. The peers run from
their packages in an environment of their own (`make bench` makes it), with what their documentation says is fast: bench/peers.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from bench.bare_loop import BATCH
from bench.crew import ready_processes, say_ready_and_wait, tell_to_go, wait_for_end
from bench.mailbox import PAYLOAD
from bench.row import Beside, Place, Promise, Row
from bench.surroundings import scratch_database

from tallystick.mailbox.carrier import Route
from tallystick.mailbox.dispatch import Dispatcher
from tallystick.mailbox.messages import Delivery, Done, Message
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.settings import SystemSettings, Worker
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Connection, open_pool
from tallystick.systems.failure import Failure

STEPS = ("order", "check", "commit", "invoice", "publish")
_PROCESSES = 2
_LEAST_TIMES = 10.0
_DONE_SECONDS = 120.0
_PEERS = Path(__file__).parent / "peers"
_PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"


class FlowStage:
    """A step that does nothing, successfully; the next step's message is offered in the transaction that finishes this one's."""

    def __init__(self, stage: str, following: str | None) -> None:
        self.stage = stage
        self._following = following
        self._carrier = PostgresCarrier()

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Done[None]]:
        """All done."""
        return [Done(None)] * len(deliveries)

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, None]]) -> None:
        """What follows."""
        if self._following:
            await self._carrier.offer(connection, [_message(self._following, each) for each, _ in done])

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        """Nothing fails."""


def _message(stage: str, before: Delivery) -> Message:
    return Message(stage, "null", stage, before.lane, before.payload, transaction_id=before.transaction_id)


@dataclass(frozen=True, slots=True)
class Engine:
    """How one engine is given flows, which process of its own works them off, and how it is seen that all are done."""

    name: str
    fill: Callable[[str, int], Awaitable[None]]
    """Make the tables in the empty database at a URL, and let so many flows wait."""
    command: Callable[[str], Sequence[str]]
    waiting: str
    """A query whether any flow is not done."""
    seconds: str | None = None
    """A query for the seconds from the first step's start to the last one's end, where starting to work takes a while."""


@dataclass(frozen=True, slots=True)
class EngineRates:
    """One engine's flows a second, round by round."""

    flows: int
    rounds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rounds)


async def row(place: Place) -> Row:
    """The row of the table. Raises RuntimeError when the peers are not installed."""
    if not _PEERS_PYTHON.exists():
        raise RuntimeError("the peers are not installed; run the benchmark with 'make bench', which installs them")
    counts = (200, 10, 10) if place.smoke else (20_000, 300, 200)
    seen = await measure_flows(place, dict(zip(_ENGINES, counts, strict=True)), rounds=1 if place.smoke else 3)
    ours, *peers = (seen[each] for each in _ENGINES)
    names = [each.name for each in _ENGINES[1:]]
    return Row(
        name="flow",
        what=f"flows of {len(STEPS)} durable steps to null systems, {_PROCESSES} processes",
        unit="flows/s",
        ours=ours.rate,
        beside=tuple(Beside(name, each.rate) for name, each in zip(names, peers, strict=True)),
        promises=tuple(
            Promise(f"times the rate of {name}", ours.rate / each.rate, least=_LEAST_TIMES)
            for name, each in zip(names, peers, strict=True)
        ),
        notes=tuple(
            f"{engine.name}: {rates.flows:,} flows a round, {', '.join(f'{each:,.1f}' for each in rates.rounds)} a second"
            for engine, rates in seen.items()
        ),
        detail={engine.name: asdict(rates) for engine, rates in seen.items()},
    )


async def measure_flows(place: Place, counts: Mapping[Engine, int], rounds: int) -> dict[Engine, EngineRates]:
    """Work off so many flows on each engine, in turn."""
    rates: dict[Engine, list[float]] = {each: [] for each in counts}
    for _ in range(rounds):
        for engine, count in counts.items():
            async with scratch_database(place.server, "bench_flow") as url:
                rates[engine].append(count / await _seconds(engine, url, count))
            print(f"flow: {engine.name} {rates[engine][-1]:,.1f} a second", file=sys.stderr)
    return {engine: EngineRates(counts[engine], tuple(every)) for engine, every in rates.items()}


async def _seconds(engine: Engine, url: str, count: int) -> float:
    await engine.fill(url, count)
    pool = await open_pool(url, size=2)
    await pool.execute("checkpoint")
    async with ready_processes(engine.command(url), _PROCESSES) as processes:
        started = time.perf_counter()
        tell_to_go(processes)
        async with asyncio.timeout(_DONE_SECONDS):
            while await pool.fetchval(engine.waiting):  # noqa: ASYNC110 - other processes work them off
                await asyncio.sleep(0.02)
        passed = time.perf_counter() - started
        if engine.seconds:
            passed = float(await pool.fetchval(engine.seconds))
    await pool.close()
    return passed


async def _fill_ours(url: str, count: int) -> None:
    await upgrade_schema(url)
    pool = await open_pool(url, size=1)
    await pool.execute(
        """
        insert into messages (id, entity, stage, system, kind, lane, transaction_id, payload)
        select uuidv7(), 'default', $1, 'null', $1, lane, lane, $2 from (select uuidv7() as lane from generate_series(1, $3)) l
        """,
        STEPS[0],
        PAYLOAD,
        count,
    )
    await pool.execute("analyze messages")
    await pool.close()


def _peer(script: str) -> tuple[Callable[[str, int], Awaitable[None]], Callable[[str], Sequence[str]]]:
    command = [str(_PEERS_PYTHON), str(_PEERS / script)]

    async def fill(url: str, count: int) -> None:
        process = await asyncio.create_subprocess_exec(*command, url, "fill", str(count))
        if await process.wait():
            raise RuntimeError(f"{script} could not be filled; see above")

    return fill, lambda url: [*command, url, "work"]


_ENGINES = (
    Engine(
        "tallystick",
        _fill_ours,
        lambda url: [sys.executable, "-m", "bench.flow", url],
        "select exists (select from messages)",
    ),
    Engine(
        "Procrastinate",
        *_peer("procrastinate_flow.py"),
        "select exists (select from procrastinate_jobs)",
    ),
    Engine(
        "DBOS",
        *_peer("dbos_flow.py"),
        "select exists (select from dbos.workflow_status where status <> 'SUCCESS')",
        "select (max(completed_at) - min(started_at_epoch_ms)) / 1000.0 from dbos.workflow_status",
    ),
)


async def _work(url: str) -> None:
    """One of our processes."""
    pool = await open_pool(url, size=8)
    stages = {step: FlowStage(step, following) for step, following in zip(STEPS, [*STEPS[1:], None], strict=True)}
    dispatcher = Dispatcher(
        pool,
        PostgresCarrier(),
        stages,
        {Route(step, "null"): BATCH for step in STEPS},
        Worker(batch_size=BATCH),
        {"null": SystemSettings(kind="null")},
    )
    await asyncio.to_thread(say_ready_and_wait)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.to_thread(wait_for_end)
    dispatcher.stop()
    await running
    await pool.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(_work(sys.argv[1]))
