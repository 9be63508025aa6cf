"""What became of payments as plain data, for JSON and the database: minor units beside their currency, dates as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tallystick.books.cash.items import Payment
from tallystick.books.cash.proposals import Application, Proposal
from tallystick.books.cash.received import LeftOut


def payment_data(payment: Payment) -> dict[str, Any]:
    """A payment as it came in."""
    return {
        "id": payment.id,
        "amount": payment.amount,
        "currency": payment.currency,
        "paid_on": payment.paid_on.isoformat(),
        "texts": list(payment.texts),
        "customer_id": payment.customer_id,
        "payer": payment.payer,
        "payer_account": payment.payer_account,
        "advice": payment.advice.trace if payment.advice else None,
    }


def proposal_data(proposal: Proposal) -> dict[str, Any]:
    """One way to apply it."""
    return {
        "rule": proposal.rule.value,
        "covers": proposal.covers.value,
        "evidence": proposal.evidence,
        "allocations": [asdict(each) for each in proposal.allocations],
        "on_account": proposal.on_account,
        "deductions": [asdict(each) for each in proposal.deductions],
    }


def application_data(answer: Application) -> dict[str, Any]:
    """What became of a payment: of an applied one the first proposal counts."""
    return {
        "payment": payment_data(answer.payment),
        "status": answer.status.value,
        "rivals": answer.rivals,
        "proposals": [proposal_data(each) for each in answer.proposals],
    }


def left_out_data(each: LeftOut) -> dict[str, Any]:
    """An entry that is no payment to apply, and why."""
    return {
        "account": each.account,
        "statement": each.statement,
        "booked_on": each.entry.booked_on.isoformat(),
        "amount": each.entry.amount,
        "currency": each.entry.currency,
        "text": " ".join(filter(None, (each.entry.payer_reference, each.entry.remittance))),
        "reason": each.reason,
        "refused_amount": each.refused_amount,
    }
