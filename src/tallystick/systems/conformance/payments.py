"""The payments kit: subclass PaymentsConformance with a `scenario` fixture; an invoice is handed over once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from tallystick.documents.invoice import Invoice, InvoiceLine
from tallystick.systems.conformance.accepted import AcceptedRequests, RequestScenario
from tallystick.systems.failure import Failure
from tallystick.systems.ports import Accepted, Operation, PaymentRequest, Payments, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentsScenario(RequestScenario):
    """A payment side that runs, and a customer it may collect from. Use its test mode: the kit asks for real collections."""

    customer_id: str
    currency: str = "USD"


class PaymentsConformance(AcceptedRequests):
    """Everything a connector to the payments side must pass."""

    role = Role.PAYMENTS
    operation = Operation.REQUEST_PAYMENT
    port = Payments

    def make(self, scenario: Any) -> PaymentRequest:
        """A posted invoice to collect."""
        today = datetime.now(UTC).date()
        number = f"INV-{uuid4().hex[:12]}"
        line = InvoiceLine(line_number=1, quantity=Decimal(2), unit_price=Decimal("10.00"), amount=2_000)
        return PaymentRequest(
            reference=f"TS-{uuid4().hex}-I-{number}",
            customer_id=scenario.customer_id,
            invoice=Invoice(
                number=number,
                currency=scenario.currency,
                invoice_date=today,
                due_date=today + timedelta(days=30),
                lines=(line,),
                net_amount=2_000,
                tax_amount=0,
                total_amount=2_000,
            ),
            order_number=f"C-{uuid4().hex[:16]}",
            transaction_id=str(uuid4()),
        )

    async def send(self, system: Any, requests: Sequence[Any]) -> Sequence[Accepted | Failure]:
        """Hand over invoices."""
        answers: Sequence[Accepted | Failure] = await system.request_payments(requests)
        return answers
