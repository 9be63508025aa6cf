"""What cash application answers: what may be done with a payment, by which rule, with which evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tallystick.books.cash.deductions import Deduction
from tallystick.books.cash.items import Payment


class Status(StrEnum):
    """What may be done with it: post it, ask a person, or find out first who sent it."""

    APPLIED = "applied"
    SUGGESTED = "suggested"
    UNIDENTIFIED = "unidentified"


class Rule(StrEnum):
    """By what it was applied, or would be."""

    REFERENCE = "reference"
    DISCOUNT = "discount"
    PART_PAYMENT = "part_payment"
    DEDUCTION = "deduction"
    OVERPAYMENT = "overpayment"
    EXACT_SUM = "exact_sum"
    SAME_AMOUNT = "same_amount"
    MANY_FOR_ONE = "many_for_one"


class Covers(StrEnum):
    """How payments and invoices stand to each other."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_MANY = "one_for_many"
    MANY_FOR_ONE = "many_for_one"


@dataclass(frozen=True, slots=True)
class Allocation:
    """What of a payment goes to an item, and what is taken off it as discount; minor units."""

    customer_id: str
    number: str
    amount: int
    discount: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to apply a payment, with why. Allocations and what is left on account are the payment, to the cent."""

    rule: Rule
    allocations: tuple[Allocation, ...]
    evidence: str
    on_account: int = 0
    """What is left over and owed to the customer."""
    deductions: tuple[Deduction, ...] = ()
    """What the customer kept back of items; it stays open there until someone finds out why."""

    @property
    def deduction(self) -> int:
        """All that was kept back, in minor units."""
        return sum(each.amount for each in self.deductions)

    @property
    def covers(self) -> Covers:
        """Whether it is one payment for one invoice, for many, or one of many for one."""
        if len(self.allocations) > 1:
            return Covers.ONE_FOR_MANY
        return Covers.MANY_FOR_ONE if self.rule in (Rule.MANY_FOR_ONE, Rule.PART_PAYMENT) else Covers.ONE_FOR_ONE


@dataclass(frozen=True, slots=True)
class Application:
    """What became of a payment. Of an applied one the first proposal counts; `rivals` are ways that fit as well."""

    payment: Payment
    status: Status
    proposals: tuple[Proposal, ...] = ()
    rivals: int = 0
