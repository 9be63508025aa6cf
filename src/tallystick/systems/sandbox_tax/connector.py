"""The sandbox's tax service as the port Tax: one quick call for a batch of orders, inside the orders' deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from tallystick.documents.order import Order
from tallystick.documents.party import Address, Customer
from tallystick.systems.excerpts import excerpt, one_line
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.http import Answer
from tallystick.systems.options import HttpOptions
from tallystick.systems.ports import Capabilities, Health, Operation, Role, TaxAnswer

PATH = "/v1/calculations"


class TaxOptions(HttpOptions):
    """Settings of a sandbox tax service. It is asked while somebody waits for an order's answer: the timeouts are short."""

    connect_timeout: float = Field(default=1.0, gt=0, le=60)
    read_timeout: float = Field(default=2.5, gt=0, le=600)
    deadline: float = Field(default=2.5, gt=0, le=3_600)
    concurrency: int = Field(default=16, ge=1, le=64)


class _Calculated(BaseModel):
    """The service's answer for one order."""

    total_amount: int
    jurisdiction: str
    by_line: dict[int, int]
    exempt: bool


def connect(name: str, options: Mapping[str, Any]) -> SandboxTax:
    """The connector under its name in the settings. Raises pydantic's ValidationError when an option is wrong."""
    return SandboxTax(name, TaxOptions.model_validate(options))


class SandboxTax:
    """See the port Tax."""

    def __init__(self, name: str, options: TaxOptions) -> None:
        self.name = name
        self.capabilities = Capabilities(
            roles=frozenset({Role.TAX}),
            operations=frozenset({Operation.CALCULATE_TAX}),
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

    async def calculate_tax(
        self, orders: Sequence[Order], customers: Mapping[str, Customer]
    ) -> Sequence[TaxAnswer | Failure]:
        """Tax for each order; Rejected where nobody knows where it goes, or there is no rate for it."""
        results: dict[int, TaxAnswer | Failure] = {}
        asked: list[int] = []
        bodies: list[dict[str, Any]] = []
        for index, order in enumerate(orders):
            customer = customers.get(order.customer_id)
            address = _destination(order, customer)
            if address is None:
                results[index] = self._nowhere(order)
            else:
                asked.append(index)
                bodies.append(_body(order, address, customer))
        size = self.capabilities.batch_size
        for start in range(0, len(asked), size):
            answers = await self._client.read_batch(PATH, bodies[start : start + size])
            for index, answer in zip(asked[start : start + size], answers, strict=True):
                results[index] = self._answer(answer)
        return [results[index] for index in range(len(orders))]

    def _nowhere(self, order: Order) -> Failure:
        return Rejected(
            f"{self.name}: order {order.order_number} has no ship-to and customer {order.customer_id} has no known one, "
            "so there is no tax jurisdiction; give the order a ship-to",
            system=self.name,
            code="tax.no_jurisdiction",
        )

    def _answer(self, answer: Answer | Failure) -> TaxAnswer | Failure:
        if isinstance(answer, Failure):
            return answer
        try:
            found = _Calculated.model_validate(answer.body)
        except ValidationError as error:
            return Transient(
                f"{self.name}: the answer is not a tax calculation ({one_line(error)}); it is asked again",
                system=self.name,
                code=f"{self.name}.bad_answer",
                response=excerpt(answer.body),
            )
        return TaxAnswer(found.total_amount, found.jurisdiction, found.by_line, found.exempt)


def _destination(order: Order, customer: Customer | None) -> Address | None:
    """Where the order goes: its ship-to, by the customer's record of it where the order gives only its id."""
    known = customer.ship_to if customer else ()
    if order.ship_to is None:
        return known[0] if known else None
    if order.ship_to.id is not None and order.ship_to.region is None:
        return next((each for each in known if each.id == order.ship_to.id), order.ship_to)
    return order.ship_to


def _body(order: Order, address: Address, customer: Customer | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "reference": f"{order.channel}/{order.order_number}",
        "currency": order.currency,
        "rounding": order.rounding,
        "country": address.country,
        "region": address.region,
        "on": order.ordered_at.date(),
        "lines": [
            {"line_number": line.line_number, "product_id": line.product_id, "amount": amount}
            for line, amount in zip(order.lines, order.line_amounts, strict=True)
        ],
    }
    if customer is not None and customer.tax_exempt:
        body["exempt"] = True
        body["exemption_certificate"] = customer.exemption_certificate
        body["exemption_expires_at"] = customer.exemption_expires_at
    return body
