"""What every stage works with: the database, the settings, the connected systems, the carrier and the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tallystick.checks.runner import CheckRunner
from tallystick.documents.event import EventType
from tallystick.documents.transaction import Transaction
from tallystick.mailbox.carrier import Carrier
from tallystick.mailbox.messages import Message
from tallystick.mailbox.postgres_carrier import PostgresCarrier
from tallystick.settings import Entity, Settings
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool
from tallystick.systems.failure import Unavailable
from tallystick.systems.ports import Crm, Erp, Payments, System, Tax, Wms

INTAKE, COMMITMENT, FULFILMENT, INVOICING = "intake", "commitment", "fulfilment", "invoicing"
SETTLEMENT, RETURNS, PUBLICATION = "settlement", "returns", "publication"


@dataclass(slots=True)
class Flow:
    """The order-to-cash flow of one installation."""

    pool: Pool
    settings: Settings
    systems: Mapping[str, System]
    carrier: Carrier = field(default_factory=PostgresCarrier)
    checks: CheckRunner = field(init=False)

    def __post_init__(self) -> None:
        self.checks = CheckRunner(self.pool, self.systems)

    def entity(self, name: str) -> Entity | None:
        """An entity's systems and policy; None if there is no such entity."""
        return self.settings.entities.get(name)

    def erp(self, name: str) -> Erp:
        """The connected system `name` as an ERP. Raises Unavailable if it is not connected here as one."""
        system = self.systems.get(name)
        if not isinstance(system, Erp):
            raise _not_connected(name, "an ERP")
        return system

    def wms(self, name: str) -> Wms:
        """The connected system `name` as a warehouse."""
        system = self.systems.get(name)
        if not isinstance(system, Wms):
            raise _not_connected(name, "a warehouse")
        return system

    def payments(self, name: str) -> Payments:
        """The connected system `name` as a payment side."""
        system = self.systems.get(name)
        if not isinstance(system, Payments):
            raise _not_connected(name, "a payment side")
        return system

    def crm(self, name: str) -> Crm:
        """The connected system `name` as one that takes news of orders."""
        system = self.systems.get(name)
        if not isinstance(system, Crm):
            raise _not_connected(name, "a sales system that takes news")
        return system

    def tax(self, name: str) -> Tax:
        """The connected system `name` as a tax service."""
        system = self.systems.get(name)
        if not isinstance(system, Tax):
            raise _not_connected(name, "a tax service")
        return system

    def message(self, stage: str, kind: str, system: str, transaction: Transaction, payload: dict[str, Any]) -> Message:
        """The next message of a transaction."""
        return Message(
            stage=stage,
            system=system,
            kind=kind,
            lane=transaction.id,
            transaction_id=transaction.id,
            entity=transaction.entity,
            payload=payload,
        )

    def news(self, transaction: Transaction, event_type: EventType, data: dict[str, Any]) -> tuple[Message, ...]:
        """The message that carries news of an order to the sales side; none where nobody listens."""
        return self.news_of(
            transaction.id, transaction.entity, transaction.channel, transaction.order_number, event_type, data
        )

    def news_of(
        self,
        transaction_id: UUID,
        entity_name: str,
        channel: str,
        order_number: str,
        event_type: EventType,
        data: dict[str, Any],
    ) -> tuple[Message, ...]:
        """`news` for a transaction that is only now being written."""
        entity = self.entity(entity_name)
        listener = (entity.channels.get(channel) or entity.crm) if entity else None
        if listener is None:
            return ()
        event_id = new_id()
        payload = {
            "event_id": str(event_id),
            "type": event_type.value,
            "occurred_at": datetime.now(UTC).isoformat(),
            "channel": channel,
            "order_number": order_number,
            "data": data,
        }
        message = Message(
            stage=PUBLICATION,
            system=listener,
            kind="publish",
            lane=transaction_id,
            transaction_id=transaction_id,
            entity=entity_name,
            payload=payload,
            id=event_id,
        )
        return (message,)


def _not_connected(name: str, what: str) -> Unavailable:
    return Unavailable(f"{name} is not connected as {what}; see [systems.{name}] in the settings", system=name)
