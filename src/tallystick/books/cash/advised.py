"""Applies a payment by its remittance advice: line by line, with the discount that the terms allow and a case for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.books.cash.deductions import Deduction, DeductionReason, reason_of_code
from tallystick.books.cash.items import OpenItem, Payment
from tallystick.books.cash.proposals import Allocation, Application, Proposal, Rule, Status
from tallystick.documents.remittance import RemittanceLine


@dataclass(slots=True)
class _Told:
    """What the advice's lines come to."""

    allocations: list[Allocation] = field(default_factory=list)
    deductions: list[Deduction] = field(default_factory=list)
    on_account: int = 0
    part: bool = False
    doubts: list[str] = field(default_factory=list)


def by_advice(payment: Payment, found: Sequence[tuple[RemittanceLine, OpenItem | None]]) -> Application | None:
    """The advice's answer; None where it names nothing that is open. `found`: its lines with the item that each names."""
    known = [item for _, item in found if item is not None]
    if payment.advice is None or not known:
        return None
    told = _Told()
    used: set[tuple[str, str]] = set()
    for line, item in found:
        key = (item.customer_id, item.number) if item else None
        if item is None or key in used or line.net_amount <= 0:
            told.doubts.append(
                f"{line.invoice_number} is not open" if key not in used else f"{line.invoice_number} twice"
            )
            told.on_account += line.net_amount
            continue
        used.add((item.customer_id, item.number))
        _tell(told, payment, line, item)
    if told.on_account < 0 or not told.allocations:
        return None  # credits were taken that are no open items here: what the rest pays can't be told
    named = ", ".join(line.invoice_number for line, _ in found)
    doubts = f"; but {', '.join(told.doubts)}" if told.doubts else ""
    tied = "by its trace" if payment.surely_advised else "by its amount only"
    evidence = f"the advice {payment.advice.trace}, which is this payment's {tied}, names {named}{doubts}"
    rule = _rule(told)
    proposal = Proposal(rule, tuple(told.allocations), evidence, told.on_account, tuple(told.deductions))
    whole = rule in (Rule.REFERENCE, Rule.DISCOUNT) and {item.customer_id for item in known} == {payment.customer_id}
    sure = not told.doubts and (payment.surely_advised or whole)
    return Application(payment, Status.APPLIED if sure else Status.SUGGESTED, (proposal,))


def _tell(told: _Told, payment: Payment, line: RemittanceLine, item: OpenItem) -> None:
    granted, unearned = 0, 0
    if line.discount_amount:
        earned = item.discounted(payment.paid_on) is not None and line.discount_amount <= item.discount
        granted, unearned = (line.discount_amount, 0) if earned else (0, line.discount_amount)
    kept_back, on_top = max(0, line.adjustment_amount), max(0, -line.adjustment_amount)
    cash = line.net_amount - on_top
    surplus = max(0, cash + granted - item.open_amount)
    if surplus:
        told.doubts.append(f"{item.number} owes less than that")
        granted = min(granted, item.open_amount)
        surplus = max(0, cash + granted - item.open_amount)
    told.on_account += on_top + surplus
    if cash > surplus:
        told.allocations.append(Allocation(item.customer_id, item.number, cash - surplus, granted))
    left = item.open_amount - (cash - surplus) - granted
    if kept_back:
        reason = reason_of_code(line.adjustment_reason)
        told.deductions.append(Deduction(item.number, min(kept_back, left), reason, line.adjustment_reason or ""))
        left -= min(kept_back, left)
    if unearned and left:
        told.deductions.append(Deduction(item.number, min(unearned, left), DeductionReason.UNEARNED_DISCOUNT))
        left -= min(unearned, left)
    told.part = told.part or left > 0


def _rule(told: _Told) -> Rule:
    if told.deductions:
        return Rule.DEDUCTION
    if told.on_account:
        return Rule.OVERPAYMENT
    if told.part:
        return Rule.PART_PAYMENT
    return Rule.DISCOUNT if any(each.discount for each in told.allocations) else Rule.REFERENCE
