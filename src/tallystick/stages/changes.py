"""Changes and cancellations of an order by its channel, before anything has shipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tallystick.checks.promises import promise_of_change, promises_of_changes
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import Closing
from tallystick.control.lineage import LineageFact
from tallystick.documents.decision import CheckResult, Decision, gravest
from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.transaction import FulfilmentState, IntakeState, Transaction
from tallystick.stages.decision import checks_summary, reasons_of, tax_amount_of
from tallystick.stages.flow import COMMITMENT, Flow
from tallystick.stages.impossible import NotFound, NotPossible, VersionConflict
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.redecision import clear_way, is_undecided, record_decided, redecide
from tallystick.stages.transactions import DocumentRecord, Dossier, TransactionChange, lock_transaction, read_dossiers
from tallystick.store.crash_points import committing
from tallystick.store.pool import Connection, JsonText

UNCHANGEABLE = ("entity", "channel", "order_number", "currency")
"""What makes an order this order."""


async def change_order(
    flow: Flow, transaction_id: UUID, order: Order, body: JsonText, *, expected_version: int, principal: str
) -> dict[str, Any]:
    """Check a changed order and carry it to the ERP (or into the order that is held or was refused).

    Answers with the decision: a rejected or held change leaves the order in force as it is. Raises NotFound, VersionConflict
    or NotPossible.
    """
    dossier = await _dossier(flow, transaction_id)
    _changeable(dossier.transaction, expected_version)
    check_same_order(dossier.transaction, order, (*UNCHANGEABLE, "customer_id"))
    entity = flow.settings.entities[order.entity]
    undecided = is_undecided(dossier.transaction)
    in_force = None if undecided else dossier.order_with_tax
    results = (await flow.checks.check(entity, [order], replacing=[in_force]))[0]
    decision = gravest(list(results))
    answer = {
        "transaction_id": str(transaction_id),
        "decision": decision.value,
        "checks": checks_summary(results),
        "reasons": reasons_of(results),
    }
    if decision is Decision.REJECT or (decision is Decision.HOLD and not undecided):
        return answer
    revision = max(dossier.orders) + 1
    async with flow.pool.acquire() as connection, committing(connection, "changes"):
        transaction = await _lock(connection, transaction_id, expected_version)
        await clear_way(connection, transaction, by=principal, resolution="changed")
        outcome = (
            redecide(flow, dossier, order, body, results, principal)
            if in_force is None
            else _asked(flow, dossier, order, body, results, in_force, revision, principal)
        )
        await record_decided(flow, connection, outcome)
        await _audit(connection, transaction, principal, "order.change", {"revision": revision})
    return answer | {"revision": revision}


def _asked(
    flow: Flow,
    dossier: Dossier,
    order: Order,
    body: JsonText,
    results: Sequence[CheckResult],
    in_force: Order,
    revision: int,
    principal: str,
) -> Outcome:
    """A change on its way to the ERP: what it takes more is promised now, in place of what an earlier one still waited for."""
    transaction = dossier.transaction
    entity = flow.settings.entities[order.entity]
    payload = {"revision": revision, "tax_amount": tax_amount_of(results, order)}
    fact = LineageFact(transaction.id, "intake", "change_accepted", actor=principal, detail={"revision": revision})
    return Outcome(
        change=TransactionChange(transaction.id),
        documents=(DocumentRecord(transaction.id, "order", order.order_number, order.channel, body, revision),),
        facts=(fact,),
        messages=(flow.message(COMMITMENT, "change_order", entity.erp, transaction, payload),),
        promised=(promise_of_change(in_force, order, revision, entity.erp, entity.policy, results),),
        released=promises_of_changes(order, entity.erp, dossier.later_revisions),
    )


async def cancel_order(
    flow: Flow, transaction_id: UUID, *, expected_version: int, reason: str | None, principal: str
) -> dict[str, Any]:
    """Cancel an order: at once while nobody outside has it, else by asking warehouse and ERP.

    Raises NotFound, VersionConflict or NotPossible.
    """
    dossier = await _dossier(flow, transaction_id)
    async with flow.pool.acquire() as connection, committing(connection, "changes"):
        transaction = await _lock(connection, transaction_id, expected_version)
        await clear_way(connection, transaction, by=principal, resolution="cancelled", reason=reason)
        here = is_undecided(transaction)
        outcome = (
            _cancelled_here(flow, transaction, reason, principal)
            if here
            else _cancellation_asked(flow, dossier, reason, principal)
        )
        await record_outcomes(connection, flow.carrier, [outcome])
        await _audit(connection, transaction, principal, "order.cancel", {"reason": reason})
    return {"transaction_id": str(transaction_id), "state": "cancelled" if here else "cancelling"}


def _cancelled_here(flow: Flow, transaction: Transaction, reason: str | None, principal: str) -> Outcome:
    detail = {"reason": reason}
    return Outcome(
        change=TransactionChange(transaction.id, intake=IntakeState.CANCELLED),
        facts=(LineageFact(transaction.id, "intake", "cancelled", actor=principal, detail=detail),),
        messages=flow.news(transaction, EventType.ORDER_CANCELLED, detail),
        closings=(Closing(transaction.id, principal, "cancelled", reason),),
    )


def _cancellation_asked(flow: Flow, dossier: Dossier, reason: str | None, principal: str) -> Outcome:
    transaction = dossier.transaction
    erp = flow.settings.entities[transaction.entity].erp
    payload = {"reason": reason, "revision": transaction.order_revision}
    detail = {"reason": reason}
    return Outcome(
        change=TransactionChange(transaction.id),
        facts=(LineageFact(transaction.id, "intake", "cancellation_asked", actor=principal, detail=detail),),
        messages=(flow.message(COMMITMENT, "cancel_order", erp, transaction, payload),),
    )


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


def check_same_order(transaction: Transaction, order: Order, fields: Sequence[str]) -> None:
    """Raises NotPossible where a new revision differs in what a revision can't change."""
    for field in fields:
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
