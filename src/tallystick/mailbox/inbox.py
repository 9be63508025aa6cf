"""Effectively once on the way in: (source, key, payload hash) decides whether a request is new, the same, or a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Entry:
    """A request by its source and the key the source gave it, with what was answered."""

    source: str
    key: str
    payload_hash: bytes
    transaction_id: UUID | None = None
    status: int = 0
    answer: Any = None


async def find_entries(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
    """What was answered before, by (source, key)."""
    if not keys:
        return {}
    rows = await connection.fetch(
        """
        select i.source, i.key, i.payload_hash, i.transaction_id, i.status, i.answer
        from unnest($1::text[], $2::text[]) as k (source, key) join inbox i using (source, key)
        """,
        [source for source, _ in keys],
        [key for _, key in keys],
    )
    return {(row["source"], row["key"]): Entry(*row.values()) for row in rows}


async def accept_entries(connection: Connection, entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Keep new requests with their answers; returns the (source, key) that were new. Call inside the deciding transaction.

    Who comes second waits here until the first commits, and is then not new: read the first's answer with `find_entries`.
    Keys are inserted in sorted order, so that two batches never deadlock.
    """
    if not entries:
        return set()
    ordered = sorted(entries, key=lambda each: (each.source, each.key))
    rows = await connection.fetch(
        """
        insert into inbox (source, key, payload_hash, transaction_id, status, answer)
        select * from unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::int[], $6::jsonb[])
        on conflict do nothing
        returning source, key
        """,
        [each.source for each in ordered],
        [each.key for each in ordered],
        [each.payload_hash for each in ordered],
        [each.transaction_id for each in ordered],
        [each.status for each in ordered],
        [each.answer for each in ordered],
    )
    return {(row["source"], row["key"]) for row in rows}


async def forget_entries(connection: Connection, older_than_days: int, *, at_most: int = 10_000) -> int:
    """Drop up to `at_most` entries past their retention, the oldest first; returns how many."""
    status = await connection.execute(
        """
        delete from inbox where (source, key) in (
            select source, key from inbox where received_at < now() - make_interval(days => $1)
            order by received_at limit $2 for update skip locked)
        """,
        older_than_days,
        at_most,
    )
    return int(status.rpartition(" ")[2])
