"""What follows from the checks' decision on an order that the ERP does not have yet: its commitment, its exception, its news."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from tallystick.checks.promises import Promise, promise_of
from tallystick.control.exceptions import ExceptionOpening
from tallystick.control.lineage import LineageFact
from tallystick.documents.decision import CheckResult, Decision, Reason, gravest
from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.transaction import IntakeState
from tallystick.mailbox.messages import Message
from tallystick.settings import Entity
from tallystick.stages.flow import COMMITMENT, INTAKE, Flow
from tallystick.stages.outcome import Outcome
from tallystick.store.identifiers import new_id

STATES = {
    Decision.ACCEPT: IntakeState.ACCEPTED,
    Decision.HOLD: IntakeState.HELD,
    Decision.REJECT: IntakeState.REJECTED,
}


def tax_amount_of(results: Sequence[CheckResult], order: Order) -> int | None:
    """The tax service's amount, else what the channel quoted; None: the ERP computes it."""
    return next((each.tax_amount for each in results if each.tax_amount is not None), order.tax_amount)


def reasons_of(results: Sequence[CheckResult]) -> list[dict[str, Any]]:
    """All reasons as plain data, the gravest first."""
    reasons = sorted(
        (reason for result in results for reason in result.reasons), key=lambda each: -each.decision.gravity
    )
    return [reason.model_dump(mode="json") for reason in reasons]


def checks_summary(results: Sequence[CheckResult]) -> list[dict[str, Any]]:
    """Each check's decision, source and duration, for answers and lineage."""
    return [
        {
            "check": each.check,
            "decision": each.decision.value,
            "source": each.source,
            "facts_age_seconds": each.facts_age_seconds,
            "duration_ms": each.duration_ms,
        }
        for each in results
    ]


def decided(
    flow: Flow,
    transaction_id: UUID,
    order: Order,
    entity: Entity,
    results: Sequence[CheckResult],
    exception_id: UUID | None,
    revision: int = 1,
    actor: str | None = None,
) -> Outcome:
    """What follows from the checks' decision on an order that the ERP does not have yet."""
    decision = gravest(list(results))
    fact = LineageFact(
        transaction_id,
        "intake",
        STATES[decision].value,
        actor=actor,
        duration_ms=max((each.duration_ms for each in results), default=None),
        detail={"checks": checks_summary(results), "reasons": [each["code"] for each in reasons_of(results)]},
    )
    messages: tuple[Message, ...] = ()
    promised: tuple[Promise, ...] = ()
    exceptions: tuple[ExceptionOpening, ...] = ()
    news = {
        Decision.ACCEPT: EventType.ORDER_ACCEPTED,
        Decision.HOLD: EventType.ORDER_HELD,
        Decision.REJECT: EventType.ORDER_REJECTED,
    }[decision]
    data = {"reasons": reasons_of(results)} if decision is not Decision.ACCEPT else {}
    if decision is Decision.ACCEPT:
        payload = {"revision": revision, "tax_amount": tax_amount_of(results, order)}
        commit = Message(
            stage=COMMITMENT,
            system=entity.erp,
            kind="commit_order",
            lane=transaction_id,
            transaction_id=transaction_id,
            entity=order.entity,
            payload=payload,
        )
        messages, promised = (commit,), (promise_of(order, entity.erp, entity.policy, results),)
    elif decision is Decision.HOLD:
        exceptions = (_held(transaction_id, order, entity, results, exception_id),)
        messages = _check_again(transaction_id, order, entity, results)
    told = flow.news_of(transaction_id, order.entity, order.channel, order.order_number, news, data)
    return Outcome(facts=(fact,), messages=messages + told, promised=promised, exceptions=exceptions)


def missing_facts(results: Sequence[CheckResult]) -> Reason | None:
    """The first reason that holds an order only because a system did not answer; None where nothing or something else does."""
    holding = [reason for result in results for reason in result.reasons if reason.decision is Decision.HOLD]
    missing = [reason for reason in holding if reason.code.endswith(".facts_unavailable")]
    return missing[0] if missing and len(missing) == len(holding) else None


def check_again(transaction_id: UUID, entity_name: str, system: str) -> Message:
    """The message that checks a held order again once `system` answers."""
    return Message(
        stage=INTAKE,
        system=system,
        kind="check_again",
        lane=transaction_id,
        transaction_id=transaction_id,
        entity=entity_name,
        payload={},
    )


def _check_again(
    transaction_id: UUID, order: Order, entity: Entity, results: Sequence[CheckResult]
) -> tuple[Message, ...]:
    reason = missing_facts(results)
    if reason is None or not entity.policy.release_by_itself:
        return ()
    return (check_again(transaction_id, order.entity, reason.system_value or entity.erp),)


def _held(
    transaction_id: UUID, order: Order, entity: Entity, results: Sequence[CheckResult], exception_id: UUID | None
) -> ExceptionOpening:
    reasons = [reason for reason in reasons_of(results) if reason["decision"] != Decision.ACCEPT]
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return ExceptionOpening(
        entity=order.entity,
        type="order.held",
        stage="intake",
        summary=f"order {order.order_number} is held: {reasons[0]['message']}{more}",
        transaction_id=transaction_id,
        reasons=tuple(reasons),
        context={"checks": checks_summary(results), "customer_id": order.customer_id, "channel": order.channel},
        money_at_risk=min(sum(reason["money_at_risk"] for reason in reasons), max(order.net_amount, 0)),
        currency=order.currency,
        due_in=timedelta(hours=entity.policy.exception_due_hours),
        id=exception_id or new_id(),
    )
