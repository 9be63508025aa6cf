"""Ties what sales promised to what the ERP booked, order by order, and says of every difference where it comes from.

Nothing is explained by being left over: each explanation has an amount of its own, found in the hub's decisions, the order
in force or the warehouse's shipments. What they do not add up to is unexplained.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from tallystick.documents.order import Order
from tallystick.stages.references import order_reference
from tallystick.systems.ports import BookEntry


class Step(StrEnum):
    """Where along the way two sides are compared."""

    INVOICED = "promised by sales, invoiced by the ERP"
    PAID = "invoiced by the ERP, paid in the ERP"
    BOOKED = "ordered in the hub, ordered in the ERP"
    COLLECTED = "paid at the gateway, paid in the ERP"
    TOLD = "booked in the ERP, known to CRM"


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between two sides for one order, in minor units; `cause` None: nobody knows."""

    step: Step
    order_number: str
    amount: int
    cause: str | None = None
    root_cause: str | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """What each side says, as it was read from it."""

    sold: Sequence[Mapping[str, Any]]
    """CRM's orders."""
    transactions: Sequence[Mapping[str, Any]]
    orders: Mapping[str, Order]
    """The order in force by transaction id."""
    reasons: Mapping[str, str]
    """Why a transaction is held or was rejected: the gravest reason's code, by transaction id."""
    shipped: Mapping[str, Mapping[int, Decimal]]
    """Quantities that left the warehouse, by order number and line."""
    collected: Mapping[str, int]
    """What the gateway received, by order number."""
    books: Sequence[BookEntry]


@dataclass(slots=True)
class TieOut:
    """The totals in minor units, and every difference."""

    promised: int = 0
    invoiced: int = 0
    paid: int = 0
    invoices: int = 0
    payments: int = 0
    differences: list[Difference] = field(default_factory=list)

    def explained(self, step: Step) -> int:
        """Sum of what is explained at one step, with its sign."""
        return sum(each.amount for each in self.differences if each.step is step and each.cause)

    @property
    def unexplained(self) -> int:
        """Sum of what nobody knows at any step; nothing cancels out."""
        return sum(abs(each.amount) for each in self.differences if each.cause is None)

    def by_cause(self, step: Step) -> list[tuple[str, str, int, int]]:
        """(cause, root cause, orders, amount) at one step, the largest first."""
        amounts: Counter[tuple[str, str]] = Counter()
        orders: Counter[tuple[str, str]] = Counter()
        for each in self.differences:
            if each.step is step and each.cause:
                key = (each.cause, each.root_cause or "")
                amounts[key] += each.amount
                orders[key] += 1
        return [(*key, orders[key], amount) for key, amount in sorted(amounts.items(), key=lambda each: -abs(each[1]))]


# What a reason code of the checks means in the books, and whose fault it is.
_CAUSES = {
    "customer.unknown": ("rejected: unknown customer", "data_quality"),
    "customer.ship_to_unknown": ("held: unknown ship-to", "data_quality"),
    "credit.over_limit": ("held: over the credit limit", "process_design"),
    "inventory.insufficient": ("held: not enough stock", "process_design"),
}


def tie_out(sides: Sides) -> TieOut:
    """Compare all sides, each order at each step."""
    result = TieOut()
    booked = _booked(sides.books)
    by_number = {str(each["order_number"]): each for each in sides.transactions}
    for sold in sides.sold:
        number = str(sold["order_number"])
        transaction = by_number.get(number)
        entries = booked.get(_reference(transaction), _Booked()) if transaction else _Booked()
        promised = int(sold["submitted"]["total_amount"])
        result.promised += promised
        result.invoiced += entries.invoiced
        result.paid += entries.paid
        result.invoices += entries.invoices
        result.payments += entries.payments
        found = [
            *_invoicing(number, promised, entries, transaction, sides),
            *_paying(number, entries, sides.collected.get(number, 0)),
            *_booking(number, entries, transaction, sides),
            *_telling(number, entries, sold),
        ]
        result.differences += [each for each in found if each.amount]
    return result


@dataclass(slots=True)
class _Booked:
    """One order in the ERP's books."""

    ordered: int = 0
    invoiced: int = 0
    paid: int = 0
    invoices: int = 0
    payments: int = 0


def _booked(books: Sequence[BookEntry]) -> dict[str, _Booked]:
    found: dict[str, _Booked] = defaultdict(_Booked)
    for entry in books:
        at = found[entry.order_reference or entry.reference or entry.system_reference]
        match entry.kind:
            case "order" if entry.state != "cancelled":
                at.ordered += entry.net_amount
            case "invoice":
                at.invoiced += entry.total_amount
                at.invoices += 1
            case "credit_memo":  # with a minus in some ERPs, without one in others
                at.invoiced -= abs(entry.total_amount)
            case "payment":
                at.paid += entry.total_amount
                at.payments += 1
    return found


def _reference(transaction: Mapping[str, Any]) -> str:
    return order_reference(UUID(str(transaction["id"])))


def _invoicing(
    number: str, promised: int, entries: _Booked, transaction: Mapping[str, Any] | None, sides: Sides
) -> list[Difference]:
    explained: list[tuple[int, str, str]] = []
    if transaction is not None and transaction["intake"] in ("held", "rejected"):
        code = sides.reasons.get(str(transaction["id"]), "")
        cause, root = _CAUSES.get(code, (f"{transaction['intake']}: {code or 'no reason'}", "process_design"))
        explained.append((promised, cause, root))
    elif transaction is not None and transaction["intake"] == "cancelled":
        explained.append((promised, "cancelled by its channel", "process_design"))
    elif transaction is not None:
        order = sides.orders[str(transaction["id"])]
        in_force = order.net_amount + (order.tax_amount or 0)
        explained.append((promised - in_force, "price corrected to the contract's", "data_quality"))
        if transaction["fulfilment"] == "complete":
            missing = _not_shipped(order, sides.shipped.get(number, {}))
            explained.append((missing, "short-shipped: the warehouse will send no more", "process_design"))
        explained.append((int(transaction["credited_amount"]), "goods came back and were credited", "process_design"))
    rest = promised - entries.invoiced - sum(amount for amount, _, _ in explained)
    return [
        *(Difference(Step.INVOICED, number, amount, cause, root) for amount, cause, root in explained),
        Difference(Step.INVOICED, number, rest),
    ]


def _not_shipped(order: Order, shipped: Mapping[int, Decimal]) -> int:
    """Value with tax of what was ordered and did not leave; the order's tax is in proportion to its lines' value."""
    left = sum(
        line.model_copy(update={"quantity": shipped[line.line_number]}).net_amount(order.currency, order.rounding)
        for line in order.lines
        if line.line_number in shipped
    )
    tax = order.tax_amount or 0
    due = (
        int((Decimal(tax) * left / order.lines_amount).quantize(Decimal(1), ROUND_HALF_UP)) if order.lines_amount else 0
    )
    return order.lines_amount - left + tax - due


def _paying(number: str, entries: _Booked, collected: int) -> list[Difference]:
    """What the customer left open or paid too much is the customer's; what the gateway has and the ERP has not is ours."""
    open_amount = entries.invoiced - collected
    cause = "the customer paid short: open receivable" if open_amount > 0 else "the customer paid too much: on account"
    return [
        Difference(Step.PAID, number, open_amount, cause, "process_design"),
        Difference(Step.COLLECTED, number, collected - entries.paid),
    ]


def _booking(number: str, entries: _Booked, transaction: Mapping[str, Any] | None, sides: Sides) -> list[Difference]:
    committed = transaction is not None and transaction["commitment"] == "committed"
    ordered = sides.orders[str(transaction["id"])].net_amount if transaction is not None and committed else 0
    return [Difference(Step.BOOKED, number, ordered - entries.ordered)]


def _telling(number: str, entries: _Booked, sold: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(Step.TOLD, number, entries.invoiced - int(sold["invoiced_amount"]) + int(sold["credited_amount"])),
        Difference(Step.TOLD, number, entries.paid - int(sold["paid_amount"])),
    ]
