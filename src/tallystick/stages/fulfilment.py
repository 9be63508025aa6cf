"""Fulfilment: the warehouse is asked to ship, and every dispatch it reports is recorded in the ERP, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial

from tallystick.documents.event import EventType
from tallystick.documents.order import Order
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import CommitmentState, FulfilmentState
from tallystick.mailbox.messages import Done
from tallystick.stages.change_refusal import not_changed
from tallystick.stages.early import Early
from tallystick.stages.flow import COMMITMENT, FULFILMENT, INVOICING, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import order_reference, shipment_reference, warehouse_reference
from tallystick.stages.stage import Result, Stage, Work, carry_documents, wait_outside, waited
from tallystick.stages.transactions import CrossReference, DocumentRecord, TransactionChange
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import Accepted, ShipmentCommand, ShipmentRecorded


def fulfilment(flow: Flow) -> Stage:
    """The stage with its kinds of messages."""
    kinds = {
        "request_shipment": request_shipments,
        "cancel_shipment": cancel_shipments,
        "record_shipment": record_shipments,
    }
    return Stage(FULFILMENT, flow, kinds, _refuse, _at_risk)


def _refuse(flow: Flow, work: Work, failure: Failure) -> Outcome:
    """The warehouse said no: where it was asked to let go of an order, that order's change or cancellation is off."""
    if work.delivery.kind != "cancel_shipment":
        return Outcome()
    return not_changed(flow, work, str(work.delivery.payload["then"]), failure)


def _at_risk(work: Work) -> int:
    """The value of the shipment that could not be recorded, else of all that has not shipped."""
    transaction = work.dossier.transaction
    shipment = work.document(Shipment) if work.delivery.kind == "record_shipment" else None
    if isinstance(shipment, Shipment):
        return shipped_value(work.dossier.order, shipped_quantities([shipment]))
    return transaction.ordered_amount - transaction.shipped_amount


def _warehouse_command(work: Work) -> ShipmentCommand:
    """A warehouse order's reference is that of the revision that was in force when it was asked for, or asked back."""
    transaction = work.dossier.transaction
    named = "revision" if work.delivery.kind == "request_shipment" else "let_go"
    revision = int(work.delivery.payload.get(named, transaction.order_revision))
    return ShipmentCommand(
        reference=warehouse_reference(transaction.id, revision),
        order_reference=order_reference(transaction.id),
        erp_reference=transaction.erp_reference or "",
        order=work.dossier.orders[revision],
        verify=work.delivery.verify,
    )


async def request_shipments(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Ask the warehouse to ship."""
    warehouse = flow.wms(works[0].delivery.system)
    answers = await warehouse.request_shipments([_warehouse_command(work) for work in works])
    return [_requested(work, answer) for work, answer in zip(works, answers, strict=True)]


def _requested(work: Work, answer: Accepted | Failure) -> Result:
    if isinstance(answer, Failure):
        return answer
    return Done(
        Outcome(
            references=(_reference(work, "warehouse_order", answer.system_reference, answer.reference),),
            facts=(work.fact(FULFILMENT, "requested", warehouse_order=answer.system_reference),),
        )
    )


async def cancel_shipments(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Ask the warehouse not to ship; with its yes, the change or cancellation goes on to the ERP."""
    warehouse = flow.wms(works[0].delivery.system)
    answers = await warehouse.cancel_shipments([_warehouse_command(work) for work in works])
    return [_let_go(flow, work, answer) for work, answer in zip(works, answers, strict=True)]


def _let_go(flow: Flow, work: Work, answer: Accepted | Failure) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction = work.dossier.transaction
    entity = flow.settings.entities[transaction.entity]
    payload = {key: value for key, value in work.delivery.payload.items() if key not in ("then", "let_go")}
    message = flow.message(COMMITMENT, str(work.delivery.payload["then"]), entity.erp, transaction, payload)
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, let_go=work.delivery.payload["let_go"]),
            facts=(work.fact(FULFILMENT, "released_by_warehouse"),),
            messages=(message,),
        )
    )


async def record_shipments(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Record dispatches in the ERP; what does not fit the order goes to a person before anything is written."""
    erp = flow.erp(works[0].delivery.system)
    return await carry_documents(
        works,
        Shipment,
        partial(_without_erp, flow),
        lambda ready: erp.record_shipments([_record_command(*each) for each in ready]),
        partial(_recorded, flow),
    )


def _without_erp(flow: Flow, work: Work, shipment: Shipment) -> Result | None:
    """The answer where the ERP need not, or must not, be asked."""
    transaction, order = work.dossier.transaction, work.dossier.order
    repeated = work.repetition("shipment", shipment)
    if repeated is not None:
        return repeated
    system = work.delivery.system
    if transaction.commitment is CommitmentState.PENDING:
        message = f"shipment {shipment.number} is of an order that the ERP does not have yet"
        return Early(message, system=system, code="shipment.before_commitment", transaction=transaction)
    if transaction.commitment is not CommitmentState.COMMITTED:
        message = f"shipment {shipment.number} is of an order that is {transaction.commitment.value}; stop the goods or the order"
        return Rejected(message, system=system, code="shipment.order_not_committed")
    problems = shipment_problems(order, work.dossier.shipments, shipment)
    if problems:
        message = f"shipment {shipment.number} does not fit the order: {'; '.join(problems)}"
        return Rejected(message, system=system, code="shipment.does_not_fit")
    wait = flow.settings.entities[transaction.entity].policy.overtaken_shipment_seconds
    after = shipped_quantities([*work.dossier.shipments, shipment])
    if shipment.final and wait and not waited(work) and not _nothing_open(order, after):
        # The ERP closes the order with its last shipment: one that left earlier and comes later would be refused.
        fact = work.fact(FULFILMENT, "last_shipment_waits", shipment=shipment.number, seconds=wait)
        return Done(Outcome(facts=(fact,), messages=(wait_outside(work.delivery, timedelta(seconds=wait)),)))
    return None


def _nothing_open(order: Order, shipped: Mapping[int, Decimal]) -> bool:
    return all(shipped.get(line.line_number, 0) >= line.quantity for line in order.lines)


def shipped_quantities(shipments: Sequence[Shipment]) -> dict[int, Decimal]:
    """Quantities shipped so far by order line number."""
    shipped: dict[int, Decimal] = {}
    for shipment in shipments:
        for line in shipment.lines:
            shipped[line.line_number] = shipped.get(line.line_number, Decimal(0)) + line.quantity
    return shipped


def shipment_problems(order: Order, earlier: Sequence[Shipment], shipment: Shipment) -> list[str]:
    """Why a shipment can't be of this order: unknown lines, other products, more than is open."""
    lines = {line.line_number: line for line in order.lines}
    shipped = shipped_quantities(earlier)
    problems = []
    for line in shipment.lines:
        ordered = lines.get(line.line_number)
        if ordered is None:
            problems.append(f"the order has no line {line.line_number}")
            continue
        if ordered.product_id != line.product_id:
            problems.append(f"line {line.line_number} is of {ordered.product_id}, not {line.product_id}")
        open_quantity = ordered.quantity - shipped.get(line.line_number, Decimal(0))
        if line.quantity > open_quantity:
            problems.append(f"line {line.line_number}: {line.quantity} shipped, only {open_quantity} open")
        shipped[line.line_number] = shipped.get(line.line_number, Decimal(0)) + line.quantity
    return problems


def shipped_value(order: Order, quantities: Mapping[int, Decimal]) -> int:
    """Net value at order prices of quantities by line number, in minor units; rounded as the order says."""
    return sum(
        line.model_copy(update={"quantity": quantities[line.line_number]}).net_amount(order.currency, order.rounding)
        for line in order.lines
        if line.line_number in quantities
    )


def _record_command(work: Work, shipment: Shipment) -> ShipmentCommand:
    transaction = work.dossier.transaction
    return ShipmentCommand(
        reference=shipment_reference(transaction.id, shipment.number),
        order_reference=order_reference(transaction.id),
        erp_reference=transaction.erp_reference or "",
        order=work.dossier.order,
        shipment=shipment,
        verify=work.delivery.verify,
    )


def _recorded(flow: Flow, work: Work, shipment: Shipment, answer: ShipmentRecorded) -> Result:
    transaction, order = work.dossier.transaction, work.dossier.order
    entity = flow.settings.entities[transaction.entity]
    before = shipped_quantities(work.dossier.shipments)
    after = shipped_quantities([*work.dossier.shipments, shipment])
    complete = shipment.final or _nothing_open(order, after)
    state = FulfilmentState.COMPLETE if complete else FulfilmentState.PARTIAL
    body = shipment.model_dump(mode="json")
    data = {"shipment": body, "fulfilment": state.value}
    payload = {"shipment_number": shipment.number}
    return Done(
        Outcome(
            change=TransactionChange(
                transaction.id, fulfilment=state, shipped=shipped_value(order, after) - shipped_value(order, before)
            ),
            documents=(DocumentRecord(transaction.id, "shipment", shipment.number, work.sender, body),),
            references=(_reference(work, "shipment", answer.system_reference, answer.reference),),
            facts=(work.fact(FULFILMENT, "shipped", shipment=shipment.number, state=state.value),),
            messages=(
                flow.message(INVOICING, "invoice_shipment", entity.erp, transaction, payload),
                *flow.news(transaction, EventType.ORDER_SHIPPED, data),
            ),
        )
    )


def _reference(work: Work, kind: str, theirs: str, ours: str) -> CrossReference:
    transaction = work.dossier.transaction
    return CrossReference(work.delivery.system, kind, theirs, transaction.entity, transaction.id, ours)
