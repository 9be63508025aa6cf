"""The sandbox's CRM as the port Crm: it is told what became of its orders, in order, each piece of news once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.systems.failure import Failure
from tallystick.systems.once import Request, write_once
from tallystick.systems.options import HttpOptions
from tallystick.systems.ports import Accepted, Capabilities, Health, Operation, Role, StatusUpdate

PATH = "/v1/status-updates"


class CrmOptions(HttpOptions):
    """Settings of a sandbox CRM: those of any HTTP system."""


def connect(name: str, options: Mapping[str, Any]) -> SandboxCrm:
    """The connector under its name in the settings. Raises pydantic's ValidationError when an option is wrong."""
    return SandboxCrm(name, CrmOptions.model_validate(options))


class SandboxCrm:
    """See the port Crm."""

    def __init__(self, name: str, options: CrmOptions) -> None:
        self.name = name
        self.capabilities = Capabilities(
            roles=frozenset({Role.CRM, Role.CHANNEL}),
            operations=frozenset({Operation.PUBLISH_STATUS}),
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

    async def publish_status(self, updates: Sequence[StatusUpdate]) -> Sequence[Accepted | Failure]:
        """Deliver news of orders in the order given; the same reference twice changes nothing."""
        return await write_once(
            self._client,
            [Request(update.reference, _body(update), update.verify) for update in updates],
            path=PATH,
            lookup_path=f"{PATH}/lookup",
            number="reference",
            batch_size=self.capabilities.batch_size,
        )


def _body(update: StatusUpdate) -> dict[str, Any]:
    return {
        "event_id": update.reference,
        "event_type": update.event_type,
        "transaction_id": update.transaction_id,
        "channel": update.channel,
        "order_number": update.order_number,
        "occurred_at": update.occurred_at,
        "data": dict(update.data),
    }
