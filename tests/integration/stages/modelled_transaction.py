"""What must become of an order: a pure model of its lanes, its documents and its states, without database, worker or clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.integration.stages.memory_outside import PRICE

MAXIMUM_ATTEMPTS = 3
OPERATIONS = {
    "commitment": "commit_order",
    "fulfilment": "record_shipment",
    "invoicing": "invoice_shipment",
    "settlement": "record_payment",
    "returns": "credit_return",
}
"""What a lane asks the ERP for, by its stage."""


@dataclass
class Sent:
    """A message: a document by its number, and how it stands."""

    number: str
    content: dict[str, Any]
    verdict: str = ""
    """Nothing while it may be tried; early, rejected or dead_letter once it was buried."""
    attempts: int = 0


@dataclass
class ModelledTransaction:
    """One order of one line. `plan` is what will go wrong, by operation; the ledger has the same one."""

    quantity: int
    intake: str
    plan: dict[str, list[str]]
    commitment: str = "none"
    fulfilment: str = "none"
    revision: int = 1
    revisions: int = 1
    lanes: dict[str, list[Sent]] = field(default_factory=lambda: {stage: [] for stage in OPERATIONS})
    shipments: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoices: dict[str, int] = field(default_factory=dict)
    """What is open of each."""
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    returned: dict[str, dict[str, Any]] = field(default_factory=dict)
    outside: set[tuple[str, str]] = field(default_factory=set)
    """What the ERP has done, by stage and number."""
    closed: bool = False
    on_account: int = 0
    """Payments of which the ERP could not apply all."""
    buried: Counter[str] = field(default_factory=Counter)
    """Changes and cancellations that somebody refused, by their exception's type."""
    changed: int = 0

    # Amounts, in minor units, and the states that follow from them.

    @property
    def shipped(self) -> int:
        return sum(each["quantity"] for each in self.shipments.values())

    @property
    def amounts(self) -> dict[str, int]:
        return {
            "ordered_amount": self.quantity * PRICE,
            "shipped_amount": self.shipped * PRICE,
            "invoiced_amount": sum(int(number.rpartition("-")[2]) for number in self.invoices) * PRICE,
            "credited_amount": sum(each["quantity"] for each in self.returned.values()) * PRICE,
            "paid_amount": sum(each["amount"] for each in self.payments.values()),
        }

    @property
    def states(self) -> dict[str, str]:
        amounts = self.amounts
        paid, owed = amounts["paid_amount"], amounts["invoiced_amount"] - amounts["credited_amount"]
        all_invoiced = self.fulfilment == "complete" and len(self.invoices) >= len(self.shipments)
        if not paid:
            settlement = "none"
        elif not self.invoices or paid < owed:
            settlement = "partial"
        else:
            settlement = "paid" if paid == owed else "overpaid"
        return {
            "intake": self.intake,
            "commitment": self.commitment,
            "fulfilment": self.fulfilment,
            "invoicing": "none" if not self.invoices else "complete" if all_invoiced else "partial",
            "settlement": settlement,
            "returns": "credited" if self.returned else "none",
        }

    @property
    def promised(self) -> int:
        """What is promised of stock while the ERP has not answered."""
        return self.quantity if (self.intake, self.commitment) == ("accepted", "pending") else 0

    @property
    def exceptions(self) -> Counter[str]:
        """Types of what stands before a person."""
        heads = {stage: lane[0].verdict for stage, lane in self.lanes.items() if lane and lane[0].verdict}
        found = Counter(f"{stage}.{verdict}" for stage, verdict in heads.items()) + self.buried
        found += Counter({"payment.on_account": self.on_account, "order.held": int(self.intake == "held")})
        return +found

    @property
    def facts(self) -> dict[str, int]:
        """How often each fact stands in its lineage, where that says something."""
        return {
            "shipped": len(self.shipments),
            "invoiced": len(self.invoices),
            "paid": len(self.payments),
            "credited": len(self.returned),
            "changed": self.changed,
            "committed": int(("commitment", "order") in self.outside and self.commitment in ("committed", "cancelled")),
        }

    @property
    def undecided(self) -> bool:
        return self.intake == "held" or (self.intake, self.commitment) == ("accepted", "refused")

    # What happens.

    def accept(self) -> None:
        """The checks, or a person, let it pass: the ERP is asked."""
        self.intake, self.commitment = "accepted", "pending"
        self.lanes["commitment"] = [Sent("order", {})]

    def work(self) -> None:
        """Until nothing moves any more."""
        moved = True
        while moved:
            moved = sum(self._work(stage, lane) for stage, lane in self.lanes.items()) > 0

    def _work(self, stage: str, lane: list[Sent]) -> bool:
        if not lane or lane[0].verdict in ("rejected", "dead_letter"):
            return False
        head = lane[0]
        verdict = self._try(stage, head)
        if verdict == "early":
            head.verdict = "early"
            return False
        head.verdict = verdict
        if verdict:
            if (stage, verdict) == ("commitment", "rejected"):
                self.commitment = "refused"
        else:
            lane.pop(0)
        return True

    def _try(self, stage: str, sent: Sent) -> str:
        """Why it was buried; nothing where it went through."""
        judged = getattr(self, f"_judge_{stage}")(sent)
        if judged is not None:
            return str(judged)
        faults = self.plan.get(OPERATIONS[stage], [])
        while (stage, sent.number) not in self.outside:
            fault = faults.pop(0) if faults else None
            if fault == "rejected":
                return "rejected"
            if fault in (None, "lost after"):
                if stage == "fulfilment" and self.closed:
                    return "rejected"
                self._done_outside(stage, sent)
            if fault in ("transient", "lost before", "lost after"):
                sent.attempts += 1
                if sent.attempts == MAXIMUM_ATTEMPTS:
                    return "dead_letter"
        getattr(self, f"_done_{stage}")(sent)
        return ""

    def _done_outside(self, stage: str, sent: Sent) -> None:
        self.outside.add((stage, sent.number))
        if stage == "fulfilment":
            nothing_open = self.shipped + sent.content["quantity"] >= self.quantity
            self.closed = sent.content["final"] or nothing_open

    def _judge_commitment(self, sent: Sent) -> str | None:
        return None

    def _done_commitment(self, sent: Sent) -> None:
        self.commitment, self.fulfilment = "committed", "requested"

    def _judge_fulfilment(self, sent: Sent) -> str | None:
        if sent.number in self.shipments:
            return "" if self.shipments[sent.number] == sent.content else "rejected"
        if self.commitment != "committed":
            return "early" if self.commitment == "pending" else "rejected"
        return "rejected" if self.shipped + sent.content["quantity"] > self.quantity else None

    def _done_fulfilment(self, sent: Sent) -> None:
        self.shipments[sent.number] = sent.content
        complete = sent.content["final"] or self.shipped >= self.quantity
        self.fulfilment = "complete" if complete or self.fulfilment == "complete" else "partial"
        self.lanes["invoicing"].append(Sent(f"INV-{sent.number}", {}))

    def _judge_invoicing(self, sent: Sent) -> str | None:
        if not sent.content:  # it is ours to ask for
            return None
        self._done_invoicing(sent)
        return ""

    def _done_invoicing(self, sent: Sent) -> None:
        """Asked for and told by the ERP itself are one invoice."""
        self.invoices.setdefault(sent.number, int(sent.number.rpartition("-")[2]) * PRICE)

    def _judge_settlement(self, sent: Sent) -> str | None:
        if sent.number in self.payments:
            return "" if self.payments[sent.number] == sent.content else "rejected"
        invoice = sent.content["invoice"]
        return "early" if invoice and invoice not in self.invoices else None

    def _done_settlement(self, sent: Sent) -> None:
        self.payments[sent.number] = sent.content
        invoice, amount = sent.content["invoice"], sent.content["amount"]
        applied = min(amount, self.invoices.get(invoice, 0))
        if invoice:
            self.invoices[invoice] -= applied
        self.on_account += applied < amount

    def _judge_returns(self, sent: Sent) -> str | None:
        if sent.number in self.returned:
            return "" if self.returned[sent.number] == sent.content else "rejected"
        back = sum(each["quantity"] for each in self.returned.values()) + sent.content["quantity"]
        invoiced = sum(int(number.rpartition("-")[2]) for number in self.invoices)
        return "early" if back > self.shipped or back > invoiced else None

    def _done_returns(self, sent: Sent) -> None:
        self.returned[sent.number] = sent.content

    # What people and channels do, when nothing moves.

    def impossible(self) -> str | None:
        """Why it can't be changed or cancelled now."""
        if self.intake in ("rejected", "cancelled"):
            return "order.closed"
        if self.fulfilment in ("partial", "complete"):
            return "order.shipped"
        dead = any(each.verdict for each in self.lanes["commitment"])
        return "order.outcome_unknown" if self.commitment == "pending" and dead else None

    def clear_way(self) -> None:
        """What lies dead and is overtaken is given up."""
        self.lanes["commitment"].clear()
        self.buried.clear()

    def change(self, quantity: int, on_hold: bool) -> None:
        """A change that `impossible` has nothing against."""
        if self.undecided:
            self.clear_way()
            self.quantity, self.revisions = quantity, self.revisions + 1
            self.revision = self.revisions
            if on_hold:
                self.intake, self.commitment = "held", "none"
            else:
                self.accept()
        elif not on_hold:
            self.clear_way()
            self.revisions += 1
            revision = self.revisions
            if self._agreed("change_order"):
                self.quantity, self.revision, self.changed = quantity, revision, self.changed + 1

    def cancel(self) -> None:
        """A cancellation that `impossible` has nothing against."""
        undecided = self.undecided
        self.clear_way()
        if undecided:
            self.intake = "cancelled"
        elif self._agreed("cancel_order"):
            self.intake = self.commitment = self.fulfilment = "cancelled"
            self.closed = True

    def _agreed(self, operation: str) -> bool:
        """Whether the warehouse lets go, and then the ERP agrees. If only that does not, the warehouse is asked anew."""
        if self._refuses("cancel_shipment"):
            self.buried["fulfilment.rejected"] += 1
            return False
        if self._refuses(operation, shipped=any(stage == "fulfilment" for stage, _ in self.outside)):
            self.buried["commitment.rejected"] += 1
            self.revisions += 1
            self.revision = self.revisions
            return False
        return True

    def _refuses(self, operation: str, shipped: bool = False) -> bool:
        """The plans for these have less than MAXIMUM_ATTEMPTS of what passes by; the ERP refuses by itself what has `shipped`."""
        faults = self.plan.get(operation, [])
        while faults:
            fault = faults.pop(0)
            if fault in ("rejected", "lost after"):
                return shipped or fault == "rejected"
        return shipped

    def reject(self) -> None:
        """Back to its channel."""
        self.clear_way()
        self.intake = "rejected"

    def discard(self, stage: str) -> None:
        """Its lane's dead letter is given up."""
        self.lanes[stage].pop(0)
        if stage == "commitment" and self.commitment == "pending":
            self.commitment = "none"

    def amend(self, stage: str, number: str, content: dict[str, Any]) -> None:
        """Its lane's dead letter again, corrected."""
        self.lanes[stage][0] = Sent(number, content)

    def retry(self, stage: str) -> None:
        """Its lane's dead letter again."""
        head = self.lanes[stage][0]
        head.verdict, head.attempts = "", 0
        if stage == "commitment":
            self.commitment = "pending"
