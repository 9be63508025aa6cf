"""From a proposal to what settlement is asked to book: a part for each customer, under references that never change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from tallystick.documents.cash import APPLY_CASH, SETTLEMENT_STAGE, CashPosting
from tallystick.mailbox.messages import Message


class NotPostable(ValueError):
    """The proposal can't be booked as it is; the message says why."""


def posting_of(
    line_id: UUID,
    reference: str,
    proposal: dict[str, Any],
    *,
    amount: int,
    currency: str,
    paid_on: date,
    payer: str | None,
    remittance: str,
    customer_id: str | None,
) -> CashPosting:
    """The posting of a line by a proposal as plain data. Raises NotPostable where its parts are not the line's amount, nobody
    knows whose account the rest belongs on, or a number is none that a document takes."""
    shares: dict[str, list[dict[str, Any]]] = {}
    for each in proposal["allocations"]:
        share = {"invoice_number": each["number"], "amount": each["amount"], "discount": each.get("discount", 0)}
        shares.setdefault(each["customer_id"], []).append(share)
    allocated = sum(each["amount"] for each in proposal["allocations"])
    if allocated + proposal["on_account"] != amount:
        raise NotPostable("what goes to invoices and on account is not the payment")
    first = customer_id or next(iter(shares), None)
    if first is None:
        raise NotPostable("nobody knows whose account it belongs on; name the customer")
    amounts = {customer: sum(each["amount"] for each in theirs) for customer, theirs in shares.items()}
    if proposal["on_account"]:
        amounts[first] = amounts.get(first, 0) + proposal["on_account"]
    several = len(amounts) > 1
    posting = {
        "line_id": line_id,
        "currency": currency,
        "paid_at": datetime.combine(paid_on, time(12), UTC),
        "payer": _short(payer),
        "remittance": _short(remittance),
        "parts": [
            {
                "reference": f"{reference}-{number}" if several else reference,
                "customer_id": customer,
                "amount": part,
                "shares": shares.get(customer, []),
            }
            for number, (customer, part) in enumerate(sorted(amounts.items()), 1)
        ],
        "deductions": [
            {
                "invoice_number": each["number"],
                "amount": each["amount"],
                "reason": each["reason"],
                "said": _short(each.get("said")),
            }
            for each in proposal.get("deductions", ())
        ],
    }
    try:
        return CashPosting.model_validate(posting)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(each) for each in wrong["loc"])
        raise NotPostable(f"{where}: {wrong['msg']}") from None


def message_of(entity: str, erp: str, posting: CashPosting) -> Message:
    """The message that has it booked; a line is a lane of its own."""
    return Message(
        stage=SETTLEMENT_STAGE,
        system=erp,
        kind=APPLY_CASH,
        lane=posting.line_id,
        payload=posting.model_dump(mode="json"),
        entity=entity,
    )


def _short(text: str | None) -> str:
    """Bank text as a document's short text: without what moves a terminal, and cut."""
    plain = "".join(each if each.isprintable() else " " for each in text or "")
    return " ".join(plain.split())[:140].strip()
