"""What people do with exceptions: retry, amend and retry, override, reject back to the channel, resolve. Each is audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import (
    Closing,
    lock_exception,
    note_exception,
    overridden_in,
    peek_exception,
    resolve_exceptions,
)
from tallystick.control.lineage import LineageFact
from tallystick.documents.decision import Decision, gravest
from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.transaction import IntakeState, Transaction
from tallystick.mailbox.dead_letters import read_message
from tallystick.stages.changes import UNCHANGEABLE, check_same_order
from tallystick.stages.dead_letters import pending_again, replay
from tallystick.stages.decision import reasons_of
from tallystick.stages.flow import Flow
from tallystick.stages.impossible import NotFound, NotPossible, VersionConflict
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.redecision import clear_way, is_undecided, record_decided, redecide
from tallystick.stages.transactions import Dossier, TransactionChange, lock_transaction, read_dossiers
from tallystick.store.crash_points import committing
from tallystick.store.pool import Connection, JsonText

HELD = "order.held"
_OF_A_LINE = frozenset({"cash.suggested", "cash.unidentified"})


@dataclass(frozen=True, slots=True)
class _Act:
    """One thing that a principal does with one exception."""

    exception_id: UUID
    principal: Principal
    action: str
    reason: str | None
    expected_version: int | None
    order: Order | None = None
    body: JsonText | None = None
    payload: dict[str, Any] | None = None
    overrides: frozenset[str] | None = field(default_factory=frozenset)
    """Reason codes to override; None: all that hold the order now."""


async def retry_exception(
    flow: Flow, exception_id: UUID, principal: Principal, *, expected_version: int | None = None
) -> dict[str, Any]:
    """Try again: a dead letter is replayed as it is, a held order is checked again."""
    return await _act(flow, _Act(exception_id, principal, "retry", None, expected_version))


async def amend_exception(
    flow: Flow,
    exception_id: UUID,
    principal: Principal,
    *,
    order: Order | None = None,
    body: JsonText | None = None,
    payload: dict[str, Any] | None = None,
    reason: str | None = None,
    expected_version: int | None = None,
) -> dict[str, Any]:
    """Correct and try again: an order that is held or was refused with a corrected order, a dead letter with an edited
    payload."""
    act = _Act(exception_id, principal, "amend", reason, expected_version, order, body, payload)
    return await _act(flow, act)


async def override_exception(
    flow: Flow,
    exception_id: UUID,
    principal: Principal,
    *,
    codes: Sequence[str] | None,
    reason: str,
    expected_version: int | None = None,
) -> dict[str, Any]:
    """Let a held order pass in spite of these reason codes (None: all that hold it now), for a stated reason."""
    wanted = frozenset(codes) if codes else None
    return await _act(flow, _Act(exception_id, principal, "override", reason, expected_version, overrides=wanted))


async def _act(flow: Flow, act: _Act) -> dict[str, Any]:
    async with flow.pool.acquire() as connection:
        found = await peek_exception(connection, act.exception_id, act.principal.entity_filter, act.expected_version)
        dossier = await _dossier(connection, found) if found else None
    if found is None:
        raise NotFound(f"there is no exception {act.exception_id}")
    decides = found["type"] == HELD or act.order is not None
    if act.action == "override" and found["type"] != HELD:
        raise NotPossible("exception.not_overridable", f"{found['type']} can't be overridden; only held orders can")
    if found["type"] == HELD and act.payload is not None:
        raise NotPossible("exception.wants_order", "a held order has no payload; send the corrected order")
    if decides and dossier is not None:
        return await _decide_again(flow, act, found, dossier)
    if found["message_id"] is None:
        raise NotPossible(
            "exception.not_retryable", f"{found['type']} is resolved by a person; there is nothing to retry"
        )
    return await _replay(flow, act, found, dossier)


async def _dossier(connection: Connection, found: dict[str, Any]) -> Dossier | None:
    dossiers = await read_dossiers(connection, [found["transaction_id"]] if found["transaction_id"] else [])
    return dossiers.get(found["transaction_id"])


async def _replay(flow: Flow, act: _Act, found: dict[str, Any], dossier: Dossier | None) -> dict[str, Any]:
    """Make the exception's dead letter ready again."""
    message_id = found["message_id"]
    async with flow.pool.acquire() as connection, committing(connection, "resolution"):
        await _locked(connection, act, found)
        message = await read_message(connection, message_id, None)
        if message is None or message["state"] != "dead":
            raise NotPossible("message.not_dead", "its message takes its course already; wait for the outcome")
        await replay(connection, [message_id], by=act.principal.name, payload=act.payload)
        if dossier is not None and message["kind"] == "commit_order":
            await record_outcomes(connection, flow.carrier, [pending_again(flow, dossier)])
        await resolve_exceptions(connection, by=act.principal.name, resolution="retried", exception_ids=[found["id"]])
        result = {"replayed": 1, "message_id": str(message_id), "amended": act.payload is not None}
        edited = {} if act.payload is None else {"before": message["payload"], "after": act.payload}
        await _noted(connection, act, found, result, edited)
        return result


async def _decide_again(flow: Flow, act: _Act, found: dict[str, Any], dossier: Dossier) -> dict[str, Any]:
    """Check an order again, perhaps amended, and record what follows. The checks run before anything is locked."""
    transaction = dossier.transaction
    if not is_undecided(transaction):
        message = f"the order is {transaction.intake.value} and not refused; change or cancel it instead"
        raise NotPossible("order.not_held", message)
    order = act.order or dossier.order
    check_same_order(transaction, order, UNCHANGEABLE)
    codes = act.overrides
    if codes is None:
        codes = frozenset(each["code"] for each in found["reasons"])
    if act.order is None:  # what was overridden before was so for this order; a corrected one is another matter
        codes |= overridden_in(found["context"])
    entity = flow.settings.entities[transaction.entity]
    results = (await flow.checks.check(entity, [order], overrides=[codes]))[0]
    decision = gravest(list(results))
    result: dict[str, Any] = {"decision": decision.value, "reasons": reasons_of(results)}
    async with flow.pool.acquire() as connection, committing(connection, "resolution"):
        locked = await _locked_transaction(connection, transaction)
        await _locked(connection, act, found)
        if decision is not Decision.REJECT:
            outcome = redecide(flow, dossier, order, act.body, results, act.principal.name, codes)
            await clear_way(connection, locked, by=act.principal.name, resolution="checked_again", reason=act.reason)
            await record_decided(flow, connection, outcome)
            result["revision"] = transaction.order_revision if act.body is None else max(dossier.orders) + 1
        await _noted(connection, act, found, result, {"overridden": sorted(codes)} if codes else {})
    return result


async def reject_exception(
    flow: Flow, exception_id: UUID, principal: Principal, *, reason: str, expected_version: int | None = None
) -> dict[str, Any]:
    """Send an order back to its channel: a held one, or one that the ERP refused; its dead letter is discarded."""
    act = _Act(exception_id, principal, "reject", reason, expected_version)
    async with flow.pool.acquire() as connection, committing(connection, "resolution"):
        found = await peek_exception(connection, exception_id, principal.entity_filter, expected_version)
        if found is None:
            raise NotFound(f"there is no exception {exception_id}")
        dossier = await _dossier(connection, found)
        if dossier is None:
            raise NotPossible("exception.no_order", f"{found['type']} is of no order that could be rejected")
        transaction = await _locked_transaction(connection, dossier.transaction)
        await _locked(connection, act, found)
        await clear_way(connection, transaction, by=principal.name, resolution="rejected", reason=reason)
        if not is_undecided(transaction):
            raise NotPossible("order.committed", "the order is not held; cancel it instead of rejecting it")
        outcome = Outcome(
            change=TransactionChange(transaction.id, intake=IntakeState.REJECTED),
            facts=(LineageFact(transaction.id, "intake", "rejected", actor=principal.name, detail={"reason": reason}),),
            messages=flow.news(transaction, EventType.ORDER_REJECTED, {"reason": reason, "by": principal.name}),
            closings=(Closing(transaction.id, principal.name, "rejected", reason),),
        )
        await record_outcomes(connection, flow.carrier, [outcome])
        result = {"decision": "reject", "transaction_id": str(transaction.id)}
        await _noted(connection, act, found, result, {})
        return result


async def resolve_exception(
    flow: Flow,
    exception_id: UUID,
    principal: Principal,
    *,
    reason: str,
    root_cause: str,
    expected_version: int | None = None,
) -> dict[str, Any]:
    """Close it with its root cause: what was to be done was done elsewhere. A dead letter stays, for replay or discard.

    A held order needs a decision, so its exception can't be closed without one.
    """
    act = _Act(exception_id, principal, "resolve", reason, expected_version)
    async with flow.pool.acquire() as connection, committing(connection, "resolution"):
        found = await lock_exception(connection, exception_id, principal.entity_filter, expected_version)
        if found is None:
            raise NotFound(f"there is no exception {exception_id}")
        if found["type"] == HELD:
            raise NotPossible(
                "exception.needs_decision",
                "the order is held: retry, amend, override or reject it, or cancel the order",
            )
        if found["type"] in _OF_A_LINE:
            raise NotPossible(
                "exception.needs_decision",
                "its money is still nowhere: accept or refuse the received line (cash suggestions)",
            )
        await resolve_exceptions(
            connection,
            by=principal.name,
            resolution="resolved",
            reason=reason,
            root_cause=root_cause,
            exception_ids=[exception_id],
        )
        await _noted(connection, act, found, {"resolved": True}, {"root_cause": root_cause})
    return {"resolved": True}


async def _locked_transaction(connection: Connection, judged: Transaction) -> Transaction:
    """The transaction, locked. Raises VersionConflict where it is not as it was judged."""
    transaction = await lock_transaction(connection, judged.id)
    if transaction is None or transaction.version != judged.version:
        raise VersionConflict("the transaction was changed meanwhile; read it again")
    return transaction


async def _locked(connection: Connection, act: _Act, found: dict[str, Any]) -> None:
    """Lock the exception. Raises ExceptionConflict or ExceptionResolved where somebody was faster."""
    await lock_exception(connection, act.exception_id, act.principal.entity_filter, found["version"])


async def _noted(
    connection: Connection, act: _Act, found: dict[str, Any], result: dict[str, Any], more: dict[str, Any]
) -> None:
    """A line in the exception's story, and one in the audit trail."""
    await note_exception(connection, act.exception_id, act.principal.name, act.action, act.reason, {"result": result})
    entry = AuditEntry(
        act.principal.name,
        f"exception.{act.action}",
        "exception",
        str(found["id"]),
        found["entity"],
        found["transaction_id"],
        act.reason,
        result | more,
    )
    await write_audit(connection, [entry])
