"""Ids of what documents refer to by name and what hardly ever changes: currencies, taxes, accounts, journals, warehouses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.systems.failure import Rejected
from tallystick.systems.tryton.rpc import TrytonRpc

_FRESH_SECONDS = 60.0


class TrytonNames:
    """Asks for all of a kind at once, and again only after a minute."""

    def __init__(self, rpc: TrytonRpc, warehouse: str, warehouses: Mapping[str, str]) -> None:
        self._rpc = rpc
        self._warehouse = warehouse
        self._warehouses = warehouses
        self._company: int | None = None
        self._known: dict[tuple[str, str], tuple[float, dict[str, int]]] = {}

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

    async def company_currency(self) -> str:
        """The ISO code in which the user's company keeps its books and its list prices. Raises a Failure."""
        if self._company is None:
            preferences = await self._rpc.call("model.res.user.get_preferences", [True], write=False)
            self._company = preferences["company"]
        company = [("id", "=", self._company)]
        return next(iter(await self._all("company.company", "currency.code", company)))

    async def warehouses(self) -> Mapping[str, int]:
        """The warehouses that we sell from, by our names; the one of lines that name none comes first. Raises a Failure."""
        kind = [("type", "=", "warehouse")]
        by_name = await self._all("stock.location", "name", kind)
        found = {**by_name, **await self._all("stock.location", "code", kind)}
        ours = self._warehouse
        if not self._warehouses:
            return {ours: found.get(ours, next(iter(by_name.values())))}
        for name, theirs in self._warehouses.items():
            if theirs not in found:
                system = self._rpc.name
                message = f"{system}: it has no warehouse of the code or name {theirs!r}, which is to be {name}"
                raise Rejected(f"{message}; correct warehouses", system=system, code=f"{system}.unknown_warehouse")
        return {name: found[self._warehouses[name]] for name in sorted(self._warehouses, key=lambda each: each != ours)}

    async def _all(self, model: str, field: str, domain: Sequence[Any] = ()) -> Mapping[str, int]:
        read_at, known = self._known.get((model, field), (0.0, {}))
        if not known or time.monotonic() - read_at > _FRESH_SECONDS:
            rows = await self._rpc.search(model, list(domain), [field], order=[("id", "ASC")])
            known = {value: row["id"] for row in rows if (value := _value(row, field))}
            self._known[model, field] = (time.monotonic(), known)
        return known


def _value(row: Mapping[str, Any], field: str) -> Any:
    """A field of a record, or of the one that it refers to ("currency.code")."""
    record, _, name = field.rpartition(".")
    return row[f"{record}."][name] if record else row[field]
