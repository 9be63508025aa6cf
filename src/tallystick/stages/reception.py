"""Events from systems come in: each is taken once, tied to its transaction, and becomes the message of its stage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from tallystick.checks.refresh import Hold, apply_holds
from tallystick.control.lineage import LineageFact
from tallystick.documents.event import Event, EventType
from tallystick.documents.invoice import Invoice
from tallystick.documents.party import CreditHold
from tallystick.documents.payment import Payment
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import Transaction
from tallystick.documents.values import Document
from tallystick.mailbox.inbox import Entry, accept_entries, find_entries
from tallystick.stages.credit_holds import announcer
from tallystick.stages.flow import FULFILMENT, INVOICING, RETURNS, SETTLEMENT, Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.references import transaction_of
from tallystick.stages.transactions import read_transactions
from tallystick.store.crash_points import committing
from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class _Kind:
    stage: str
    message: str
    field: str
    document: type[Document]
    roles: tuple[str, ...]
    """The roles in the transaction's entity that may send it."""


# What the ERP reports it has in its books already: the stages take note of it and write nothing back.
_KINDS = {
    EventType.SHIPMENT_DISPATCHED: _Kind(FULFILMENT, "record_shipment", "shipment", Shipment, ("wms",)),
    EventType.INVOICE_POSTED: _Kind(INVOICING, "record_invoice", "invoice", Invoice, ("erp",)),
    EventType.PAYMENT_RECEIVED: _Kind(SETTLEMENT, "record_payment", "payment", Payment, ("payments", "erp")),
    EventType.RETURN_RECEIVED: _Kind(RETURNS, "credit_return", "return", Return, ("wms",)),
}
_HOLDS = (EventType.CREDIT_HOLD_PLACED, EventType.CREDIT_HOLD_RELEASED)
_DOCUMENTS: dict[str, type[Document]] = {
    **{kind.value: each.document for kind, each in _KINDS.items()},
    **dict.fromkeys((each.value for each in _HOLDS), CreditHold),
}


@dataclass(frozen=True, slots=True)
class EventAnswer:
    """202 taken, 200 taken before, 409 the same id with other content, 404 no such transaction, 403 not from this sender,
    422 not understood."""

    status: int
    code: str
    detail: str
    transaction_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """An event that is to be kept: its place among those that came, its entry, and what follows from it."""

    index: int
    entry: Entry
    outcome: Outcome = field(default_factory=Outcome)
    hold: Hold | None = None


async def receive_events(flow: Flow, system: str, events: Sequence[Event]) -> list[EventAnswer]:
    """Take events of one authenticated system in one transaction; one answer for each, in order.

    A repetition changes nothing. An event that is refused is not remembered, so it may come again once what it names is known.
    """
    async with flow.pool.acquire() as connection, committing(connection, "reception"):
        known = await find_entries(connection, [(each.source, each.id) for each in events])
        transactions = await _subjects(connection, system, events)
        answers: dict[int, EventAnswer] = {}
        taken: dict[tuple[str, str], _Taken] = {}
        for index, event in enumerate(events):
            key = (event.source, event.id)
            earlier = known.get(key) or (taken[key].entry if key in taken else None)
            answer = (
                _repetition(event, earlier)
                if earlier is not None
                else _problem(event)
                or (_hold(flow, system, event, index) if event.type in _HOLDS else None)
                or _message(flow, system, event, index, transactions.get(event.subject or ""))
            )
            if isinstance(answer, _Taken):
                taken[key] = answer
                answer = EventAnswer(202, "event.taken", "taken", answer.entry.transaction_id)
            answers[index] = answer
        new = await accept_entries(connection, [each.entry for each in taken.values()])
        kept = [each for key, each in taken.items() if key in new]
        await _take_holds(connection, flow, system, [each.hold for each in kept if each.hold])
        await record_outcomes(connection, flow.carrier, [each.outcome for each in kept])
    for key, each in taken.items():
        if key not in new:  # another process took it at this very moment
            answers[each.index] = EventAnswer(200, "event.repeated", "taken before", each.entry.transaction_id)
    return [answers[index] for index in range(len(events))]


async def _subjects(connection: Connection, system: str, events: Sequence[Event]) -> dict[str, Transaction]:
    """The transactions that the events' subjects name, by our ids and references or by the system's own."""
    subjects = {each.subject: transaction_of(each.subject) for each in events if each.subject}
    theirs = await _by_reference(connection, system, [each for each, found in subjects.items() if found is None])
    ids = {subject: found or theirs.get(subject) for subject, found in subjects.items()}
    transactions = await read_transactions(connection, [each for each in ids.values() if each])
    return {subject: transactions[found] for subject, found in ids.items() if found in transactions}


def _message(
    flow: Flow, system: str, event: Event, index: int, transaction: Transaction | None
) -> _Taken | EventAnswer:
    """The message for the event's stage, or why the event is refused."""
    if transaction is None or not _concerned(flow, transaction, system):
        detail = (
            f"subject {event.subject!r}: no transaction of that id or reference; check the subject and send it again"
        )
        return EventAnswer(404, "event.unknown_transaction", detail)
    wrong = _wrong_sender(flow, transaction, system, event)
    if wrong is not None:
        return wrong
    kind = _KINDS[EventType(event.type)]
    erp = flow.settings.entities[transaction.entity].erp
    payload = {kind.field: event.data, "sender": system}
    message = flow.message(kind.stage, kind.message, erp, transaction, payload)
    fact = LineageFact(
        transaction.id,
        kind.stage,
        "event_received",
        system=system,
        message_id=message.id,
        detail={"type": event.type},
    )
    entry = Entry(event.source, event.id, _digest(event), transaction.id, 202)
    return _Taken(index, entry, Outcome(facts=(fact,), messages=(message,)))


def _hold(flow: Flow, system: str, event: Event, index: int) -> _Taken | EventAnswer:
    """A credit hold concerns a customer, not a transaction; only an ERP places or releases it."""
    if not any(entity.erp == system for entity in flow.settings.entities.values()):
        detail = f"type {event.type!r} is taken from an entity's erp, which {system} is not"
        return EventAnswer(403, "event.wrong_sender", detail)
    said = CreditHold.model_validate(event.data)
    return _Taken(
        index, Entry(event.source, event.id, _digest(event), None, 202), hold=(said.customer_id, said.on_hold)
    )


async def _take_holds(connection: Connection, flow: Flow, system: str, holds: Sequence[Hold]) -> None:
    """The replica learns them now and not with the feed's next page; channels that know them already hear nothing."""
    news = await apply_holds(connection, system, holds) if holds else []
    if news:
        await announcer(flow, system)(connection, news)


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


def _repetition(event: Event, earlier: Entry) -> EventAnswer:
    if earlier.payload_hash == _digest(event):
        return EventAnswer(200, "event.repeated", "taken before", earlier.transaction_id)
    detail = f"event {event.id!r} of {event.source!r} was taken with other content; an id names one event for ever"
    return EventAnswer(409, "event.id_reused", detail, earlier.transaction_id)


def _problem(event: Event) -> EventAnswer | None:
    document = _DOCUMENTS.get(event.type)
    if document is None:
        known = ", ".join(_DOCUMENTS)
        return EventAnswer(422, "event.unknown_type", f"type {event.type!r} is not taken here; known are {known}")
    try:
        document.model_validate_json(orjson.dumps(event.data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return EventAnswer(422, "event.invalid_data", f"data.{where}: {first['msg']}")
    if event.type in _HOLDS and event.data["on_hold"] is not (event.type == EventType.CREDIT_HOLD_PLACED):
        return EventAnswer(422, "event.invalid_data", f"data.on_hold: contradicts the type {event.type!r}")
    return None
