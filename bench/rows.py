"""What is measured: a row each, with its target. A new measurement is one file and its row here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.goods import Goods
from bench.intake import CONNECTIONS, Sizes, measure_intake
from bench.mailbox import measure_mailbox
from bench.surroundings import make_database


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement beside its bare limit, both in `unit`."""

    name: str
    what: str
    beside: str
    unit: str
    ours: float
    bare: float
    target: float
    """The least ratio of the two that is good enough."""
    notes: tuple[str, ...] = ()
    """What a reader needs to believe it, a line each."""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours as a part of the bare limit."""
        return self.ours / self.bare

    @property
    def met(self) -> bool:
        """Whether the ratio is at least the target."""
        return self.ratio >= self.target


Measure = Callable[[str, Path, bool], Awaitable[Row]]
"""From a server's URL, a folder, and whether tiny sizes will do."""


async def _intake(server: str, folder: Path, smoke: bool) -> Row:
    tiny = Sizes(Goods(customers=50, products=200), rounds=1, seconds=0.7, warm_seconds=0.3)
    rates = await measure_intake(await make_database(server, "bench_intake"), folder, tiny if smoke else Sizes())
    ours, bare = rates.tallystick, rates.bare
    busy = max(each.median(lambda seen: seen.client_cpu) for each in (ours, bare))
    latencies = [
        f"{name}: p50 {each.median(lambda seen: seen.p50_ms):.1f} ms, p99 {each.median(lambda seen: seen.p99_ms):.1f} ms, "
        f"CPU of the server's process {each.median(lambda seen: seen.server_cpu_ms):.2f} ms an order"
        for name, each in (("tallystick", ours), ("bare", bare))
    ]
    return Row(
        name="intake",
        what=f"20-line orders over HTTP, five checks on replica data, one process, {CONNECTIONS} connections",
        beside="FastAPI: validate, insert, commit",
        unit="orders/s",
        ours=ours.rate,
        bare=bare.rate,
        target=0.5,
        notes=(
            *latencies,
            f"the client itself: at most {rates.client_limit:,.0f} orders/s; it used {busy:.0%} of a core in these rounds",
        ),
        detail=asdict(rates),
    )


async def _mailbox(server: str, folder: Path, smoke: bool) -> Row:
    url = await make_database(server, "bench_mailbox")
    rates = await (measure_mailbox(url, messages=2_000, rounds=1) if smoke else measure_mailbox(url))
    return Row(
        name="mailbox",
        what=f"messages delivered to a null system by the dispatcher, worker processes: {rates.workers}",
        beside="claim, delete, commit, in batches",
        unit="messages/s",
        ours=rates.mailbox,
        bare=rates.bare,
        target=0.5,
        detail=asdict(rates),
    )


ROWS: Mapping[str, Measure] = {"intake": _intake, "mailbox": _mailbox}
