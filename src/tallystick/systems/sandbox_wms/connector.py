"""The sandbox's warehouse as the port Wms: ask it to ship, ask it not to; dispatches come back as events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.systems.failure import Failure
from tallystick.systems.http import Answer
from tallystick.systems.once import Request, write_once
from tallystick.systems.options import HttpOptions
from tallystick.systems.ports import Accepted, Capabilities, Health, Operation, Role, ShipmentCommand

PATH = "/v1/shipment-requests"


class WmsOptions(HttpOptions):
    """Settings of a sandbox warehouse: those of any HTTP system."""


def connect(name: str, options: Mapping[str, Any]) -> SandboxWms:
    """The connector under its name in the settings. Raises pydantic's ValidationError when an option is wrong."""
    return SandboxWms(name, WmsOptions.model_validate(options))


class SandboxWms:
    """See the port Wms."""

    def __init__(self, name: str, options: WmsOptions) -> None:
        self.name = name
        self.capabilities = Capabilities(
            roles=frozenset({Role.WMS}),
            operations=frozenset({Operation.REQUEST_SHIPMENT}),
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

    async def request_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[Accepted | Failure]:
        """Ask the warehouse to ship committed orders, each once by its reference."""
        return await write_once(
            self._client,
            [Request(command.reference, _body(command), command.verify) for command in commands],
            path=PATH,
            lookup_path=f"{PATH}/lookup",
            number="number",
            batch_size=self.capabilities.batch_size,
        )

    async def cancel_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[Accepted | Failure]:
        """Ask the warehouse not to ship; Rejected (wms.goods_left) when goods have left already.

        It is the same to cancel twice, so nothing need be looked up first.
        """
        results: list[Accepted | Failure] = []
        size = self.capabilities.batch_size
        for start in range(0, len(commands), size):
            references = [command.reference for command in commands[start : start + size]]
            answers = await self._client.write_batch(f"{PATH}/cancel", references)
            results += [_cancelled(*each) for each in zip(references, answers, strict=True)]
        return results


def _body(command: ShipmentCommand) -> dict[str, Any]:
    order = command.order
    return {
        "reference": command.reference,
        "order_reference": command.order_reference,
        "erp_reference": command.erp_reference,
        "order_number": order.order_number,
        "customer_id": order.customer_id,
        "customer_po": order.customer_po,
        "ship_to": order.ship_to,
        "requested_delivery": order.requested_delivery,
        "requested_shipment": order.requested_shipment,
        "cancel_after": order.cancel_after,
        "lines": [
            {
                "line_number": line.line_number,
                "product_id": line.product_id,
                "quantity": line.quantity,
                "warehouse": line.warehouse,
                "requested_delivery": line.requested_delivery,
            }
            for line in order.lines
        ],
    }


def _cancelled(reference: str, answer: Answer | Failure) -> Accepted | Failure:
    if isinstance(answer, Failure):
        return answer
    number = answer.body.get("number") if isinstance(answer.body, dict) else None
    return Accepted(reference, str(number or reference), already_there=answer.status == 200)
