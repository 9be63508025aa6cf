"""Ids of what documents refer to by name and what hardly ever changes: currencies, taxes, accounts, journals, the warehouse."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.systems.tryton.rpc import TrytonRpc

_FRESH_SECONDS = 60.0


class TrytonNames:
    """Asks for all of a kind at once, and again only after a minute."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc
        self._known: dict[str, tuple[float, dict[str, int]]] = {}

    async def currencies(self) -> Mapping[str, int]:
        """By ISO code."""
        return await self._all("currency.currency", "code")

    async def taxes(self) -> Mapping[str, int]:
        """By name."""
        return await self._all("account.tax", "name")

    async def accounts(self) -> Mapping[str, int]:
        """By code."""
        return await self._all("account.account", "code")

    async def payment_journals(self) -> Mapping[str, int]:
        """Statement journals by name."""
        return await self._all("account.statement.journal", "name")

    async def warehouse(self) -> int:
        """The one we sell from, the first where there are several. Raises a Failure."""
        found = await self._all("stock.location", "name", [("type", "=", "warehouse")])
        return next(iter(found.values()))

    async def _all(self, model: str, field: str, domain: Sequence[Any] = ()) -> Mapping[str, int]:
        read_at, known = self._known.get(model, (0.0, {}))
        if not known or time.monotonic() - read_at > _FRESH_SECONDS:
            rows = await self._rpc.search(model, list(domain), [field], order=[("id", "ASC")])
            known = {row[field]: row["id"] for row in rows}
            self._known[model] = (time.monotonic(), known)
        return known
