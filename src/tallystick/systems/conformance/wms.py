"""The warehouse kit: subclass WmsConformance with a `scenario` fixture; an order is asked for once, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address
from tallystick.systems.conformance.accepted import AcceptedRequests, RequestScenario
from tallystick.systems.conformance.verdicts import only, rejected
from tallystick.systems.failure import Failure
from tallystick.systems.ports import Accepted, Operation, Role, ShipmentCommand, Wms

_SHIP_TO = Address(name="Conformance", city="Springfield", region="CA")


@dataclass(frozen=True, slots=True, kw_only=True)
class WmsScenario(RequestScenario):
    """A warehouse that runs, and goods in it. Its requests must not be shipped at once, or nothing could be cancelled."""

    customer_id: str
    product_id: str
    unit: str = "EA"
    warehouse: str | None = None
    ship_to: Address = _SHIP_TO
    shipping: Callable[[ShipmentCommand], AbstractAsyncContextManager[None]] | None = None
    """Entered before a request is sent; when it is left, the request's goods have left, by the test's own means."""


class WmsConformance(AcceptedRequests):
    """Everything a connector to a warehouse must pass."""

    role = Role.WMS
    operation = Operation.REQUEST_SHIPMENT
    port = Wms

    def make(self, scenario: Any) -> ShipmentCommand:
        """A committed order to ship."""
        reference = f"TS-{uuid4().hex}"
        order = Order(
            channel="conformance",
            order_number=f"C-{uuid4().hex[:16]}",
            customer_id=scenario.customer_id,
            currency="USD",
            ordered_at=datetime.now(UTC),
            ship_to=scenario.ship_to,
            lines=(
                OrderLine(
                    line_number=1,
                    product_id=scenario.product_id,
                    quantity=Decimal(2),
                    unit=scenario.unit,
                    unit_price=Decimal("10.00"),
                    warehouse=scenario.warehouse,
                ),
            ),
        )
        return ShipmentCommand(reference, reference, f"ERP-{order.order_number}", order)

    async def send(self, system: Any, requests: Sequence[Any]) -> Sequence[Accepted | Failure]:
        """Ask for shipments."""
        answers: Sequence[Accepted | Failure] = await system.request_shipments(requests)
        return answers

    async def test_a_request_can_be_cancelled_and_cancelled_again(self, system: Any, scenario: WmsScenario) -> None:
        request = self.make(scenario)
        only(await system.request_shipments([request]))
        for each in (request, replace(request, verify=True)):
            assert only(await system.cancel_shipments([each])).reference == request.reference

    async def test_goods_that_left_cannot_be_cancelled(self, system: Any, scenario: WmsScenario) -> None:
        if scenario.shipping is None:
            pytest.skip("the scenario cannot make goods leave")
        request = self.make(scenario)
        async with scenario.shipping(request):
            only(await system.request_shipments([request]))
        rejected(await system.cancel_shipments([request]))
