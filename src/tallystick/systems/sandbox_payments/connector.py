"""The sandbox's payment gateway as the port Payments: hand invoices over; payments come back as events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.systems.failure import Failure
from tallystick.systems.once import Request, write_once
from tallystick.systems.options import HttpOptions
from tallystick.systems.ports import Accepted, Capabilities, Health, Operation, PaymentRequest, Role

PATH = "/v1/payment-requests"


class PaymentsOptions(HttpOptions):
    """Settings of a sandbox payment gateway: those of any HTTP system."""


def connect(name: str, options: Mapping[str, Any]) -> SandboxPayments:
    """The connector under its name in the settings. Raises pydantic's ValidationError when an option is wrong."""
    return SandboxPayments(name, PaymentsOptions.model_validate(options))


class SandboxPayments:
    """See the port Payments."""

    def __init__(self, name: str, options: PaymentsOptions) -> None:
        self.name = name
        self.capabilities = Capabilities(
            roles=frozenset({Role.PAYMENTS}),
            operations=frozenset({Operation.REQUEST_PAYMENT}),
            batch_size=options.batch_size,
            concurrency=options.concurrency,
        )
        self._client = options.client(name)

    async def check_health(self) -> Health:
        """Ask whether it answers; never raises."""
        return await self._client.check_health("/health")

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def request_payments(self, requests: Sequence[PaymentRequest]) -> Sequence[Accepted | Failure]:
        """Hand over posted invoices for collection, each once by its reference."""
        return await write_once(
            self._client,
            [Request(request.reference, _body(request), request.verify) for request in requests],
            path=PATH,
            lookup_path=f"{PATH}/lookup",
            number="number",
            batch_size=self.capabilities.batch_size,
        )


def _body(request: PaymentRequest) -> dict[str, Any]:
    invoice = request.invoice
    return {
        "reference": request.reference,
        "transaction_id": request.transaction_id,
        "order_number": request.order_number,
        "customer_id": request.customer_id,
        "invoice_number": invoice.number,
        "currency": invoice.currency,
        "total_amount": invoice.total_amount,
        "due_date": invoice.due_date,
    }
