"""The world that is broken: hub, database, systems and channels, all real processes, started and ended as one."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faults.channels import Channels
from faults.clock import MovableClocks, find_library
from faults.database import Database
from faults.gate import Gate
from faults.history import History
from faults.processes import Supervisor
from faults.small_disk import SmallDisk

from tallystick.demo.clerk import Clerk
from tallystick.demo.erp import Connection
from tallystick.demo.hub import Hub
from tallystick.demo.surroundings import Surroundings
from tallystick.demo.trade import Trade, make_trade
from tallystick.demo.wholesale import make_wholesale
from tallystick.settings import DATABASE_URL
from tallystick.store.crash_points import FOLDER_VARIABLE
from tallystick.store.embedded import new_folder

APIS, WORKERS = 2, 3
MOVABLE_CLOCKS = ("api-2", "worker-3")
_WORKER = {
    "maximum_attempts": 6,
    "backoff_seconds": 0.5,
    "backoff_limit_seconds": 8,
    "poll_seconds": 2,
}
# An installation in a hurry: it gives up on an answer early, and tries a system that was away again soon.
_SYSTEM = {"connect_timeout": 1, "breaker_seconds": 2}
_PATIENCE = {"sandbox": 3.0, "tryton": 20.0}
# A stage has five leases' time for a batch, and with a real ERP it needs them.
_LEASES = {"sandbox": 4.0, "tryton": 12.0}
_RATES = {"sandbox": 2.0, "tryton": 0.25}
# How long a crash point waits for somebody to come by: a whole change or cancellation goes through the ERP first.
_ARMED = {"sandbox": 10.0, "tryton": 45.0}
_RECOVERIES = {"sandbox": 90.0, "tryton": 180.0}
# A real ERP takes its time for a document: calls are kept so small that patience with one means something.
_BATCH = {"sandbox": 100, "tryton": 8}
_CANARIES_A_MINUTE = 30
_ORDERS_MORE = 40


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose. The seed makes the orders, the faults, their order and their particulars."""

    minutes: float = 10.0
    seed: int = 1
    erp: str = "tryton"
    orders_a_second: float = 0.0
    """0: as many as the ERP does with ease."""
    keep: bool = False
    only: tuple[str, ...] = ()
    """Only faults of these kinds; none: all."""

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders_a_second or _RATES[self.erp]

    @property
    def patience(self) -> float:
        """Seconds after which the hub gives up on the ERP's answer."""
        return _PATIENCE[self.erp]

    @property
    def lease_seconds(self) -> float:
        """How long a worker's claim lasts unless it is renewed."""
        return _LEASES[self.erp]

    @property
    def armed_seconds(self) -> float:
        """How long a crash point is armed before it counts as missed."""
        return _ARMED[self.erp]

    @property
    def recovery_seconds(self) -> float:
        """How long a fresh order may take to be committed after a fault, before the promise counts as broken."""
        return _RECOVERIES[self.erp]


@dataclass(slots=True)
class World:
    """Everything that runs."""

    options: Options
    folder: Path
    database: Database
    hub: Hub
    supervisor: Supervisor
    surroundings: Surroundings
    gate: Gate | None
    """In front of a real ERP, which has no switches of its own."""
    clocks: MovableClocks
    disk: SmallDisk | None
    no_disk: str | None
    """Why the disk can't be filled."""
    trade: Trade
    history: History
    channels: Channels
    clerk: Clerk
    started: float = field(default_factory=time.monotonic)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    """What was set going to provoke a crash, and ends by itself."""
    struck_points: Counter[str] = field(default_factory=Counter)
    """Crash points at which a process was killed, how often."""
    naps: int = 0
    """How often a worker woke with messages in hand that others had taken."""
    unfenced: list[str] = field(default_factory=list)
    rough_endings: list[str] = field(default_factory=list)
    """Processes that did not end in good order when they were told to."""
    poison: list[str] = field(default_factory=list)
    """Messages that nobody can work off, by id."""

    @property
    def crash_folder(self) -> Path:
        """Where crash points are armed."""
        return self.folder / "crash-points"

    async def put_faults(self, system: str, plan: Mapping[str, Any]) -> None:
        """Put a plan of switches in force at one system; `{}` heals it. Raises httpx.HTTPError."""
        if system == "erp" and self.gate is not None:
            await self.gate.put_faults(plan)
        else:
            await self.surroundings.sandbox.put_faults(system, plan)


@asynccontextmanager
async def running(options: Options, no_disk: str | None) -> AsyncIterator[World]:
    """Start everything; all of it ends with the block, and nothing is left unless `keep` says so. Raises DemoError."""
    folder = new_folder("tallystick-faults-")
    async with AsyncExitStack() as stack:
        if not options.keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        orders = int((options.rate * 60 + _CANARIES_A_MINUTE) * options.minutes) + _ORDERS_MORE
        trade = make_trade(make_wholesale(folder / "tpch", orders, options.seed), options.seed)
        disk = _mount_disk(stack, folder) if no_disk is None else None
        database = await _start_database(stack, folder)
        clocks = MovableClocks(folder / "clocks", find_library())
        hub = _hub(options, folder, database, clocks)
        surroundings = Surroundings(folder, hub, options.erp, options.seed)
        stack.push_async_callback(surroundings.stop)
        await surroundings.start(trade)
        gate = await _start_gate(stack, surroundings) if options.erp == "tryton" else None
        supervisor = Supervisor(hub, database)
        stack.push_async_callback(hub.stop)
        await hub.start(_connections(options, surroundings, gate))
        stack.callback(supervisor.wake_all)  # what is stopped would not hear that it is to end
        await surroundings.submit_to_crm(trade)
        history = History()
        yield World(
            options=options,
            folder=folder,
            database=database,
            hub=hub,
            supervisor=supervisor,
            surroundings=surroundings,
            gate=gate,
            clocks=clocks,
            disk=disk,
            no_disk=no_disk,
            trade=trade,
            history=history,
            channels=Channels(hub, trade.sales, history),
            clerk=Clerk(hub, {sale.order.order_number: sale for sale in trade.sales}),
        )


def _mount_disk(stack: AsyncExitStack, folder: Path) -> SmallDisk:
    disk = SmallDisk(folder / "data")
    stack.callback(disk.remove)
    return disk


async def _start_database(stack: AsyncExitStack, folder: Path) -> Database:
    database = Database(folder / "data" / "postgresql")
    stack.push_async_callback(database.stop)
    async with database.connected() as connection:
        await connection.execute("alter system set max_wal_size = '128MB'")  # its disk is small
        await connection.execute("select pg_reload_conf()")
    return database


def _hub(options: Options, folder: Path, database: Database, clocks: MovableClocks) -> Hub:
    """The hub's processes know the database by its address: none of them starts it again, that is the campaign's."""
    crash_points = folder / "crash-points"
    crash_points.mkdir()
    common = {DATABASE_URL: database.url, FOLDER_VARIABLE: str(crash_points)}

    def environment_of(program: str) -> Mapping[str, str]:
        return {**common, **(clocks.environment(program) if program in MOVABLE_CLOCKS else {})}

    worker = {**_WORKER, "lease_seconds": options.lease_seconds}
    return Hub(folder, apis=APIS, workers=WORKERS, worker=worker, environment_of=environment_of)


async def _start_gate(stack: AsyncExitStack, surroundings: Surroundings) -> Gate:
    gate = Gate(str(surroundings.erp.connection().options["url"]))
    stack.push_async_callback(gate.stop)
    await gate.start()
    return gate


def _connections(options: Options, surroundings: Surroundings, gate: Gate | None) -> dict[str, Connection]:
    """How the hub connects to each system, with the patience of an installation in a hurry."""
    connections: dict[str, Connection] = {
        name: replace(each, options={**each.options, **_SYSTEM, "read_timeout": 3.0, "deadline": 6.0})
        for name, each in surroundings.connections.items()
    }
    erp = connections["erp"]
    patience = {"read_timeout": options.patience, "deadline": 2 * options.patience, "batch_size": _BATCH[options.erp]}
    url = {"url": gate.url} if gate else {}
    connections["erp"] = replace(erp, options={**erp.options, **patience, **url})
    return connections
