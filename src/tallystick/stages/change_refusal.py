"""A change or cancellation that somebody refused: the order in force stands; channel, promises and warehouse learn it."""

from __future__ import annotations

from tallystick.checks.promises import promises_of_changes
from tallystick.documents.event import EventType
from tallystick.documents.transaction import CommitmentState, FulfilmentState
from tallystick.stages.flow import FULFILMENT, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.stage import Work
from tallystick.stages.transactions import DocumentRecord, TransactionChange
from tallystick.systems.failure import Failure

_NEWS = {
    "change_order": EventType.ORDER_CHANGE_REFUSED,
    "cancel_order": EventType.ORDER_CANCELLATION_REFUSED,
}


def not_changed(flow: Flow, work: Work, kind: str, failure: Failure) -> Outcome:
    """What follows when a `change_order` or `cancel_order` was refused, by the ERP or by the warehouse."""
    transaction, order = work.dossier.transaction, work.dossier.order
    entity = flow.settings.entities[transaction.entity]
    revision = work.delivery.payload.get("revision")
    data = {"code": failure.code, "message": failure.message, "revision": revision}
    outcome = Outcome(
        messages=flow.news(transaction, _NEWS[kind], data),
        released=promises_of_changes(order, entity.erp, [int(revision)]) if kind == "change_order" and revision else (),
    )
    let_go = transaction.fulfilment is FulfilmentState.NONE and transaction.commitment is CommitmentState.COMMITTED
    return _requested_anew(flow, work, outcome) if let_go and entity.wms else outcome


def _requested_anew(flow: Flow, work: Work, outcome: Outcome) -> Outcome:
    """The warehouse had let go of the order, so it is asked again; under a revision of its own, because a reference once
    cancelled there stays so."""
    transaction, order = work.dossier.transaction, work.dossier.order
    revision = max(work.dossier.orders) + 1
    body = order.model_dump(mode="json", exclude_none=True)
    wms = str(flow.settings.entities[transaction.entity].wms)
    request = flow.message(FULFILMENT, "request_shipment", wms, transaction, {"revision": revision})
    return Outcome(
        change=TransactionChange(transaction.id, order_revision=revision, fulfilment=FulfilmentState.REQUESTED),
        documents=(DocumentRecord(transaction.id, "order", order.order_number, order.channel, body, revision),),
        facts=(work.fact(FULFILMENT, "requested_anew", revision=revision),),
        messages=(*outcome.messages, request),
        released=outcome.released,
    )
