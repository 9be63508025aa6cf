"""Returns: goods that came back are taken into the ERP, which posts the credit memo; no return goes round finance."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.documents.event import EventType
from tallystick.documents.invoice import CreditMemo
from tallystick.documents.returns import Return
from tallystick.documents.transaction import ReturnsState
from tallystick.mailbox.messages import Done
from tallystick.stages.flow import RETURNS, Flow
from tallystick.stages.fulfilment import shipped_quantities
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import order_reference, return_reference
from tallystick.stages.stage import Result, Stage, Work
from tallystick.stages.transactions import DocumentRecord, TransactionChange
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import ReturnCommand


def returns(flow: Flow) -> Stage:
    """The stage with its one kind of message."""
    return Stage(RETURNS, flow, {"credit_return": credit_returns})


async def credit_returns(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Have returned goods credited; more than was shipped goes to a person."""
    results: dict[object, Result] = {}
    ready: list[tuple[Work, Return]] = []
    for work in works:
        returned = Return.model_validate(work.delivery.payload["return"])
        shipped = shipped_quantities(work.dossier.shipments)
        too_many = [line for line in returned.lines if line.quantity > shipped.get(line.line_number, 0)]
        if ("return", returned.number) in work.dossier.numbers:
            results[work.delivery.id] = Done(Outcome())
        elif too_many:
            first = too_many[0]
            message = f"return {returned.number}: {first.quantity} of line {first.line_number} came back, " + (
                f"{shipped.get(first.line_number, 0)} were shipped; find out where the goods are from"
            )
            results[work.delivery.id] = Rejected(message, system=work.delivery.system, code="return.more_than_shipped")
        else:
            ready.append((work, returned))
    answers = await flow.erp(works[0].delivery.system).credit_returns([_command(*each) for each in ready])
    for (work, returned), answer in zip(ready, answers, strict=True):
        results[work.delivery.id] = _credited(flow, work, returned, answer)
    return [results[work.delivery.id] for work in works]


def _command(work: Work, returned: Return) -> ReturnCommand:
    transaction = work.dossier.transaction
    return ReturnCommand(
        reference=return_reference(transaction.id, returned.number),
        order_reference=order_reference(transaction.id),
        erp_reference=transaction.erp_reference or "",
        order=work.dossier.order,
        returned=returned,
        verify=work.delivery.verify,
    )


def _credited(flow: Flow, work: Work, returned: Return, answer: CreditMemo | Failure) -> Result:
    if isinstance(answer, Failure):
        return answer
    transaction = work.dossier.transaction
    body = answer.model_dump(mode="json")
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, returns=ReturnsState.CREDITED, credited=answer.total_amount),
            documents=(
                DocumentRecord(transaction.id, "return", returned.number, "wms", returned.model_dump(mode="json")),
                DocumentRecord(transaction.id, "credit_memo", answer.number, work.delivery.system, body),
            ),
            facts=(work.fact(RETURNS, "credited", credit_memo=answer.number, total_amount=answer.total_amount),),
            messages=flow.news(transaction, EventType.ORDER_CREDITED, {"credit_memo": body}),
        )
    )
