"""The gateway's own state: invoices to collect and payments received, changed by records only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from pydantic import Field

from tallystick.documents.money import Currency, MinorAmount
from tallystick.documents.payment import Payment, PaymentMethod
from tallystick.documents.values import Document, Identifier
from tallystick.sandbox.batches import MAXIMUM_ITEMS, Reference
from tallystick.sandbox.payments.plans import Plan, Simulation, parts


class PaymentRequest(Document):
    """Collect this invoice. The same `reference` again is the same request. Amounts in minor units of `currency`."""

    reference: Reference
    transaction_id: Identifier
    """Subject of the events about it."""
    order_number: Identifier
    customer_id: Identifier
    invoice_number: Identifier
    currency: Currency
    total_amount: MinorAmount
    due_date: date | None = None


class ReferenceReusedError(Exception):
    """The reference was used for another invoice or amount."""


@dataclass(slots=True)
class Collection:
    """A request as the gateway keeps it."""

    number: str
    request: dict[str, Any]
    due: list[float] = field(default_factory=list)
    """Wall-clock seconds at which each payment comes."""
    amounts: list[int] = field(default_factory=list)
    method: str = PaymentMethod.TRANSFER.value
    payments: list[dict[str, Any]] = field(default_factory=list)
    """What was paid, as canonical documents."""

    def view(self) -> dict[str, Any]:
        """As the interface shows it."""
        paid = sum(payment["amount"] for payment in self.payments)
        to_come = len(self.due) - len(self.payments)
        return {
            "number": self.number,
            **self.request,
            "paid_amount": paid,
            "payments": self.payments,
            "payments_to_come": to_come,
        }


class Gateway:
    """All collections. Methods that decide return a record; only `apply` changes anything, so that a journal can rebuild it."""

    def __init__(self, seed: int, simulation: Simulation) -> None:
        self._seed = seed
        self.simulation = simulation
        self.collections: dict[str, Collection] = {}
        self.plans: dict[str, Plan] = {}
        self._invoices_of_order: dict[str, int] = {}
        self._payments = 0

    def request(self, request: PaymentRequest, now: float) -> dict[str, Any] | None:
        """The record of a request that comes in at `now` (wall clock, seconds); None when it is known.

        Raises ReferenceReusedError when the reference was used for another invoice or amount.
        """
        known = self.collections.get(request.reference)
        if known is not None:
            asked = (request.invoice_number, request.currency, request.total_amount)
            held = (known.request["invoice_number"], known.request["currency"], known.request["total_amount"])
            if asked != held:
                raise ReferenceReusedError(f"{request.reference} was used for invoice {held[0]} of {held[2]} {held[1]}")
            return None
        plan = self._plan(request)
        planned = parts(plan, request.total_amount)
        return {
            "record": "requested",
            "number": f"COL-{len(self.collections) + 1:06}",
            "request": request.model_dump(mode="json"),
            "due": [now + part.after_seconds for part in planned],
            "amounts": [part.amount for part in planned],
            "method": plan.method.value,
        }

    def pay(self, reference: str, index: int) -> dict[str, Any] | None:
        """The record of a request's payment `index` that comes in now; None when it has come already."""
        collection = self.collections[reference]
        if index != len(collection.payments):
            return None
        request = collection.request
        payment = Payment(
            number=f"PAY-{self._payments + 1:06}",
            currency=request["currency"],
            amount=collection.amounts[index],
            paid_at=datetime.now(UTC),
            method=PaymentMethod(collection.method),
            customer_id=request["customer_id"],
            invoice_number=request["invoice_number"],
            remittance=f"{request['invoice_number']} {request['order_number']}",
        )
        return {"record": "paid", "reference": reference, "payment": payment.model_dump(mode="json")}

    def apply(self, record: Mapping[str, Any]) -> None:
        """Change the state by one record, live or from the journal."""
        match record.get("record"):
            case "requested":
                made = Collection(
                    record["number"], record["request"], list(record["due"]), list(record["amounts"]), record["method"]
                )
                self.collections[made.request["reference"]] = made
                order_number = made.request["order_number"]
                self._invoices_of_order[order_number] = self._invoices_of_order.get(order_number, 0) + 1
            case "paid":
                self.collections[record["reference"]].payments.append(record["payment"])
                self._payments += 1
            case "planned":
                self.plans[record["key"]] = Plan.model_validate(record["plan"])
            case "simulation":
                self.simulation = Simulation.model_validate(record["simulation"])

    def _plan(self, request: PaymentRequest) -> Plan:
        for key in (request.reference, request.invoice_number, request.order_number, request.transaction_id):
            if key in self.plans:
                return self.plans[key]
        nth = self._invoices_of_order.get(request.order_number, 0)
        return self.simulation.plan(self._seed, request.order_number, nth)


class PaymentRequests(Document):
    """A batch of requests."""

    items: tuple[PaymentRequest, ...] = Field(min_length=1, max_length=MAXIMUM_ITEMS)
