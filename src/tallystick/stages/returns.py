"""Returns: goods that came back are taken into the ERP, which posts the credit memo; no return goes round finance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial

from tallystick.documents.event import EventType
from tallystick.documents.invoice import CreditMemo
from tallystick.documents.returns import Return
from tallystick.documents.transaction import ReturnsState
from tallystick.mailbox.messages import Done
from tallystick.stages.early import Early
from tallystick.stages.flow import RETURNS, Flow
from tallystick.stages.fulfilment import shipped_quantities, shipped_value
from tallystick.stages.invoice_comparison import invoiced_quantities
from tallystick.stages.outcome import Outcome
from tallystick.stages.references import order_reference, return_reference
from tallystick.stages.stage import Result, Stage, Work, carry_documents
from tallystick.stages.transactions import DocumentRecord, TransactionChange
from tallystick.systems.ports import ReturnCommand


def returns(flow: Flow) -> Stage:
    """The stage with its one kind of message."""
    return Stage(RETURNS, flow, {"credit_return": credit_returns}, at_risk=_at_risk)


def _at_risk(work: Work) -> int:
    """What the returned goods cost at the order's prices."""
    returned = work.document(Return)
    if not isinstance(returned, Return):
        return 0
    quantities: dict[int, Decimal] = {}
    for line in returned.lines:
        quantities[line.line_number] = quantities.get(line.line_number, Decimal(0)) + line.quantity
    return shipped_value(work.dossier.order, quantities)


async def credit_returns(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Have returned goods credited; more than was shipped goes to a person, unless the shipment is only late.

    Finance credits what it has invoiced, so a return that is faster than its invoice waits for it.
    """
    erp = flow.erp(works[0].delivery.system)
    return await carry_documents(
        works,
        Return,
        _without_erp,
        lambda ready: erp.credit_returns([_command(*each) for each in ready]),
        partial(_credited, flow),
    )


def _without_erp(work: Work, returned: Return) -> Result | None:
    """The answer where the ERP need not, or must not, be asked."""
    repeated = work.repetition("return", returned)
    if repeated is not None:
        return repeated
    shipped = _exceeded(work, returned, shipped_quantities(work.dossier.shipments))
    if shipped is not None:
        what = f"{shipped}; if no shipment is late, find out where the goods are from"
        return _early(work, returned, "return.more_than_shipped", f"more came back than left: {what}")
    invoiced = _exceeded(work, returned, invoiced_quantities(work.dossier.invoices))
    if invoiced is not None:
        return _early(work, returned, "return.before_invoice", f"what came back is not invoiced yet: {invoiced}")
    return None


def _exceeded(work: Work, returned: Return, quantities: Mapping[int, Decimal]) -> str | None:
    """The first line of which more comes back, with what came back before, than these quantities; None: all fits."""
    back: dict[int, Decimal] = {}
    for each in (*work.dossier.returns, returned):
        for line in each.lines:
            back[line.line_number] = back.get(line.line_number, Decimal(0)) + line.quantity
    for line in returned.lines:
        there = quantities.get(line.line_number, Decimal(0))
        if back[line.line_number] > there:
            return f"line {line.line_number}, {back[line.line_number]} in all against {there}"
    return None


def _early(work: Work, returned: Return, code: str, why: str) -> Early:
    message = f"return {returned.number}: {why}"
    return Early(message, system=work.delivery.system, code=code, transaction=work.dossier.transaction)


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


def _credited(flow: Flow, work: Work, returned: Return, answer: CreditMemo) -> Result:
    transaction = work.dossier.transaction
    body = answer.model_dump(mode="json")
    return Done(
        Outcome(
            change=TransactionChange(transaction.id, returns=ReturnsState.CREDITED, credited=answer.total_amount),
            documents=(
                DocumentRecord(
                    transaction.id, "return", returned.number, work.sender, returned.model_dump(mode="json")
                ),
                DocumentRecord(transaction.id, "credit_memo", answer.number, work.delivery.system, body),
            ),
            facts=(work.fact(RETURNS, "credited", credit_memo=answer.number, total_amount=answer.total_amount),),
            messages=flow.news(transaction, EventType.ORDER_CREDITED, {"credit_memo": body}),
        )
    )
