"""How many orders a second one server process takes in with all five checks, beside a bare application on the same database.

Both are uvicorn in a process of its own and get the same orders of 20 lines from the same client in turn: first as fast as they
answer, then by the clock, 300 a second, which shows how long an order takes at a rate that somebody might have. Ours is
`tallystick api` with default settings on replica data; every order is answered after its checks and is kept with its document,
lineage, audit entry, promises, idempotency key and the messages to ERP and CRM. The other validates and inserts.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import asyncpg
import orjson
from bench import bare_app
from bench.goods import Goods, load_replica
from bench.load import NUMBER, Load, Seen, send_load
from bench.row import Beside, Place, Promise, Row
from bench.surroundings import PROGRAM, scratch_database, serving

from tallystick.control.keys import create_key
from tallystick.documents.order import Order
from tallystick.sandbox.loopback import free_port
from tallystick.settings import DATABASE_URL
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Connection, open_pool

CONNECTIONS = 64
OFFERED = 300.0
"""Orders a second, where they come by the clock."""
_LEAST_RATIO = 0.5
_MOST_P99_MS = 25.0
_PREPARED = 1_000
_ACCEPTED = """
    select count(*) from lineage where fact = 'accepted' and (
        select count(*) from jsonb_array_elements(detail -> 'checks') c
        where c ->> 'source' = 'replica' and c ->> 'decision' = 'accept') = 5
"""
_ROUND = 10_000_000
"""Orders of one round are numbered from its own multiple of this."""
SETTINGS = """
# Nobody is there: an order that needed one of them would be held, and the measurement would say so.
[systems]
erp = { kind = "sandbox_erp", url = "http://127.0.0.1:9" }
tax = { kind = "sandbox_tax", url = "http://127.0.0.1:9" }
crm = { kind = "sandbox_crm", url = "http://127.0.0.1:9" }

[entities.default]
erp = "erp"
tax = "tax"
crm = "crm"
policy.tax.source = "replica"
"""


Address = tuple[int, int]
"""A server's port and process."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    goods: Goods = field(default_factory=Goods)
    rounds: int = 3
    seconds: float = 4.0
    warm_seconds: float = 3.0
    offered_rounds: int = 3
    offered_seconds: float = 6.0


@dataclass(frozen=True, slots=True)
class Rounds:
    """What the client saw of one server, round by round."""

    seen: tuple[Seen, ...]

    def median(self, figure: Callable[[Seen], float]) -> float:
        """The median of one figure over the rounds."""
        return statistics.median(figure(each) for each in self.seen)

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.median(lambda each: each.rate)


@dataclass(frozen=True, slots=True)
class IntakeRates:
    """Both servers as fast as they answer and by the clock; and the client alone, where all is answered at once."""

    tallystick: Rounds
    bare: Rounds
    tallystick_offered: Rounds
    bare_offered: Rounds
    client_limit: float

    @property
    def ratio(self) -> float:
        """Tallystick's rate as a part of the bare application's."""
        return self.tallystick.rate / self.bare.rate


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load."""

    address: Address
    path: str
    orders: Path
    headers: dict[str, str]

    async def take(self, number: int, seconds: float, rate: float | None = None) -> Seen:
        """One round of load."""
        first, orders = number * _ROUND, str(self.orders)
        return await send_load(Load(*self.address, self.path, self.headers, orders, first, CONNECTIONS, seconds, rate))


async def measure_intake(url: str, folder: Path, sizes: Sizes) -> IntakeRates:
    """Measure on an empty database; `folder` takes the prepared orders and the settings. Raises RuntimeError where an order was
    not accepted by all five checks on replica data, or is not in the database: then there is nothing to compare."""
    async with (
        our_server(url, folder, sizes.goods) as ours,
        _other(folder, "bench.bare_app", url) as bare,
        _other(folder, "bench.null_server") as null,
        _one_connection(url) as connection,
    ):
        targets = [ours, replace(ours, address=bare, path=bare_app.PATH), replace(ours, address=null, path="/")]
        warm = [await each.take(0, sizes.warm_seconds) for each in targets]
        fast = await _rounds(connection, targets[:2], range(1, 1 + sizes.rounds), sizes.seconds)
        later = range(1 + sizes.rounds, 1 + sizes.rounds + sizes.offered_rounds)
        offered = await _rounds(connection, targets[:2], later, sizes.offered_seconds, OFFERED)
        seen = [(warm[each], *fast[each].seen, *offered[each].seen) for each in (0, 1)]
        await _all_there(connection, *(sum(each.orders for each in every) for every in seen))
    return IntakeRates(fast[0], fast[1], offered[0], offered[1], warm[2].rate)


@asynccontextmanager
async def our_server(url: str, folder: Path, goods: Goods) -> AsyncIterator[Target]:
    """`tallystick api` on the empty database at `url`, which gets the schema and the masters as a replica."""
    await upgrade_schema(url)
    pool = await open_pool(url, size=2)
    try:
        await load_replica(pool, goods, "erp", "tax")
        async with pool.acquire() as connection:
            secret = (await create_key(connection, "bench", ["sales"])).secret
    finally:
        await pool.close()
    orders = folder / "orders.ndjson"
    orders.write_bytes(prepared(goods.orders(_PREPARED)))
    async with tallystick_api(url, folder) as address:
        yield Target(address, "/v1/orders", orders, {"Authorization": f"Bearer {secret}"})


@asynccontextmanager
async def _one_connection(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _rounds(
    connection: Connection, targets: Sequence[Target], numbers: range, seconds: float, rate: float | None = None
) -> list[Rounds]:
    """The servers in turn, so that whatever else the machine does meets both."""
    seen: list[list[Seen]] = [[] for _ in targets]
    for number in numbers:
        for target, into in zip(targets, seen, strict=True):
            await connection.execute("checkpoint")
            into.append(last := await target.take(number, seconds, rate))
            told = f"{last.rate:,.0f} orders/s, p99 {last.p99_ms:,.1f} ms"
            print(f"intake round {number}: {target.path} {told}", file=sys.stderr)
    return [Rounds(tuple(each)) for each in seen]


def prepared(orders: Sequence[Order]) -> bytes:
    """The orders as JSON lines, with a placeholder for the number."""
    return b"\n".join(
        orjson.dumps(each.model_copy(update={"order_number": NUMBER}).model_dump(mode="json", exclude_none=True))
        for each in orders
    )


@asynccontextmanager
async def tallystick_api(url: str, folder: Path) -> AsyncIterator[Address]:
    """`tallystick api` with default settings but for its systems, which are not there."""
    port = free_port()
    settings = folder / f"tallystick-{port}.toml"
    settings.write_text(SETTINGS)
    command = [PROGRAM, "api", "--settings", str(settings), "--port", str(port)]
    async with serving(command, port, folder / f"tallystick-{port}.log", {DATABASE_URL: url}) as pid:
        yield port, pid


@asynccontextmanager
async def _other(folder: Path, module: str, *arguments: str) -> AsyncIterator[Address]:
    """A server of this package that takes its port as its last argument."""
    port = free_port()
    async with serving([sys.executable, "-m", module, *arguments, str(port)], port, folder / f"{module}.log") as pid:
        yield port, pid


async def all_accepted(url: str) -> int:
    """How many orders the five checks have accepted on replica data."""
    async with _one_connection(url) as connection:
        return int(await connection.fetchval(_ACCEPTED))


async def row(place: Place) -> Row:
    """The row of the table."""
    tiny = Sizes(
        Goods(customers=50, products=200),
        rounds=1,
        seconds=0.7,
        warm_seconds=0.3,
        offered_rounds=1,
        offered_seconds=0.7,
    )
    async with scratch_database(place.server, "bench_intake") as url:
        rates = await measure_intake(url, place.folder, tiny if place.smoke else Sizes())
    busy = max(each.median(lambda seen: seen.client_cpu) for each in (rates.tallystick, rates.bare))
    late = rates.tallystick_offered.median(lambda seen: seen.p99_ms)
    return Row(
        name="intake",
        what=f"20-line orders over HTTP, five checks on replica data, one process, {CONNECTIONS} connections",
        unit="orders/s",
        ours=rates.tallystick.rate,
        beside=(Beside("FastAPI that validates, inserts and commits", rates.bare.rate),),
        promises=(
            Promise("part of the bare application's rate", rates.ratio, least=_LEAST_RATIO),
            Promise(f"p99 in ms at {OFFERED:g}/s offered, from the scheduled moment", late, most=_MOST_P99_MS),
        ),
        notes=(
            _described("tallystick, as fast as it answers", rates.tallystick),
            _described("bare, as fast as it answers", rates.bare),
            _described(f"tallystick at {OFFERED:g}/s", rates.tallystick_offered),
            _described(f"bare at {OFFERED:g}/s", rates.bare_offered),
            f"the client itself: at most {rates.client_limit:,.0f} orders/s; it used {busy:.0%} of a core in these rounds",
        ),
        detail=asdict(rates),
    )


def _described(name: str, rounds: Rounds) -> str:
    p50, p99 = rounds.median(lambda seen: seen.p50_ms), rounds.median(lambda seen: seen.p99_ms)
    cpu = rounds.median(lambda seen: seen.server_cpu_ms)
    every = ", ".join(f"{each.p99_ms:.1f}" for each in rounds.seen)
    return f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms (of {every}), CPU of the server's process {cpu:.2f} ms an order"


async def _all_there(connection: Connection, ours: int, bare: int) -> None:
    """Raise RuntimeError unless every answered order is in the database, and ours accepted by five checks on replica data."""
    accepted = await connection.fetchval(_ACCEPTED)
    inserted = await connection.fetchval(f"select count(*) from {bare_app.TABLE}")
    if (accepted, inserted) != (ours, bare):
        raise RuntimeError(f"answered {ours} and {bare} orders, but {accepted} were accepted and {inserted} are there")
