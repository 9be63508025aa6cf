"""Events from systems come in: each is taken once, tied to its transaction, and becomes the message of its stage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from tallystick.control.lineage import LineageFact
from tallystick.documents.event import Event, EventType
from tallystick.documents.payment import Payment
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import Transaction
from tallystick.documents.values import Document
from tallystick.mailbox.inbox import Entry, accept_entries, find_entries
from tallystick.stages.flow import FULFILMENT, RETURNS, SETTLEMENT, Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.references import transaction_of
from tallystick.stages.transactions import read_transactions
from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class _Kind:
    stage: str
    message: str
    field: str
    document: type[Document]
    roles: tuple[str, ...]
    """The roles in the transaction's entity that may send it."""


_KINDS = {
    EventType.SHIPMENT_DISPATCHED: _Kind(FULFILMENT, "record_shipment", "shipment", Shipment, ("wms", "erp")),
    EventType.PAYMENT_RECEIVED: _Kind(SETTLEMENT, "record_payment", "payment", Payment, ("payments", "erp")),
    EventType.RETURN_RECEIVED: _Kind(RETURNS, "credit_return", "return", Return, ("wms", "erp")),
}


@dataclass(frozen=True, slots=True)
class EventAnswer:
    """202 taken, 200 taken before, 409 the same id with other content, 404 no such transaction, 403 not from this sender,
    422 not understood."""

    status: int
    code: str
    detail: str
    transaction_id: UUID | None = None


async def receive_events(flow: Flow, system: str, events: Sequence[Event]) -> list[EventAnswer]:
    """Take events of one authenticated system in one transaction; one answer for each, in order.

    A repetition changes nothing. An event that is refused is not remembered, so it may come again once what it names is known.
    """
    async with flow.pool.acquire() as connection, connection.transaction():
        known = await find_entries(connection, [(each.source, each.id) for each in events])
        subjects = {each.subject: _subject(each) for each in events}
        by_reference = await _by_reference(
            connection, system, [each for each, found in subjects.items() if each and not found]
        )
        ids = {found for found in subjects.values() if found} | set(by_reference.values())
        transactions = await read_transactions(connection, list(ids))
        answers: dict[int, EventAnswer] = {}
        taken: dict[tuple[str, str], tuple[int, Entry, Outcome]] = {}
        for index, event in enumerate(events):
            digest = _digest(event)
            key = (event.source, event.id)
            earlier = known.get(key) or (taken[key][1] if key in taken else None)
            transaction_id = subjects[event.subject] or by_reference.get(event.subject or "")
            transaction = transactions.get(transaction_id) if transaction_id else None
            if earlier is not None:
                answers[index] = _repetition(event, digest, earlier)
            elif (problem := _problem(event)) is not None:
                answers[index] = problem
            elif transaction is None or not _concerned(flow, transaction, system):
                detail = f"subject {event.subject!r}: no transaction of that id or reference; check the subject and send it again"
                answers[index] = EventAnswer(404, "event.unknown_transaction", detail)
            elif (wrong := _wrong_sender(flow, transaction, system, event)) is not None:
                answers[index] = wrong
            else:
                kind = _KINDS[EventType(event.type)]
                entity = flow.settings.entities[transaction.entity]
                message = flow.message(kind.stage, kind.message, entity.erp, transaction, {kind.field: event.data})
                fact = LineageFact(
                    transaction.id,
                    kind.stage,
                    "event_received",
                    system=system,
                    message_id=message.id,
                    detail={"type": event.type},
                )
                entry = Entry(event.source, event.id, digest, transaction.id, 202)
                taken[key] = (index, entry, Outcome(facts=(fact,), messages=(message,)))
                answers[index] = EventAnswer(202, "event.taken", "taken", transaction.id)
        new = await accept_entries(connection, [entry for _, entry, _ in taken.values()])
        await record_outcomes(
            connection, flow.carrier, [outcome for key, (_, _, outcome) in taken.items() if key in new]
        )
    for key, (index, entry, _) in taken.items():
        if key not in new:  # another process took it at this very moment
            answers[index] = EventAnswer(200, "event.repeated", "taken before", entry.transaction_id)
    return [answers[index] for index in range(len(events))]


def _concerned(flow: Flow, transaction: Transaction, system: str) -> bool:
    """Whether the transaction's entity uses the system at all; to any other it is as if there were no such transaction."""
    entity = flow.entity(transaction.entity)
    return entity is not None and system in entity.systems()


def _wrong_sender(flow: Flow, transaction: Transaction, system: str, event: Event) -> EventAnswer | None:
    """A warehouse does not say that money came in."""
    roles = _KINDS[EventType(event.type)].roles
    entity = flow.settings.entities[transaction.entity]
    if system in {getattr(entity, role) for role in roles}:
        return None
    detail = f"type {event.type!r} is taken from the {' or the '.join(roles)} of the transaction's entity, which {system} is not"
    return EventAnswer(403, "event.wrong_sender", detail, transaction.id)


def _subject(event: Event) -> UUID | None:
    return transaction_of(event.subject) if event.subject else None


async def _by_reference(connection: Connection, system: str, references: Sequence[str]) -> dict[str, UUID]:
    if not references:
        return {}
    rows = await connection.fetch(
        "select reference, transaction_id from cross_references where system = $1 and reference = any($2::text[])",
        system,
        references,
    )
    return {row["reference"]: row["transaction_id"] for row in rows}


def _digest(event: Event) -> bytes:
    content: dict[str, Any] = {"type": event.type, "subject": event.subject, "data": event.data}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def _repetition(event: Event, digest: bytes, earlier: Entry) -> EventAnswer:
    if earlier.payload_hash == digest:
        return EventAnswer(200, "event.repeated", "taken before", earlier.transaction_id)
    detail = f"event {event.id!r} of {event.source!r} was taken with other content; an id names one event for ever"
    return EventAnswer(409, "event.id_reused", detail, earlier.transaction_id)


def _problem(event: Event) -> EventAnswer | None:
    if event.type not in _KINDS:
        known = ", ".join(_KINDS)
        return EventAnswer(422, "event.unknown_type", f"type {event.type!r} is not taken here; known are {known}")
    kind = _KINDS[EventType(event.type)]
    try:
        kind.document.model_validate_json(orjson.dumps(event.data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return EventAnswer(422, "event.invalid_data", f"data.{where}: {first['msg']}")
    return None
