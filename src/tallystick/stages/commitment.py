"""Commitment: the ERP is asked to make, change or cancel the order; with its yes the order is promised to the customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tallystick.checks.promises import promise_of
from tallystick.documents.event import EventType
from tallystick.documents.transaction import CommitmentState, FulfilmentState, IntakeState
from tallystick.mailbox.messages import Done
from tallystick.stages.flow import COMMITMENT, FULFILMENT, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import order_reference
from tallystick.stages.stage import Result, Stage, Work
from tallystick.stages.transactions import CrossReference, TransactionChange
from tallystick.systems.failure import Failure
from tallystick.systems.ports import OrderCommand, OrderCommitted


def commitment(flow: Flow) -> Stage:
    """The stage with its kinds of messages."""
    kinds = {"commit_order": commit_orders, "change_order": change_orders, "cancel_order": cancel_orders}
    return Stage(COMMITMENT, flow, kinds, refuse)


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
    """Make the orders in the ERP; an order cancelled meanwhile is left out."""
    wanted = [work for work in works if work.dossier.transaction.intake is IntakeState.ACCEPTED]
    asked_at = datetime.now(UTC)
    answers = await flow.erp(works[0].delivery.system).commit_orders([_command(work) for work in wanted])
    by_id = {
        work.delivery.id: _committed(flow, work, answer, asked_at) for work, answer in zip(wanted, answers, strict=True)
    }
    return [by_id.get(work.delivery.id, Done(Outcome())) for work in works]


def _committed(flow: Flow, work: Work, answer: OrderCommitted | Failure, asked_at: datetime) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    ships = entity.wms is not None
    messages = flow.news(transaction, EventType.ORDER_COMMITTED, {"erp_reference": answer.erp_reference})
    if ships:
        payload = {"revision": transaction.order_revision, "erp_reference": answer.erp_reference}
        messages += (flow.message(FULFILMENT, "request_shipment", str(entity.wms), transaction, payload),)
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id,
                commitment=CommitmentState.COMMITTED,
                fulfilment=FulfilmentState.REQUESTED if ships else None,
                erp_reference=answer.erp_reference,
            ),
            references=(
                CrossReference(
                    work.delivery.system,
                    "order",
                    answer.erp_reference,
                    transaction.entity,
                    transaction.id,
                    order_reference(transaction.id),
                ),
            ),
            facts=(
                work.fact(
                    COMMITMENT, "committed", erp_reference=answer.erp_reference, already_there=answer.already_there
                ),
            ),
            messages=messages,
            kept=(promise_of(work.dossier.order, entity.erp, entity.policy, asked_at=asked_at),),
        )
    )


def _warehouse_first(flow: Flow, work: Work) -> Result | None:
    """A change or cancellation of an order that the warehouse has is agreed with the warehouse before the ERP."""
    transaction = work.dossier.transaction
    if work.delivery.payload.get("warehouse_released") or transaction.fulfilment is not FulfilmentState.REQUESTED:
        return None
    entity = flow.settings.entities[transaction.entity]
    payload = {**work.delivery.payload, "then": work.delivery.kind}
    message = flow.message(FULFILMENT, "cancel_shipment", str(entity.wms), transaction, payload)
    return Done(
        Outcome(facts=(work.fact(COMMITMENT, "asked_warehouse", kind=work.delivery.kind),), messages=(message,))
    )


async def change_orders(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Change orders of which nothing has shipped: the warehouse lets go first, then the ERP, then it ships anew."""
    first = {work.delivery.id: _warehouse_first(flow, work) for work in works}
    ready = [work for work in works if first[work.delivery.id] is None]
    answers = await flow.erp(works[0].delivery.system).change_orders([_command(work) for work in ready])
    changed = {work.delivery.id: _changed(flow, work, answer) for work, answer in zip(ready, answers, strict=True)}
    return [first[work.delivery.id] or changed[work.delivery.id] for work in works]


def _changed(flow: Flow, work: Work, answer: OrderCommitted | Failure) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    revision = int(work.delivery.payload["revision"])
    order = work.dossier.orders[revision]
    messages = flow.news(transaction, EventType.ORDER_CHANGED, {"revision": revision, "net_amount": order.net_amount})
    if work.delivery.payload.get("warehouse_released"):
        payload = {"revision": revision, "erp_reference": answer.erp_reference}
        messages += (flow.message(FULFILMENT, "request_shipment", str(entity.wms), transaction, payload),)
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id,
                order_revision=revision,
                ordered_amount=order.net_amount,
                tax_amount=work.delivery.payload.get("tax_amount") or order.tax_amount or 0,
                erp_reference=answer.erp_reference,
            ),
            facts=(work.fact(COMMITMENT, "changed", revision=revision),),
            messages=messages,
        )
    )


async def cancel_orders(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Cancel orders of which nothing has shipped; one the ERP never had is cancelled here alone."""
    first = {work.delivery.id: _warehouse_first(flow, work) for work in works}
    ready = [work for work in works if first[work.delivery.id] is None]
    in_erp = [work for work in ready if work.dossier.transaction.commitment is CommitmentState.COMMITTED]
    answers = await flow.erp(works[0].delivery.system).cancel_orders([_command(work) for work in in_erp])
    failed = {
        work.delivery.id: answer for work, answer in zip(in_erp, answers, strict=True) if isinstance(answer, Failure)
    }
    return [first[each.delivery.id] or failed.get(each.delivery.id) or _cancelled(flow, each) for each in works]


def _cancelled(flow: Flow, work: Work) -> Result:
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id,
                intake=IntakeState.CANCELLED,
                commitment=CommitmentState.CANCELLED,
                fulfilment=FulfilmentState.CANCELLED,
            ),
            facts=(work.fact(COMMITMENT, "cancelled", reason=work.delivery.payload.get("reason")),),
            messages=flow.news(transaction, EventType.ORDER_CANCELLED, {"reason": work.delivery.payload.get("reason")}),
            released=(promise_of(work.dossier.order, entity.erp, entity.policy),),
        )
    )


def refuse(flow: Flow, work: Work, failure: Failure) -> Outcome:
    """The ERP said no: a new order is refused and frees what it was promised; a change or cancellation just did not happen."""
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    data = {"what": work.delivery.kind, "code": failure.code, "message": failure.message}
    news = flow.news(transaction, EventType.ORDER_REFUSED, data)
    if work.delivery.kind != "commit_order":
        return Outcome(messages=news)
    return Outcome(
        change=TransactionChange(transaction.id, commitment=CommitmentState.REFUSED),
        messages=news,
        released=(promise_of(work.dossier.order, entity.erp, entity.policy),),
    )
