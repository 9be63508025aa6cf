"""Commitment: the ERP is asked to make, change or cancel the order; with its yes the order is promised to the customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tallystick.checks.promises import promise_of, promises_of_changes
from tallystick.control.audit import SYSTEM
from tallystick.control.exceptions import ExceptionOpening, resolve_exceptions
from tallystick.documents.event import EventType
from tallystick.documents.money import format_minor
from tallystick.documents.order import Order
from tallystick.documents.transaction import CommitmentState, FulfilmentState, IntakeState
from tallystick.mailbox.dead_letters import MessageFilter, discard_messages, list_messages
from tallystick.mailbox.messages import Delivery, Done, Message
from tallystick.stages.change_refusal import not_changed
from tallystick.stages.flow import COMMITMENT, FULFILMENT, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import order_reference
from tallystick.stages.stage import Result, Stage, Work, unasked
from tallystick.stages.transactions import CrossReference, TransactionChange
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import OrderCommand, OrderCommitted

_MOST_WAITING = 10_000


class Commitment(Stage):
    """The stage; a cancellation that waits behind an order that the ERP refuses has its way."""

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        """As every stage does; then what was refused and is to be cancelled anyway is given up."""
        await super().bury(connection, failed)
        refused = [each for each, why in failed if isinstance(why, Rejected) and each.kind == "commit_order"]
        if not refused:
            return
        wanted = MessageFilter(stage=COMMITMENT, kind="cancel_order", state="parked")
        cancelled = {each["transaction_id"] for each in await list_messages(connection, wanted, limit=_MOST_WAITING)}
        moot = [each.id for each in refused if each.transaction_id in cancelled]
        await discard_messages(connection, moot)
        await resolve_exceptions(connection, by=SYSTEM, resolution="cancelled", message_ids=moot)


def commitment(flow: Flow) -> Stage:
    """The stage with its kinds of messages."""
    kinds = {"commit_order": commit_orders, "change_order": change_orders, "cancel_order": cancel_orders}
    return Commitment(COMMITMENT, flow, kinds, refuse)


def _command(work: Work) -> OrderCommand:
    revision = int(work.delivery.payload.get("revision", work.dossier.transaction.order_revision))
    return OrderCommand(
        reference=order_reference(work.dossier.transaction.id),
        order=work.dossier.orders[revision],
        tax_amount=work.delivery.payload.get("tax_amount"),
        verify=work.delivery.verify,
        revision=revision,
        erp_reference=work.dossier.transaction.erp_reference,
    )


async def commit_orders(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Make the orders in the ERP; one that was cancelled or rejected meanwhile is left out."""
    wanted = [work for work in works if work.dossier.transaction.intake is IntakeState.ACCEPTED]
    asked_at = datetime.now(UTC)
    commands = [_command(work) for work in wanted]
    answers = await flow.erp(works[0].delivery.system).commit_orders(commands) if commands else ()
    committed = {
        work.delivery.id: _committed(flow, work, answer, asked_at) for work, answer in zip(wanted, answers, strict=True)
    }
    return [committed.get(work.delivery.id) or unasked(_left_out(flow, work)) for work in works]


def _left_out(flow: Flow, work: Work) -> Result:
    """An order that is not to be committed any more: the ERP never hears of it."""
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, commitment=CommitmentState.NONE),
            facts=(work.fact(COMMITMENT, "left_out", intake=transaction.intake.value),),
            released=(promise_of(work.dossier.order, entity.erp, entity.policy),),
        )
    )


def _committed(flow: Flow, work: Work, answer: OrderCommitted | Failure, asked_at: datetime) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction, order = work.dossier.transaction, work.dossier.order
    entity = flow.settings.entities[transaction.entity]
    ships = entity.wms is not None
    request = _request_shipment(flow, work, transaction.order_revision) if ships else ()
    reference = CrossReference(
        work.delivery.system,
        "order",
        answer.erp_reference,
        transaction.entity,
        transaction.id,
        order_reference(transaction.id),
    )
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id,
                commitment=CommitmentState.COMMITTED,
                fulfilment=FulfilmentState.REQUESTED if ships else None,
                erp_reference=answer.erp_reference,
            ),
            references=(reference,),
            facts=(
                work.fact(
                    COMMITMENT, "committed", erp_reference=answer.erp_reference, already_there=answer.already_there
                ),
            ),
            messages=(
                *flow.news(transaction, EventType.ORDER_COMMITTED, {"erp_reference": answer.erp_reference}),
                *request,
            ),
            exceptions=_difference(work, order, answer, entity.policy.exception_due_hours),
            kept=(promise_of(order, entity.erp, entity.policy, asked_at=asked_at),),
        )
    )


def _request_shipment(flow: Flow, work: Work, revision: int) -> tuple[Message, ...]:
    transaction = work.dossier.transaction
    wms = str(flow.settings.entities[transaction.entity].wms)
    return (flow.message(FULFILMENT, "request_shipment", wms, transaction, {"revision": revision}),)


def _difference(work: Work, order: Order, answer: OrderCommitted, due_hours: float) -> tuple[ExceptionOpening, ...]:
    """An exception where the ERP's untaxed total is not the order's; the flow goes on, invoices will differ the same way."""
    if answer.net_amount is None or answer.net_amount == order.net_amount:
        return ()
    ours, theirs = format_minor(order.net_amount, order.currency), format_minor(answer.net_amount, order.currency)
    message = f"the ERP holds it at {theirs} {order.currency} net, the order says {ours}; correct the one that is wrong"
    reason = {
        "code": "order.total_differs",
        "message": message,
        "order_value": ours,
        "system_value": theirs,
        "money_at_risk": abs(answer.net_amount - order.net_amount),
    }
    summary = f"order {order.order_number} differs in the ERP ({answer.erp_reference}): {message}"
    context = {"erp_reference": answer.erp_reference}
    return (work.difference("order.differs", COMMITMENT, summary, [reason], due_hours, **context),)


def _warehouse_first(flow: Flow, work: Work) -> Result | None:
    """A change or cancellation of an order that the warehouse has is agreed with the warehouse before the ERP."""
    transaction = work.dossier.transaction
    if transaction.fulfilment is not FulfilmentState.REQUESTED:
        return None
    entity = flow.settings.entities[transaction.entity]
    payload = {**work.delivery.payload, "then": work.delivery.kind, "let_go": transaction.order_revision}
    message = flow.message(FULFILMENT, "cancel_shipment", str(entity.wms), transaction, payload)
    return Done(
        Outcome(facts=(work.fact(COMMITMENT, "asked_warehouse", kind=work.delivery.kind),), messages=(message,))
    )


async def change_orders(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Change orders of which nothing has shipped: the warehouse lets go first, then the ERP, then it ships anew."""
    early = {work.delivery.id: _too_late(flow, work) or _warehouse_first(flow, work) for work in works}
    ready = [work for work in works if early[work.delivery.id] is None]
    asked_at = datetime.now(UTC)
    commands = [_command(work) for work in ready]
    answers = await flow.erp(works[0].delivery.system).change_orders(commands) if commands else ()
    changed = {
        work.delivery.id: _changed(flow, work, answer, asked_at) for work, answer in zip(ready, answers, strict=True)
    }
    ours = {key: unasked(result) for key, result in early.items() if result is not None}
    return [ours.get(work.delivery.id) or changed[work.delivery.id] for work in works]


def _too_late(flow: Flow, work: Work) -> Result | None:
    """The answer to a change of an order that the ERP does not have, or not any more."""
    transaction = work.dossier.transaction
    if transaction.commitment is CommitmentState.COMMITTED:
        return None
    message = f"the order is {transaction.commitment.value} at the ERP; there is nothing to change"
    failure = Rejected(message, system=work.delivery.system, code="order.not_committed")
    fact = work.fact(COMMITMENT, "change_left_out", commitment=transaction.commitment.value)
    outcome = not_changed(flow, work, "change_order", failure)
    return Done(Outcome(facts=(fact,), messages=outcome.messages, released=outcome.released))


def _changed(flow: Flow, work: Work, answer: OrderCommitted | Failure, asked_at: datetime) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    revision = int(work.delivery.payload["revision"])
    order = work.dossier.orders[revision]
    tax_amount = work.delivery.payload.get("tax_amount")
    news = flow.news(transaction, EventType.ORDER_CHANGED, {"revision": revision, "net_amount": order.net_amount})
    ships = entity.wms is not None
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id,
                customer_po=order.customer_po,
                fulfilment=FulfilmentState.REQUESTED if ships else None,
                order_revision=revision,
                ordered_amount=order.net_amount,
                tax_amount=(order.tax_amount or 0) if tax_amount is None else tax_amount,
                erp_reference=answer.erp_reference,
            ),
            facts=(work.fact(COMMITMENT, "changed", revision=revision),),
            messages=news + (_request_shipment(flow, work, revision) if ships else ()),
            exceptions=_difference(work, order, answer, entity.policy.exception_due_hours),
            kept=promises_of_changes(order, entity.erp, [revision], asked_at=asked_at),
        )
    )


async def cancel_orders(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Cancel orders of which nothing has shipped; one that the ERP refused, or never had, is cancelled here alone."""
    first = {work.delivery.id: _repeated(work) or _warehouse_first(flow, work) for work in works}
    ready = [work for work in works if first[work.delivery.id] is None]
    in_erp = [
        work
        for work in ready
        if work.dossier.transaction.commitment in (CommitmentState.COMMITTED, CommitmentState.PENDING)
    ]
    commands = [_command(work) for work in in_erp]
    answers = await flow.erp(works[0].delivery.system).cancel_orders(commands) if commands else ()
    cancelled = {
        work.delivery.id: answer if isinstance(answer, Failure) else _cancelled(flow, work)
        for work, answer in zip(in_erp, answers, strict=True)
    }
    return [
        cancelled.get(work.delivery.id) or unasked(first[work.delivery.id] or _cancelled(flow, work)) for work in works
    ]


def _repeated(work: Work) -> Result | None:
    """Asked twice, cancelled once."""
    return Done(Outcome()) if work.dossier.transaction.intake is IntakeState.CANCELLED else None


def _cancelled(flow: Flow, work: Work) -> Result:
    transaction, order = work.dossier.transaction, work.dossier.order
    entity = flow.settings.entities[transaction.entity]
    reason = work.delivery.payload.get("reason")
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id,
                intake=IntakeState.CANCELLED,
                commitment=CommitmentState.CANCELLED,
                fulfilment=FulfilmentState.CANCELLED,
            ),
            facts=(work.fact(COMMITMENT, "cancelled", reason=reason),),
            messages=flow.news(transaction, EventType.ORDER_CANCELLED, {"reason": reason}),
            released=(
                promise_of(order, entity.erp, entity.policy),
                *promises_of_changes(order, entity.erp, work.dossier.later_revisions),
            ),
        )
    )


def refuse(flow: Flow, work: Work, failure: Failure) -> Outcome:
    """The ERP said no: a new order is refused and frees what it was promised; a change or cancellation just did not happen."""
    transaction = work.dossier.transaction
    if work.delivery.kind != "commit_order":
        return not_changed(flow, work, work.delivery.kind, failure)
    entity = flow.settings.entities[transaction.entity]
    return Outcome(
        change=TransactionChange(transaction.id, commitment=CommitmentState.REFUSED),
        messages=flow.news(transaction, EventType.ORDER_REFUSED, {"code": failure.code, "message": failure.message}),
        released=(promise_of(work.dossier.order, entity.erp, entity.policy),),
    )
