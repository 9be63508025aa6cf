"""`tallystick reconcile --keep`: the run goes on record in the installation's database, under the principal of the key."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.cli.application import with_database
from tallystick.cli.failure import CommandFailed, Refused, WrongUse
from tallystick.cli.hub import KEY_VARIABLE
from tallystick.cli.terminal import tell

if TYPE_CHECKING:
    from tallystick.books.reconciliation.outcome import Outcome
    from tallystick.books.reconciliation.results import Results
    from tallystick.books.reconciliation.sides import Prepared
    from tallystick.books.runs.keeping import Keeping, KeptRun
    from tallystick.control.access import Principal
    from tallystick.store.pool import Pool


@dataclass(slots=True)
class Keeper:
    """Keeps one run, and tells what became of its breaks."""

    settings: Path | None
    keeping: Keeping
    kept: KeptRun | None = None

    def keep(self, outcome: Outcome, results: Results, prepared: tuple[Prepared, Prepared]) -> None:
        """Keep a run whose engine is open. Raises Refused, or CommandFailed when the database fails meanwhile."""
        import asyncpg

        from tallystick.books.runs.found import Found
        from tallystick.books.runs.keeping import keep_run
        from tallystick.books.runs.refusal import RunNotPossible

        found = Found(outcome, results, prepared)

        async def action(pool: Pool) -> KeptRun:
            async with pool.acquire() as connection:
                return await keep_run(connection, found, self.keeping)

        try:
            self.kept = with_database(self.settings, action)
        except RunNotPossible as error:
            raise Refused(f"{error} [{error.code}]") from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            said = str(error) or type(error).__name__
            raise CommandFailed(f"--keep: the database failed ({said}); nothing was kept, run it again") from error

    def told(self) -> dict[str, Any]:
        """What was kept, as plain data."""
        if self.kept is None:
            return {}
        return {"kept": {"run_id": str(self.kept.id), "number": self.kept.number, "carried": self.kept.carried}}

    def tell(self) -> None:
        """What was kept, in a line."""
        if self.kept is not None:
            parts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.kept.carried.items() if count)
            tell(f"kept as run {self.kept.number}, {self.kept.id}: breaks: {parts or 'none'}")


def keeper_of(settings: Path | None, entity: str, rules: str) -> Keeper:
    """Who keeps a run by these rules, found out before it begins. Raises WrongUse without a key, Refused for one that may not."""
    from tallystick.books.reconciliation.rule_sets import text_of
    from tallystick.books.runs.keeping import Keeping
    from tallystick.control.access import may
    from tallystick.control.keys import Authenticator

    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUse(f"--keep: {KEY_VARIABLE} is not set; a run on record says who made it")
    path = Path(rules)
    content = path.read_bytes() if path.exists() else text_of(rules).encode()

    async def action(pool: Pool) -> Principal | None:
        return await Authenticator(pool).authenticate(key)

    principal = with_database(settings, action)
    if principal is None:
        raise Refused(f"--keep: the key in {KEY_VARIABLE} is unknown here, expired or revoked [authentication.failed]")
    if not may(principal, "runs.keep", entity):
        raise Refused(f"{principal.name} lacks the permission 'runs.keep' for entity {entity!r} [permission.denied]")
    return Keeper(settings, Keeping(entity, principal.name, hashlib.sha256(content).hexdigest()))
