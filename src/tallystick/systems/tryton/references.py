"""One document a reference, whoever asks at the same time: of several drafts with one reference all but one are deleted.

Tryton lets several sales or statements carry one reference, and has no unique field that an integration user may write. A
lost answer, or a worker that outlived its lease, could so make a document twice. Therefore everybody makes a draft first and
looks afterwards: of two callers at least one sees both drafts. It deletes the later draft before it drives the earlier one
on, and keeps the later one where Tryton refuses that, because it was driven on meanwhile: Tryton deletes nothing but drafts,
and the database decides which of the two came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.tryton.rpc import TrytonRpc

_LOOKS = 4


class References:
    """The documents of one model by our reference, which stands in its field `field`."""

    def __init__(self, rpc: TrytonRpc, model: str, field: str, read: Sequence[str] = ()) -> None:
        self._rpc = rpc
        self._model = model
        self._field = field
        self._read = ("state", field, *read)

    async def find(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The document of each reference, with its state and the fields read; drafts are absent, they are nobody's yet."""
        return {
            reference: row
            for reference, rows in (await self._look(references)).items()
            if (row := _kept(rows))["state"] != "draft"
        }

    async def settle(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The one document of each reference, a draft too: it may be driven on. References without any are absent.

        Raises a Failure.
        """
        for _ in range(_LOOKS):
            found = await self._look(references)
            kept = {reference: _kept(rows) for reference, rows in found.items()}
            extra = [
                row["id"]
                for reference, rows in found.items()
                for row in rows
                if row["state"] == "draft" and row["id"] != kept[reference]["id"]
            ]
            if await self._deleted(extra):
                return kept
        name = self._rpc.name
        message = f"{name}: others are making the same {self._model}; it is tried again"
        raise Transient(message, system=name, code=f"{name}.conflict")

    async def _look(self, references: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        if not references:
            return {}
        rows = await self._rpc.search(
            self._model,
            [(self._field, "in", sorted(set(references))), ("state", "!=", "cancelled")],
            self._read,
            order=[("id", "ASC")],
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row[self._field], []).append(row)
        return found

    async def _deleted(self, drafts: Sequence[int]) -> bool:
        """Delete drafts; False when one was driven on, or deleted, by somebody else meanwhile."""

        async def delete(chosen: Sequence[int]) -> None:
            await self._rpc.write(f"{self._model}.delete", list(chosen))

        failures: dict[int, Failure] = await self._rpc.isolate(list(drafts), delete)
        for failure in failures.values():
            if not isinstance(failure, Rejected):
                raise failure
        return not failures


def _kept(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the documents with one reference the one that was driven on, else the first made."""
    return next((row for row in rows if row["state"] != "draft"), rows[0])
