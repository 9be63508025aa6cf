"""The work queue: what did not fit, opened by checks, rejections and dead letters, worked and resolved by people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from tallystick.control.lineage import read_lineage
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection, encode_json


class RootCause(StrEnum):
    """What is to be mended, so that it does not come again."""

    DATA_QUALITY = "data_quality"
    PROCESS_DESIGN = "process_design"
    MISSING_API = "missing_api"
    WEAK_ORCHESTRATION = "weak_orchestration"


@dataclass(frozen=True, slots=True)
class ExceptionOpening:
    """A work item to be. `money_at_risk` in minor units of `currency`; `reasons` as the checks give them."""

    entity: str
    type: str
    """What went wrong, dotted: order.held, commitment.rejected, fulfilment.dead_letter, invoice.differs, …"""
    stage: str
    summary: str
    transaction_id: UUID | None = None
    message_id: UUID | None = None
    system: str | None = None
    reasons: tuple[dict[str, Any], ...] = ()
    context: dict[str, Any] = field(default_factory=dict)
    money_at_risk: int = 0
    currency: str | None = None
    due_in: timedelta = timedelta(hours=24)
    id: UUID = field(default_factory=new_id)
    again: bool = False
    """The order was held before: the work item that is open for it goes on, with its owner, notes and due time."""


class ExceptionConflict(Exception):
    """Somebody changed the exception since it was read."""


class ExceptionResolved(Exception):
    """The exception is not open any more, so nothing can be done with it."""


async def open_exceptions(connection: Connection, openings: Sequence[ExceptionOpening]) -> set[UUID]:
    """Open work items inside the caller's transaction; returns the ids of the new ones.

    A message has at most one open at a time: where there is one already, it stays as it is, with its owner and notes. One that
    had one before gets its owner.
    """
    again = [each for each in openings if each.again]
    going_on = await _hold_again(connection, again) if again else frozenset()
    openings = [each for each in openings if not (each.again and each.transaction_id in going_on)]
    if not openings:
        return set()
    rows = await connection.fetch(
        """
        insert into exceptions (id, entity, transaction_id, message_id, type, stage, system, summary, reasons, context,
                                money_at_risk, currency, due_at, owner)
        select id, entity, transaction_id, message_id, type, stage, system, summary, reasons::jsonb, context, money, currency,
               now() + due,
               (select earlier.owner from exceptions earlier
                where earlier.transaction_id = e.transaction_id and earlier.message_id = e.message_id
                order by earlier.opened_at desc limit 1)
        from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
                    $9::text[], $10::jsonb[], $11::bigint[], $12::text[], $13::interval[])
            as e (id, entity, transaction_id, message_id, type, stage, system, summary, reasons, context, money, currency, due)
        on conflict do nothing
        returning id
        """,
        [each.id for each in openings],
        [each.entity for each in openings],
        [each.transaction_id for each in openings],
        [each.message_id for each in openings],
        [each.type for each in openings],
        [each.stage for each in openings],
        [each.system for each in openings],
        [each.summary for each in openings],
        # As text: a list in a list would be taken for a two-dimensional array.
        [encode_json(each.reasons) for each in openings],
        [each.context for each in openings],
        [each.money_at_risk for each in openings],
        [each.currency for each in openings],
        [each.due_in for each in openings],
    )
    return {row["id"] for row in rows}


async def _hold_again(connection: Connection, openings: Sequence[ExceptionOpening]) -> frozenset[UUID]:
    """Give the open work items of held orders their new reasons; returns the transactions that have such an item."""
    rows = await connection.fetch(
        """
        update exceptions e set summary = a.summary, reasons = a.reasons::jsonb, context = a.context,
            money_at_risk = a.money, version = e.version + 1
        from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::bigint[])
            as a (transaction_id, summary, reasons, context, money)
        where e.transaction_id = a.transaction_id and e.state = 'open' and e.type = 'order.held'
        returning e.transaction_id
        """,
        [each.transaction_id for each in openings],
        [each.summary for each in openings],
        [encode_json(each.reasons) for each in openings],
        [each.context for each in openings],
        [each.money_at_risk for each in openings],
    )
    return frozenset(row["transaction_id"] for row in rows)


async def peek_exception(
    connection: Connection, exception_id: UUID, entities: Sequence[str] | None, expected_version: int | None = None
) -> dict[str, Any] | None:
    """One open exception as it is now, for whoever has to think before the change; None if unknown to these entities.

    Raises ExceptionConflict when its version is not the expected one, ExceptionResolved when it is resolved already.
    """
    return await _open_exception(connection, exception_id, entities, expected_version, "")


async def lock_exception(
    connection: Connection, exception_id: UUID, entities: Sequence[str] | None, expected_version: int | None = None
) -> dict[str, Any] | None:
    """`peek_exception`, locked for a change."""
    return await _open_exception(connection, exception_id, entities, expected_version, "for update")


async def _open_exception(
    connection: Connection,
    exception_id: UUID,
    entities: Sequence[str] | None,
    expected_version: int | None,
    locking: str,
) -> dict[str, Any] | None:
    row = await connection.fetchrow(
        f"select * from exceptions where id = $1 and ($2::text[] is null or entity = any($2)) {locking}",
        exception_id,
        entities,
    )
    if row is None:
        return None
    if expected_version is not None and row["version"] != expected_version:
        raise ExceptionConflict(
            f"the exception was changed meanwhile: it is at version {row['version']}; read it again"
        )
    if row["state"] != "open":
        raise ExceptionResolved(f"the exception was resolved as {row['resolution']!r} by {row['resolved_by']}")
    return dict(row)


async def note_exception(
    connection: Connection,
    exception_id: UUID,
    principal: str,
    action: str,
    note: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add a line to an exception's story and move its version on."""
    await connection.execute(
        """
        insert into exception_notes (id, exception_id, principal, action, note, detail) values ($1, $2, $3, $4, $5, $6)
        """,
        new_id(),
        exception_id,
        principal,
        action,
        note,
        detail,
    )
    await connection.execute("update exceptions set version = version + 1 where id = $1", exception_id)


async def assign_exception(connection: Connection, exception_id: UUID, owner: str | None) -> None:
    """Give an open exception to a person, or to nobody."""
    await connection.execute("update exceptions set owner = $2 where id = $1", exception_id, owner)


async def resolve_exceptions(
    connection: Connection,
    *,
    by: str,
    resolution: str,
    reason: str | None = None,
    root_cause: str | None = None,
    exception_ids: Sequence[UUID] = (),
    message_ids: Sequence[UUID] = (),
) -> int:
    """Close open exceptions by their ids or by their messages'; returns how many."""
    status = await connection.execute(
        """
        update exceptions set state = 'resolved', resolved_at = now(), resolved_by = $1, resolution = $2,
            resolution_reason = $3, root_cause = coalesce($4, root_cause), version = version + 1
        where state = 'open' and (id = any($5::uuid[]) or message_id = any($6::uuid[]))
        """,
        by,
        resolution,
        reason,
        root_cause,
        list(exception_ids),
        list(message_ids),
    )
    return int(status.rpartition(" ")[2])


@dataclass(frozen=True, slots=True)
class Closing:
    """An order was decided anew, so what is open of it at intake and commitment is done."""

    transaction_id: UUID
    by: str
    resolution: str
    """A past participle: checked_again, cancelled, rejected, …"""
    reason: str | None = None
    held_again: bool = False
    """Held it stays, so what is open for that is not done."""


async def close_decided(connection: Connection, closings: Sequence[Closing]) -> None:
    """Close these orders' open exceptions of intake and commitment; those of later stages are about other things."""
    if not closings:
        return
    await connection.execute(
        """
        update exceptions e set state = 'resolved', resolved_at = now(), resolved_by = c.resolved_by,
            resolution = c.resolution, resolution_reason = c.reason, version = e.version + 1
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[])
            as c (transaction_id, resolved_by, resolution, reason, held_again)
        where e.transaction_id = c.transaction_id and e.state = 'open' and e.stage in ('intake', 'commitment')
            and not (c.held_again and e.type = 'order.held')
        """,
        [each.transaction_id for each in closings],
        [each.by for each in closings],
        [each.resolution for each in closings],
        [each.reason for each in closings],
        [each.held_again for each in closings],
    )


class Holding(NamedTuple):
    """The reason codes for which an order is held, and those that a person has overridden already."""

    codes: frozenset[str] = frozenset()
    overridden: frozenset[str] = frozenset()


async def holdings(connection: Connection, transaction_ids: Sequence[UUID]) -> dict[UUID, Holding]:
    """Why these transactions' orders are held; absent where one is not."""
    rows = await connection.fetch(
        """
        select transaction_id, array(select reason ->> 'code' from jsonb_array_elements(reasons) as reason) as codes, context
        from exceptions where transaction_id = any($1::uuid[]) and state = 'open' and type = 'order.held'
        """,
        list(transaction_ids),
    )
    return {row["transaction_id"]: Holding(frozenset(row["codes"]), overridden_in(row["context"])) for row in rows}


def overridden_in(context: Mapping[str, Any]) -> frozenset[str]:
    """The reason codes that a person has overridden for the order as it is, from its exception's context."""
    return frozenset(context.get("overridden", ()))


async def early_messages(connection: Connection, transaction_ids: Sequence[UUID]) -> list[UUID]:
    """Messages of these transactions that were set aside because what they follow was not known yet."""
    rows = await connection.fetch(
        """
        select message_id from exceptions
        where transaction_id = any($1::uuid[]) and state = 'open' and type like '%.early' and message_id is not null
        """,
        list(transaction_ids),
    )
    return [row["message_id"] for row in rows]


@dataclass(frozen=True, slots=True)
class _Sort:
    """An order of the queue, with the condition that an item comes after ($7, $8): its value there and its id."""

    column: str
    order: str
    after: str


SORTS = {
    "due": _Sort("due_at", "due_at, id", "(due_at, id) > ($7::timestamptz, $8::uuid)"),
    "money": _Sort("money_at_risk", "money_at_risk desc, id desc", "(money_at_risk, id) < ($7::bigint, $8::uuid)"),
    "opened": _Sort("opened_at", "opened_at, id", "(opened_at, id) > ($7::timestamptz, $8::uuid)"),
}


async def list_exceptions(
    connection: Connection,
    entities: Sequence[str] | None,
    *,
    state: str | None = "open",
    type: str | None = None,  # noqa: A002 - the exception's own word
    owner: str | None = None,
    transaction_id: UUID | None = None,
    due_before: datetime | None = None,
    sort: str = "due",
    after: tuple[datetime | int, UUID] | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Work items by filters; `sort` is one of SORTS, `after` the value and id of the last item of the page before."""
    by = SORTS[sort]
    rows = await connection.fetch(
        f"""
        select id, entity, transaction_id, message_id, type, stage, system, state, summary, money_at_risk, currency, owner,
               opened_at, due_at, resolved_at, resolution, root_cause, version
        from exceptions
        where ($1::text[] is null or entity = any($1)) and ($2::text is null or state = $2)
            and ($3::text is null or type = $3) and ($4::text is null or owner = $4)
            and ($5::uuid is null or transaction_id = $5) and ($6::timestamptz is null or due_at < $6)
            and ($8::uuid is null or {by.after})
        order by {by.order} limit $9
        """,
        entities,
        state,
        type,
        owner,
        transaction_id,
        due_before,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [dict(row) for row in rows]


async def read_exception(
    connection: Connection, exception_id: UUID, entities: Sequence[str] | None
) -> dict[str, Any] | None:
    """One work item with its whole story: reasons, context, notes, documents, lineage, and its message's attempts.

    A message that failed again after somebody retried it has a new work item; the notes of those before belong to its story.
    """
    row = await connection.fetchrow(
        "select * from exceptions where id = $1 and ($2::text[] is null or entity = any($2))", exception_id, entities
    )
    if row is None:
        return None
    notes = await connection.fetch(
        """
        select at, principal, action, note, detail from exception_notes
        where exception_id = $1 or exception_id in (
            select id from exceptions where transaction_id = $2 and message_id = $3 and opened_at < $4)
        order by id
        """,
        exception_id,
        row["transaction_id"],
        row["message_id"],
        row["opened_at"],
    )
    documents = await connection.fetch(
        """
        select type, number, revision, system, body, created_at from documents
        where transaction_id = $1 order by created_at, revision
        """,
        row["transaction_id"],
    )
    attempts = await connection.fetch(
        """
        select delivery, at, duration_ms, worker, failure, code, error, request, response
        from message_attempts where message_id = $1 order by delivery
        """,
        row["message_id"],
    )
    return {
        **dict(row),
        "notes": [dict(each) for each in notes],
        "documents": [dict(each) for each in documents],
        "attempts": [dict(each) for each in attempts],
        "lineage": await read_lineage(connection, row["transaction_id"]) if row["transaction_id"] else [],
    }
