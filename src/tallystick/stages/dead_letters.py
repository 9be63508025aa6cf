"""A person replays a dead letter or gives it up: what that means for its order goes into the same database transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tallystick.checks.promises import promise_of
from tallystick.control.exceptions import resolve_exceptions
from tallystick.control.lineage import LineageFact, record_facts
from tallystick.documents.transaction import CommitmentState
from tallystick.mailbox.dead_letters import IS_DEAD, discard_messages, places_of, replay_messages
from tallystick.mailbox.messages import Delivery
from tallystick.stages.cash_posting import give_up_lines, lines_of
from tallystick.stages.change_refusal import not_changed
from tallystick.stages.flow import Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.stage import Work
from tallystick.stages.transactions import Dossier, TransactionChange, lock_versions, read_dossiers
from tallystick.store.pool import Connection
from tallystick.systems.failure import Rejected


async def replay_dead(
    flow: Flow, connection: Connection, ids: Sequence[UUID], *, by: str, payload: dict[str, Any] | None = None
) -> list[UUID]:
    """Replay dead letters and close their exceptions; returns the replayed ids. An order that is to be committed after all is
    pending again, and counts as promised until the ERP answers."""
    works = await _works(connection, ids, ["commit_order"])
    replayed = await replay(connection, ids, by=by, payload=payload)
    outcomes = [pending_again(flow, each.dossier) for each in works if each.delivery.id in replayed]
    await record_outcomes(connection, flow.carrier, outcomes)
    await resolve_exceptions(connection, by=by, resolution="replayed", message_ids=replayed)
    return replayed


async def replay(
    connection: Connection, ids: Sequence[UUID], *, by: str, payload: dict[str, Any] | None = None
) -> list[UUID]:
    """Make dead letters ready again, which is a fact of their transactions; returns the replayed ids."""
    replayed = await replay_messages(connection, ids, payload=payload)
    detail = {} if payload is None else {"amended": True}
    await record_facts(connection, _facts(await places_of(connection, replayed), "replayed", by, detail))
    return replayed


def _facts(places: Sequence[dict[str, Any]], fact: str, by: str, detail: dict[str, Any]) -> list[LineageFact]:
    """What somebody did with messages, as facts of their transactions."""
    return [
        LineageFact(
            each["transaction_id"],
            each["stage"],
            fact,
            system=each["system"],
            message_id=each["id"],
            actor=by,
            detail={"kind": each["kind"], **detail},
        )
        for each in places
        if each["transaction_id"]
    ]


async def discard_dead(flow: Flow, connection: Connection, ids: Sequence[UUID], *, by: str, reason: str) -> list[UUID]:
    """Give dead letters up and close their exceptions; returns the discarded ids. An order that was to be committed waits no more
    for the ERP's word, and is promised nothing; a change or cancellation is as good as refused, and so is a bank line."""
    works = await _works(connection, ids, ["commit_order", "change_order", "cancel_order", "cancel_shipment"])
    lines = await lines_of(connection, ids)
    places = await places_of(connection, ids)
    discarded = await discard_messages(connection, ids)
    gone = [each for each in places if each["id"] in discarded]
    await record_facts(connection, _facts(gone, "discarded", by, {"reason": reason}))
    await give_up_lines(connection, [lines[each] for each in discarded if each in lines], by=by, reason=reason)
    outcomes = [_given_up(flow, each, reason) for each in works if each.delivery.id in discarded]
    await record_outcomes(connection, flow.carrier, outcomes)
    await resolve_exceptions(connection, by=by, resolution="discarded", reason=reason, message_ids=discarded)
    return discarded


async def _works(connection: Connection, ids: Sequence[UUID], kinds: Sequence[str]) -> list[Work]:
    """Of these dead letters those of the kinds that an order waits for. Their transactions are locked, before their messages."""
    rows = await connection.fetch(
        f"""
        select id, position, entity, stage, system, kind, lane, transaction_id, payload, deliveries, attempts, created_at, true
        from messages
        where id = any($1::uuid[]) and {IS_DEAD} and kind = any($2::text[]) and transaction_id is not null
        """,
        list(ids),
        list(kinds),
    )
    await lock_versions(connection, [row["transaction_id"] for row in rows])
    dossiers = await read_dossiers(connection, [row["transaction_id"] for row in rows])
    return [Work(Delivery(*row), dossiers[row["transaction_id"]]) for row in rows if row["transaction_id"] in dossiers]


def pending_again(flow: Flow, dossier: Dossier) -> Outcome:
    """The ERP is asked again for an order that it refused: until it answers the order counts as promised."""
    transaction = dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    return Outcome(
        change=TransactionChange(transaction.id, commitment=CommitmentState.PENDING),
        promised=(promise_of(dossier.order_with_tax, entity.erp, entity.policy),),
    )


def _given_up(flow: Flow, work: Work, reason: str) -> Outcome:
    transaction, delivery = work.dossier.transaction, work.delivery
    if delivery.kind != "commit_order":
        failure = Rejected(f"given up: {reason}", system=delivery.system, code="message.discarded")
        return not_changed(flow, work, str(delivery.payload.get("then", delivery.kind)), failure)
    if transaction.commitment is not CommitmentState.PENDING:
        return Outcome()
    entity = flow.settings.entities[transaction.entity]
    return Outcome(
        change=TransactionChange(transaction.id, commitment=CommitmentState.NONE),
        released=(promise_of(work.dossier.order, entity.erp, entity.policy),),
    )
