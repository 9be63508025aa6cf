"""What people do with exceptions: retry, amend and retry, override, reject back to the channel, resolve. Each is audited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import lock_exception, note_exception, resolve_exceptions
from tallystick.control.lineage import LineageFact
from tallystick.documents.decision import Decision, gravest
from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.transaction import CommitmentState, IntakeState
from tallystick.mailbox.dead_letters import discard_messages, replay_messages
from tallystick.stages.changes import NotFound, NotPossible, record_decided, redecide
from tallystick.stages.flow import Flow
from tallystick.stages.intake import reasons_of
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import TransactionChange, read_dossiers
from tallystick.store.pool import Connection


async def retry_exception(
    flow: Flow, exception_id: UUID, principal: Principal, *, expected_version: int | None = None
) -> dict[str, Any]:
    """Try again: a dead letter is replayed as it is, a held order is checked again."""
    return await _act(flow, exception_id, principal, expected_version, "retry", None, None, frozenset())


async def amend_exception(
    flow: Flow,
    exception_id: UUID,
    principal: Principal,
    *,
    order: Order | None = None,
    body: dict[str, Any] | None = None,
    payload: dict[str, Any] | None = None,
    reason: str | None = None,
    expected_version: int | None = None,
) -> dict[str, Any]:
    """Correct and try again: a held order with a corrected order, a dead letter with an edited payload."""
    amendment = (order, body) if order is not None else None
    return await _act(
        flow, exception_id, principal, expected_version, "amend", reason, amendment, frozenset(), payload=payload
    )


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
    return await _act(flow, exception_id, principal, expected_version, "override", reason, None, wanted)


async def _act(
    flow: Flow,
    exception_id: UUID,
    principal: Principal,
    expected_version: int | None,
    action: str,
    reason: str | None,
    amendment: tuple[Order, dict[str, Any] | None] | None,
    overrides: frozenset[str] | None,
    payload: dict[str, Any] | None = None,
) -> dict[str, Any]:
    async with flow.pool.acquire() as connection, connection.transaction():
        found = await lock_exception(connection, exception_id, principal.entity_filter, expected_version)
        if found is None:
            raise NotFound(f"there is no exception {exception_id}")
        if found["message_id"] is not None:
            if action == "override":
                raise NotPossible(
                    "exception.not_overridable", "a dead letter can be retried or amended, not overridden"
                )
            result = await _replay(connection, found, principal, payload)
        elif found["type"] == "order.held":
            codes = frozenset(each["code"] for each in found["reasons"]) if overrides is None else overrides
            result = await _decide_again(flow, connection, found, principal, amendment, codes)
        else:
            raise NotPossible(
                "exception.not_retryable", f"{found['type']} is resolved by a person; there is nothing to retry"
            )
        await note_exception(connection, exception_id, principal.name, action, reason, {"result": result})
        await _audit(connection, found, principal, f"exception.{action}", reason, result)
        return result


async def _replay(
    connection: Connection, found: dict[str, Any], principal: Principal, payload: dict[str, Any] | None
) -> dict[str, Any]:
    replayed = await replay_messages(connection, [found["message_id"]], payload=payload)
    await resolve_exceptions(connection, by=principal.name, resolution="retried", exception_ids=[found["id"]])
    return {"replayed": len(replayed), "message_id": str(found["message_id"]), "amended": payload is not None}


async def _decide_again(
    flow: Flow,
    connection: Connection,
    found: dict[str, Any],
    principal: Principal,
    amendment: tuple[Order, dict[str, Any] | None] | None,
    overrides: frozenset[str],
) -> dict[str, Any]:
    dossier = (await read_dossiers(connection, [found["transaction_id"]]))[found["transaction_id"]]
    transaction = dossier.transaction
    if transaction.intake is not IntakeState.HELD:
        raise NotPossible("order.not_held", f"the order is {transaction.intake.value} by now; read it again")
    order, body = amendment or (dossier.order, None)
    results = (await flow.checks.check(flow.settings.entities[transaction.entity], [order], overrides=[overrides]))[0]
    decision = gravest(list(results))
    if decision is Decision.REJECT:
        return {"decision": decision.value, "reasons": reasons_of(results)}
    revision = max(dossier.orders) + 1 if body is not None else transaction.order_revision
    outcome = await redecide(flow, connection, dossier, order, body, results, revision, principal.name)
    await record_decided(flow, connection, outcome)
    return {"decision": decision.value, "reasons": reasons_of(results), "revision": revision}


async def reject_exception(
    flow: Flow, exception_id: UUID, principal: Principal, *, reason: str, expected_version: int | None = None
) -> dict[str, Any]:
    """Send an order back to its channel: a held one, or one that the ERP refused; its dead letter is discarded."""
    async with flow.pool.acquire() as connection, connection.transaction():
        found = await lock_exception(connection, exception_id, principal.entity_filter, expected_version)
        if found is None:
            raise NotFound(f"there is no exception {exception_id}")
        dossiers = await read_dossiers(connection, [found["transaction_id"]] if found["transaction_id"] else [])
        dossier = dossiers.get(found["transaction_id"])
        if dossier is None or dossier.transaction.commitment not in (CommitmentState.NONE, CommitmentState.REFUSED):
            raise NotPossible("order.committed", "the ERP has the order; cancel it instead of rejecting it")
        if found["message_id"]:
            await discard_messages(connection, [found["message_id"]])
        transaction = dossier.transaction
        outcome = Outcome(
            change=TransactionChange(transaction.id, intake=IntakeState.REJECTED),
            facts=(LineageFact(transaction.id, "intake", "rejected", actor=principal.name, detail={"reason": reason}),),
            messages=flow.news(transaction, EventType.ORDER_REJECTED, {"reason": reason, "by": principal.name}),
        )
        await record_outcomes(connection, flow.carrier, [outcome])
        await resolve_exceptions(
            connection, by=principal.name, resolution="rejected", reason=reason, transaction_id=transaction.id
        )
        await _audit(connection, found, principal, "exception.reject", reason, {})
        return {"decision": "reject", "transaction_id": str(transaction.id)}


async def _audit(
    connection: Connection,
    found: dict[str, Any],
    principal: Principal,
    action: str,
    reason: str | None,
    detail: dict[str, Any],
) -> None:
    entry = AuditEntry(
        principal.name, action, "exception", str(found["id"]), found["entity"], found["transaction_id"], reason, detail
    )
    await write_audit(connection, [entry])
