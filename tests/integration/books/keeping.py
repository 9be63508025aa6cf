"""Small reconciliations that are run and kept in a test's database, as `tallystick reconcile --keep` does it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tallystick.books.reconciliation.outcome import Outcome
from tallystick.books.reconciliation.results import Results
from tallystick.books.reconciliation.rules_file import parse_rules
from tallystick.books.reconciliation.run import Options, reconcile
from tallystick.books.reconciliation.sides import Prepared
from tallystick.books.runs.found import Found
from tallystick.books.runs.keeping import Keeping, KeptRun, keep_run
from tallystick.books.runs.reading import Filter, list_breaks
from tallystick.store.pool import open_pool

RULES = """
name = "orders and invoices"
standard_causes = false
[left]
source = "left.csv"
[left.columns]
key = "number"
party = "customer"
date = "day"
amount = "amount"
[right]
source = "right.csv"
[right.columns]
key = "number"
party = "customer"
date = "day"
amount = "amount"
[[match]]
name = "number"
"""
HEAD = "number,customer,day,amount\n"


@dataclass(slots=True)
class Desk:
    """A folder with two sides, and the database in which their runs are kept."""

    url: str
    folder: Path
    entity: str = "east"
    rules: str = RULES
    runs: list[KeptRun] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How long the keeping of each run took."""

    def sides(self, left: str, right: str) -> None:
        """Write both sides: rows are number, customer, day, amount, separated by blanks."""
        for name, rows in (("left", left), ("right", right)):
            lines = [",".join(row.split()) for row in rows.strip().splitlines()]
            (self.folder / f"{name}.csv").write_text(HEAD + "".join(f"{line}\n" for line in lines))

    async def run(self, left: str, right: str, by: str = "ana", **changes: Any) -> KeptRun:
        """Write both sides, reconcile them and keep it."""
        await asyncio.to_thread(self.sides, left, right)
        return await self.again(by, **changes)

    async def again(self, by: str = "ana", started_at: datetime | None = None, times: int = 1) -> KeptRun:
        """Reconcile what is in the folder and keep it; `times`: as so many runs that found the same."""
        digest = hashlib.sha256(self.rules.encode()).hexdigest()
        keeping = Keeping(self.entity, by, digest, started_at or datetime.now(UTC))
        kept: list[KeptRun] = []

        def keep(outcome: Outcome, results: Results, prepared: tuple[Prepared, Prepared]) -> None:
            for _ in range(times):
                began = time.monotonic()
                kept.append(asyncio.run(self._keep(Found(outcome, results, prepared), keeping)))
                self.seconds.append(time.monotonic() - began)

        options = Options(self.folder, threads=1, keep=keep)
        await asyncio.to_thread(reconcile, parse_rules(self.rules, "rules.toml"), options)
        self.runs += kept
        return kept[-1]

    async def _keep(self, found: Found, keeping: Keeping) -> KeptRun:
        pool = await open_pool(self.url, size=1)
        try:
            async with pool.acquire() as connection:
                return await keep_run(connection, found, keeping)
        finally:
            await pool.close()

    async def breaks(self, *states: str) -> dict[str, dict[str, Any]]:
        """This reconciliation's breaks by name, in these states, by default all."""
        name = parse_rules(self.rules, "rules.toml").name
        pool = await open_pool(self.url, size=1)
        try:
            async with pool.acquire() as connection:
                wanted = Filter(states or ("open", "accepted", "closed"), name)
                return {
                    each["name"]: each for each in await list_breaks(connection, [self.entity], wanted, limit=1_000)
                }
        finally:
            await pool.close()

    async def identifier(self, name: str) -> UUID:
        """The id of the break of this name."""
        found: UUID = (await self.breaks())[name]["id"]
        return found
