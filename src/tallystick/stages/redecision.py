"""An order that the ERP does not have is decided anew: changed by its channel, worked by a person, or checked again by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from tallystick.checks.promises import PromiseRaceError
from tallystick.control.exceptions import Closing, ExceptionOpening, resolve_exceptions
from tallystick.documents.decision import CheckResult, Decision, gravest
from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.transaction import CommitmentState, IntakeState, Transaction
from tallystick.mailbox.dead_letters import MessageFilter, discard_messages, list_messages
from tallystick.stages.decision import STATES, decided, tax_amount_of
from tallystick.stages.flow import Flow
from tallystick.stages.impossible import NotPossible
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import DocumentRecord, Dossier, TransactionChange
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection, JsonText

# What a new decision, change or cancellation overtakes where it lies dead in the transaction's lanes: else it would wait
# behind them for a person.
_OVERTAKEN = frozenset({"commit_order", "change_order", "cancel_order", "request_shipment", "cancel_shipment"})
_MOST_MESSAGES = 1_000


def is_undecided(transaction: Transaction) -> bool:
    """Whether the order is held, or refused by the ERP: nobody outside has it."""
    refused = transaction.intake is IntakeState.ACCEPTED and transaction.commitment is CommitmentState.REFUSED
    return transaction.intake is IntakeState.HELD or refused


def redecide(
    flow: Flow,
    dossier: Dossier,
    order: Order,
    body: JsonText | None,
    results: Sequence[CheckResult],
    by: str,
    overridden: frozenset[str] = frozenset(),
) -> Outcome:
    """What follows from new results of an undecided order; `body` is a new revision, None the order in force.

    Its open exceptions close, and it is accepted or rejected; held again it keeps the exception that it has, which remembers
    the reason codes that a person has overridden.
    """
    transaction = dossier.transaction
    revision = transaction.order_revision if body is None else max(dossier.orders) + 1
    decision = gravest(list(results))
    accepted = decision is Decision.ACCEPT
    entity = flow.settings.entities[order.entity]
    outcome = decided(flow, transaction.id, order, entity, results, new_id(), revision, actor=by)
    change = TransactionChange(
        transaction.id,
        customer_id=order.customer_id,
        customer_po=order.customer_po,
        intake=STATES[decision],
        commitment=CommitmentState.PENDING if accepted else CommitmentState.NONE,
        order_revision=revision,
        ordered_amount=order.net_amount,
        tax_amount=tax_amount_of(results, order) or 0,
    )
    documents: tuple[DocumentRecord, ...] = ()
    if body is not None:
        documents = (DocumentRecord(transaction.id, "order", order.order_number, order.channel, body, revision),)
    news = flow.news(transaction, EventType.ORDER_RELEASED, {"by": by}) if accepted else ()
    closing = Closing(transaction.id, by, "checked_again", held_again=decision is Decision.HOLD)
    return replace(
        outcome,
        change=change,
        documents=documents,
        closings=(closing,),
        exceptions=tuple(_again(each, overridden) for each in outcome.exceptions),
        messages=news + outcome.messages,
    )


def _again(opening: ExceptionOpening, overridden: frozenset[str]) -> ExceptionOpening:
    context = opening.context | ({"overridden": sorted(overridden)} if overridden else {})
    return replace(opening, context=context, again=True)


async def record_decided(flow: Flow, connection: Connection, outcome: Outcome) -> None:
    """Write what follows from a decision. Raises NotPossible where other orders were promised the stock or credit since."""
    try:
        await record_outcomes(connection, flow.carrier, [outcome])
    except PromiseRaceError as race:
        raise NotPossible(
            "order.overtaken", "other orders took its stock or credit while it was being checked; try again"
        ) from race


async def clear_way(
    connection: Connection, transaction: Transaction, *, by: str, resolution: str, reason: str | None = None
) -> None:
    """Give up the transaction's dead letters that a new decision, change or cancellation overtakes; `resolution` is their
    exceptions'.

    Raises NotPossible where it is not known whether the ERP has the order, or that is just being found out again.
    """
    live = await list_messages(connection, MessageFilter(transaction_id=transaction.id), limit=_MOST_MESSAGES)
    commits = {each["state"] for each in live if each["kind"] == "commit_order"}
    if transaction.commitment is CommitmentState.PENDING and "dead" in commits:
        message = "it is not known whether the ERP has the order; retry its exception first, that looks it up"
        raise NotPossible("order.outcome_unknown", message)
    if transaction.commitment is CommitmentState.REFUSED and commits - {"dead"}:
        raise NotPossible("order.being_retried", "the ERP is being asked again; wait for its answer")
    dead: list[UUID] = [each["id"] for each in live if each["state"] == "dead" and each["kind"] in _OVERTAKEN]
    await discard_messages(connection, dead)
    await resolve_exceptions(connection, by=by, resolution=resolution, reason=reason, message_ids=dead)
