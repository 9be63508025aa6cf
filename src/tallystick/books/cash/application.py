"""Which open items a payment is for. Only a reference or a unique exact sum is applied by itself; all else a person decides.

Whoever pays rarely says all of it: numbers are mistyped, several invoices are paid at once, a discount is taken, something is
deducted. What fits by amount alone fits by chance sometimes; how often is estimated, and too likely a chance is no proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tallystick.books.cash.advised import by_advice
from tallystick.books.cash.chance import expected_by_chance, grid_of
from tallystick.books.cash.deductions import deduction_of
from tallystick.books.cash.items import OpenItem, Payment
from tallystick.books.cash.ledger import Ledger
from tallystick.books.cash.proposals import Allocation, Application, Proposal, Rule, Status
from tallystick.books.cash.references import References
from tallystick.books.cash.sums import MOST_ITEMS, Ways, ways_to_pay
from tallystick.books.cash.together import put_together

MOST_BY_CHANCE = 0.0005
"""A sum that so few, or fewer, would hit by chance among the customer's items is taken for proof."""
MOST_SHORT = 0.1
"""A payment that is short of its one invoice by at most this share of it is a deduction; by more, a part payment."""


class CashApplication:
    """Applies payments to open items in their order. An applied one changes what is open for those behind it."""

    def __init__(self, items: Iterable[OpenItem]) -> None:
        self._ledger = Ledger(items)
        self._references = References(self._ledger)
        self._seen: dict[str, Application] = {}

    def apply(self, payments: Iterable[Payment]) -> list[Application]:
        """One answer for each payment. One that came before gets the same answer and changes nothing."""
        answers = put_together([self.decide(each) for each in payments], self._ledger)
        self._seen.update((each.payment.id, each) for each in answers)
        return answers

    def decide(self, payment: Payment) -> Application:
        """The answer for one payment by itself, as `apply` gives it before it looks at several together."""
        known = self._seen.get(payment.id)
        if known is None:
            known = self._seen[payment.id] = _doubted(self._decide(payment))
            if known.status is Status.APPLIED:
                for each in known.proposals[0].allocations:
                    self._ledger.settle(each.customer_id, each.number, each.amount + each.discount)
        return known

    def _decide(self, payment: Payment) -> Application:
        if payment.amount <= 0:
            return Application(payment, Status.UNIDENTIFIED)
        if payment.advice is not None:
            advised = by_advice(
                payment, [(line, self._advised(payment, line.invoice_number)) for line in payment.advice.lines]
            )
            if advised is not None:
                return advised
        found = self._references.find(payment.texts, payment.currency, payment.customer_id)
        items = [current for each in found.items if (current := self._ledger.current(each)) is not None]
        if items:
            return self._by_name(payment, items, loosely=found.loosely)
        if payment.customer_id is not None:
            return _by_sum(payment, self._ledger.of(payment.customer_id, payment.currency))
        return _by_amount(payment, self._ledger.owing(payment.amount, payment.currency))

    def _advised(self, payment: Payment, number: str) -> OpenItem | None:
        """The open item that a line of an advice names; None where it names none, or several."""
        found = self._references.find((number,), payment.currency, payment.customer_id)
        return self._ledger.current(found.items[0]) if len(found.items) == 1 and not found.loosely else None

    def _by_name(self, payment: Payment, items: Sequence[OpenItem], *, loosely: bool) -> Application:
        """By the items that the payer names. Where the amount is not theirs, but is exactly that of others the customer owes, the
        payer may have named the wrong ones: a person decides."""
        proposal = _by_reference(payment, items)
        if proposal.rule in (Rule.REFERENCE, Rule.DISCOUNT):
            return Application(payment, Status.APPLIED, (proposal,))
        others = _by_sum(payment, self._ledger.of(items[0].customer_id, payment.currency))
        rivals = tuple(each for each in others.proposals if each.rule is Rule.EXACT_SUM)
        sure = not rivals and not loosely and (len(items) == 1 or proposal.rule is Rule.OVERPAYMENT)
        status = Status.APPLIED if sure else Status.SUGGESTED
        return Application(payment, status, (proposal, *rivals), len(rivals))


def _doubted(answer: Application) -> Application:
    """Money that may be no new money is for a person, whatever names it."""
    doubt = answer.payment.doubt
    if doubt is None or answer.status is not Status.APPLIED:
        return answer
    proposals = tuple(replace(each, evidence=f"{each.evidence}; but {doubt}") for each in answer.proposals)
    return replace(answer, status=Status.SUGGESTED, proposals=proposals)


def _by_reference(payment: Payment, items: Sequence[OpenItem]) -> Proposal:
    """The items that the payer names: paid exactly, with their discount, in part, short, or too much."""
    named = ", ".join(each.number for each in items)
    total = sum(each.open_amount for each in items)
    if payment.amount == total:
        return Proposal(Rule.REFERENCE, _whole(items), f"the payer names {named}, which is the amount")
    discounted = _with_discount(payment, items, total - payment.amount)
    if discounted is not None:
        return Proposal(Rule.DISCOUNT, discounted, f"the payer names {named}, and takes the discount")
    if payment.amount > total:
        over = payment.amount - total
        return Proposal(Rule.OVERPAYMENT, _whole(items), f"the payer names {named}, and pays more", on_account=over)
    short = total - payment.amount
    if len(items) > 1:
        return Proposal(
            Rule.PART_PAYMENT, _oldest_first(items, payment.amount), f"the payer names {named}: too little for all"
        )
    [item] = items
    allocation = (Allocation(item.customer_id, item.number, payment.amount),)
    if short <= item.open_amount * MOST_SHORT:
        deduction = deduction_of(item, short, payment.paid_on, payment.texts)
        evidence = f"the payer names {named}, and keeps something back"
        return Proposal(Rule.DEDUCTION, allocation, evidence, deductions=(deduction,))
    return Proposal(Rule.PART_PAYMENT, allocation, f"the payer names {named}, and pays a part")


def _with_discount(payment: Payment, items: Sequence[OpenItem], missing: int) -> tuple[Allocation, ...] | None:
    """Whole payment of all, where the discounts of some, and in one way only, are exactly what is missing."""
    may = [each for each in items if each.discounted(payment.paid_on) is not None]
    if missing <= 0 or not 0 < len(may) <= MOST_ITEMS:
        return None
    ways = ways_to_pay(missing, [each.discount for each in may])
    everything = missing == sum(each.discount for each in may)
    if not everything and ways.count != 1:
        return None
    taken = {id(may[place]) for place in (range(len(may)) if everything else ways.shown[0])}
    return tuple(
        Allocation(each.customer_id, each.number, each.open_amount - each.discount, each.discount)
        if id(each) in taken
        else Allocation(each.customer_id, each.number, each.open_amount)
        for each in items
    )


def _by_sum(payment: Payment, items: Sequence[OpenItem]) -> Application:
    """The customer's items that make up the amount; applied where there is one way, and hardly one by chance."""
    candidates = [each for each in items if each.open_amount <= payment.amount]
    shown = candidates[:MOST_ITEMS]
    ways = ways_to_pay(payment.amount, [each.open_amount for each in shown])
    if ways.count:
        proposals = tuple(_sum(payment, shown, way, ways) for way in ways.shown)
        proven = ways.count == 1 and len(candidates) <= MOST_ITEMS
        grid = grid_of([each.open_amount for each in items])
        chance = expected_by_chance([each.open_amount for each in shown], len(ways.shown[0]), grid)
        sure = proven and chance <= MOST_BY_CHANCE
        status = Status.APPLIED if sure else Status.SUGGESTED
        return Application(payment, status, proposals, ways.count - 1)
    return _nearly(payment, items)


def _sum(payment: Payment, items: Sequence[OpenItem], way: tuple[int, ...], ways: Ways) -> Proposal:
    chosen = [items[place] for place in way]
    one = "no other" if ways.count == 1 else f"{ways.count - 1} other"
    evidence = f"{len(chosen)} of {payment.customer_id}'s items make up the amount, {one} choice of them does"
    return Proposal(Rule.EXACT_SUM, _whole(chosen), evidence)


def _nearly(payment: Payment, items: Sequence[OpenItem]) -> Application:
    """Nothing adds up: single items that would with their discount, or that the payment is a little short of."""
    proposals = []
    for each in items:
        if each.discounted(payment.paid_on) == payment.amount:
            allocation = Allocation(each.customer_id, each.number, payment.amount, each.discount)
            proposals.append(Proposal(Rule.DISCOUNT, (allocation,), f"{each.number} less its discount is the amount"))
    for each in items:
        short = each.open_amount - payment.amount
        if 0 < short <= each.open_amount * MOST_SHORT:
            allocation = Allocation(each.customer_id, each.number, payment.amount)
            why = f"{each.number} is little more than the amount"
            deduction = deduction_of(each, short, payment.paid_on, payment.texts)
            proposals.append(Proposal(Rule.DEDUCTION, (allocation,), why, deductions=(deduction,)))
    ranked = tuple(proposals[:5])
    return Application(payment, Status.SUGGESTED if ranked else Status.UNIDENTIFIED, ranked, max(0, len(proposals) - 1))


def _by_amount(payment: Payment, items: Sequence[OpenItem]) -> Application:
    """Nobody knows who paid: items of that very amount, whoever owes them."""
    proposals = tuple(
        Proposal(Rule.SAME_AMOUNT, _whole([each]), f"{each.number} of {each.customer_id} is the amount")
        for each in items[:5]
    )
    status = Status.SUGGESTED if proposals else Status.UNIDENTIFIED
    return Application(payment, status, proposals, max(0, len(items) - 1))


def _whole(items: Sequence[OpenItem]) -> tuple[Allocation, ...]:
    return tuple(Allocation(each.customer_id, each.number, each.open_amount) for each in items)


def _oldest_first(items: Sequence[OpenItem], amount: int) -> tuple[Allocation, ...]:
    allocations, left = [], amount
    for each in sorted(items, key=lambda item: (item.issued_on, item.number)):
        part = min(left, each.open_amount)
        if part:
            allocations.append(Allocation(each.customer_id, each.number, part))
        left -= part
    return tuple(allocations)
