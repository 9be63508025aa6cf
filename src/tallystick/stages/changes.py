"""Changes and cancellations of an order by its channel, before anything has shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from tallystick.checks.promises import PromiseRaceError
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import resolve_exceptions
from tallystick.control.lineage import LineageFact
from tallystick.documents.decision import CheckResult, Decision, gravest
from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.transaction import CommitmentState, FulfilmentState, IntakeState, Transaction
from tallystick.stages.flow import COMMITMENT, Flow
from tallystick.stages.intake import checks_summary, decided, reasons_of, tax_amount_of
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import DocumentRecord, Dossier, TransactionChange, lock_transaction, read_dossiers
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection


class NotFound(Exception):
    """There is no such object for this principal."""


class VersionConflict(Exception):
    """Somebody changed the transaction since it was read."""


class NotPossible(Exception):
    """The transaction is past the point where this can be done; the message says why and what to do instead."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def change_order(
    flow: Flow, transaction_id: UUID, order: Order, body: dict[str, Any], *, expected_version: int, principal: str
) -> dict[str, Any]:
    """Check a changed order and carry it to the ERP (or into the held order).

    Answers with the decision: a rejected or held change leaves the order in force as it is. Raises NotFound, VersionConflict
    or NotPossible.
    """
    dossier = await _dossier(flow, transaction_id)
    _changeable(dossier.transaction, expected_version)
    _same_order(dossier.transaction, order)
    entity = flow.settings.entities[order.entity]
    in_force = dossier.order if dossier.transaction.intake is IntakeState.ACCEPTED else None
    results = (await flow.checks.check(entity, [order], replacing=[in_force]))[0]
    decision = gravest(list(results))
    answer = {
        "transaction_id": str(transaction_id),
        "decision": decision.value,
        "checks": checks_summary(results),
        "reasons": reasons_of(results),
    }
    held = dossier.transaction.intake is IntakeState.HELD
    if decision is Decision.REJECT or (decision is Decision.HOLD and not held):
        return answer
    async with flow.pool.acquire() as connection, connection.transaction():
        await _lock(connection, transaction_id, expected_version)
        revision = max(dossier.orders) + 1
        outcome = (
            await redecide(flow, connection, dossier, order, body, results, revision, principal)
            if held
            else _committed_change(flow, dossier, order, body, results, revision, principal)
        )
        await record_decided(flow, connection, outcome)
        await _audit(connection, dossier.transaction, principal, "order.change", {"revision": revision})
    return answer | {"revision": revision}


async def redecide(
    flow: Flow,
    connection: Connection,
    dossier: Dossier,
    order: Order,
    body: dict[str, Any] | None,
    results: Sequence[CheckResult],
    revision: int,
    principal: str,
) -> Outcome:
    """A held order judged anew: its open exceptions close, and it is accepted, or held with a new one."""
    transaction = dossier.transaction
    await resolve_exceptions(connection, by=principal, resolution="checked_again", transaction_id=transaction.id)
    entity = flow.settings.entities[order.entity]
    decision = gravest(list(results))
    accepted = decision is Decision.ACCEPT
    outcome = decided(flow, transaction.id, order, entity, results, new_id(), revision)
    change = TransactionChange(
        transaction.id,
        intake=IntakeState.ACCEPTED if accepted else None,
        commitment=CommitmentState.PENDING if accepted else None,
        order_revision=revision,
        ordered_amount=order.net_amount,
        tax_amount=tax_amount_of(results, order),
    )
    documents: tuple[DocumentRecord, ...] = ()
    if body is not None:
        documents = (DocumentRecord(transaction.id, "order", order.order_number, order.channel, body, revision),)
    news = flow.news(transaction, EventType.ORDER_RELEASED, {"by": principal}) if accepted else ()
    return replace(outcome, change=change, documents=documents, messages=news + outcome.messages)


async def record_decided(flow: Flow, connection: Connection, outcome: Outcome) -> None:
    """Write what follows from a decision. Raises NotPossible where other orders were promised the stock or credit since."""
    try:
        await record_outcomes(connection, flow.carrier, [outcome])
    except PromiseRaceError as race:
        raise NotPossible(
            "order.overtaken", "other orders took its stock or credit while it was being checked; try again"
        ) from race


def _committed_change(
    flow: Flow,
    dossier: Dossier,
    order: Order,
    body: dict[str, Any],
    results: Sequence[CheckResult],
    revision: int,
    principal: str,
) -> Outcome:
    transaction = dossier.transaction
    entity = flow.settings.entities[order.entity]
    payload = {"revision": revision, "tax_amount": tax_amount_of(results, order)}
    return Outcome(
        change=TransactionChange(transaction.id),
        documents=(DocumentRecord(transaction.id, "order", order.order_number, order.channel, body, revision),),
        facts=(
            LineageFact(transaction.id, "intake", "change_accepted", actor=principal, detail={"revision": revision}),
        ),
        messages=(flow.message(COMMITMENT, "change_order", entity.erp, transaction, payload),),
    )


async def cancel_order(
    flow: Flow, transaction_id: UUID, *, expected_version: int, reason: str | None, principal: str
) -> dict[str, Any]:
    """Cancel an order: at once while the ERP does not have it, else by asking warehouse and ERP.

    Raises NotFound, VersionConflict or NotPossible.
    """
    dossier = await _dossier(flow, transaction_id)
    _changeable(dossier.transaction, expected_version)
    async with flow.pool.acquire() as connection, connection.transaction():
        transaction = await _lock(connection, transaction_id, expected_version)
        entity = flow.settings.entities[transaction.entity]
        if transaction.intake is IntakeState.HELD:
            await resolve_exceptions(connection, by=principal, resolution="cancelled", transaction_id=transaction_id)
            outcome = Outcome(
                change=TransactionChange(transaction_id, intake=IntakeState.CANCELLED),
                facts=(LineageFact(transaction_id, "intake", "cancelled", actor=principal, detail={"reason": reason}),),
                messages=flow.news(transaction, EventType.ORDER_CANCELLED, {"reason": reason}),
            )
        else:
            payload = {"reason": reason, "revision": transaction.order_revision}
            outcome = Outcome(
                change=TransactionChange(transaction_id),
                facts=(LineageFact(transaction_id, "intake", "cancellation_asked", actor=principal),),
                messages=(flow.message(COMMITMENT, "cancel_order", entity.erp, transaction, payload),),
            )
        await record_outcomes(connection, flow.carrier, [outcome])
        await _audit(connection, transaction, principal, "order.cancel", {"reason": reason})
    done = transaction.intake is IntakeState.HELD
    return {"transaction_id": str(transaction_id), "state": "cancelled" if done else "cancelling"}


async def _dossier(flow: Flow, transaction_id: UUID) -> Dossier:
    async with flow.pool.acquire() as connection:
        found = await read_dossiers(connection, [transaction_id])
    if transaction_id not in found:
        raise NotFound(f"there is no transaction {transaction_id}")
    return found[transaction_id]


async def _lock(connection: Connection, transaction_id: UUID, expected_version: int) -> Transaction:
    transaction = await lock_transaction(connection, transaction_id)
    if transaction is None:
        raise NotFound(f"there is no transaction {transaction_id}")
    _changeable(transaction, expected_version)
    return transaction


def _changeable(transaction: Transaction, expected_version: int) -> None:
    if transaction.version != expected_version:
        raise VersionConflict(
            f"the transaction is at version {transaction.version}, not {expected_version}; read it again"
        )
    if transaction.intake in (IntakeState.REJECTED, IntakeState.CANCELLED):
        raise NotPossible("order.closed", f"the order is {transaction.intake.value}; send a new one")
    if transaction.fulfilment in (FulfilmentState.PARTIAL, FulfilmentState.COMPLETE):
        raise NotPossible("order.shipped", "goods have shipped; a return or a new order is the way now")


def _same_order(transaction: Transaction, order: Order) -> None:
    for field in ("entity", "channel", "order_number", "customer_id", "currency"):
        if getattr(order, field) != getattr(transaction, field):
            raise NotPossible(
                f"order.{field}_changed",
                f"{field}: a change can't turn {getattr(transaction, field)!r} into {getattr(order, field)!r}; "
                "cancel the order and send a new one",
            )


async def _audit(
    connection: Connection, transaction: Transaction, principal: str, action: str, detail: dict[str, Any]
) -> None:
    entry = AuditEntry(
        principal, action, "transaction", str(transaction.id), transaction.entity, transaction.id, detail=detail
    )
    await write_audit(connection, [entry])
