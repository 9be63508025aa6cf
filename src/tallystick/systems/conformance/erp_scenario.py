"""What a connector's test tells the ERP kit of its system, and the hand that makes and sends the kit's commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

from tallystick.documents.invoice import Invoice
from tallystick.documents.order import Charge, Order, OrderLine
from tallystick.documents.payment import Payment
from tallystick.documents.returns import Return, ReturnLine
from tallystick.documents.shipment import Shipment, ShipmentLine
from tallystick.systems.conformance.verdicts import only, succeeded
from tallystick.systems.failure import Failure
from tallystick.systems.ports import (
    BookEntry,
    Erp,
    InvoiceCommand,
    OrderCommand,
    OrderCommitted,
    PaymentCommand,
    PaymentRecorded,
    PaymentShare,
    ReturnCommand,
    ShipmentCommand,
)

Command = TypeVar("Command")
Answer = TypeVar("Answer")
UNKNOWN = "NO-SUCH-ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpScenario:
    """A system that runs, and masters in it that the kit may trade with. The kit leaves its documents behind.

    The customer is active, may order without a credit limit (or with one of millions), is not tax exempt and has no price
    tolerance to mind; the products are active, sold by `unit`, and there are thousands of each in `warehouse`.
    """

    url: str
    """Where the system really is; the kit puts its fault proxy in front of it."""
    connect: Callable[[str, float], Erp]
    """Makes a connector to the system at a URL, with a read timeout in seconds."""
    customer_id: str
    product_ids: tuple[str, str]
    currency: str = "USD"
    unit: str = "EA"
    unit_price: Decimal = Decimal("10.00")
    """The price the kit orders at; no digits beyond the currency's, so that every rounding agrees."""
    warehouse: str | None = None
    takes_tax_amount: bool = True
    """The tax amount we send is the one it invoices."""
    takes_charges: bool = True
    """Freight and allowances of the order are invoiced."""
    over_limit_customer_id: str | None = None
    """A customer whose credit limit is smaller than one order of ten pieces."""
    blocked_customer_id: str | None = None
    """A customer who may not buy."""
    change_master: Callable[[], Awaitable[tuple[str, str]]] | None = None
    """Changes a master as somebody else would; returns the kind and the id that the change feed must name."""
    secrets: tuple[str, ...] = ()
    """What no failure may show, such as the token."""
    timeout: float = 30.0
    """Read timeout in seconds that is surely enough for one order."""
    short_timeout: float = 2.0
    """Read timeout where the kit keeps silent until the connector gives up; enough for each single call."""
    probes: int = 20
    """At how many of its calls, at most, each write loses an answer."""


def new_reference() -> str:
    """A deterministic reference would be ours; the kit needs one that was never used."""
    return f"TS-{uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Desk:
    """A connector with the scenario's masters: makes commands, sends them, insists on success."""

    erp: Erp
    scenario: ErpScenario

    def order(
        self, *quantities: int, customer_id: str | None = None, charges: tuple[Charge, ...] = (), product: str = ""
    ) -> Order:
        """An order with a line for each quantity, of the scenario's products in turn."""
        scenario = self.scenario
        return Order(
            channel="conformance",
            order_number=f"C-{uuid4().hex[:16]}",
            customer_id=customer_id or scenario.customer_id,
            currency=scenario.currency,
            ordered_at=datetime.now(UTC),
            lines=tuple(
                OrderLine(
                    line_number=number,
                    product_id=product or scenario.product_ids[number % 2],
                    quantity=Decimal(quantity),
                    unit=scenario.unit,
                    unit_price=scenario.unit_price,
                    warehouse=scenario.warehouse,
                )
                for number, quantity in enumerate(quantities, start=1)
            ),
            charges=charges,
        )

    def command(self, *quantities: int, tax_amount: int | None = None, **more: Any) -> OrderCommand:
        """A command to commit such an order, under a new reference."""
        return OrderCommand(reference=new_reference(), order=self.order(*quantities, **more), tax_amount=tax_amount)

    async def commit(self, *quantities: int, tax_amount: int | None = None, **more: Any) -> OrderCommand:
        """Commit an order; the command comes back with the ERP's number."""
        return (await self.commit_all([self.command(*quantities, tax_amount=tax_amount, **more)]))[0]

    async def commit_all(self, commands: Sequence[OrderCommand]) -> list[OrderCommand]:
        """Commit orders; the commands come back with the ERP's numbers."""
        committed: list[OrderCommitted] = await self.send_all(self.erp.commit_orders, commands)
        assert [each.reference for each in committed] == [each.reference for each in commands]
        return [replace(each, erp_reference=made.erp_reference) for each, made in zip(commands, committed, strict=True)]

    async def send_all(
        self, send: Callable[[Sequence[Command]], Awaitable[Sequence[Answer | Failure]]], commands: Sequence[Command]
    ) -> list[Answer]:
        """Send commands in batches as large as the connector takes; the answers, all of them successes."""
        size = self.erp.capabilities.batch_size
        batches = [commands[at : at + size] for at in range(0, len(commands), size)]
        return [answer for batch in batches for answer in succeeded(await send(batch))]

    def shipment(self, command: OrderCommand, quantities: Mapping[int, int], *, final: bool = False) -> ShipmentCommand:
        """A command to record a shipment of a committed order: quantities by line number."""
        lines = {line.line_number: line for line in command.order.lines}
        number = f"W-{uuid4().hex[:12]}"
        return ShipmentCommand(
            reference=f"{command.reference}-S-{number}",
            order_reference=command.reference,
            erp_reference=command.erp_reference or "",
            order=command.order,
            shipment=Shipment(
                number=number,
                warehouse=self.scenario.warehouse,
                shipped_at=datetime.now(UTC),
                lines=tuple(
                    ShipmentLine(line_number=each, product_id=lines[each].product_id, quantity=Decimal(quantity))
                    for each, quantity in quantities.items()
                ),
                final=final,
            ),
        )

    async def ship(
        self, command: OrderCommand, quantities: Mapping[int, int], *, final: bool = False
    ) -> ShipmentCommand:
        """Record a shipment."""
        shipment = self.shipment(command, quantities, final=final)
        only(await self.erp.record_shipments([shipment]))
        return shipment

    def invoicing(self, shipment: ShipmentCommand) -> InvoiceCommand:
        """A command to invoice a recorded shipment."""
        number = shipment.shipment.number if shipment.shipment else ""
        return InvoiceCommand(
            reference=f"{shipment.order_reference}-I-{number}",
            order_reference=shipment.order_reference,
            erp_reference=shipment.erp_reference,
            shipment_number=number,
            shipment_reference=shipment.reference,
        )

    async def invoice(self, shipment: ShipmentCommand) -> Invoice:
        """Have a recorded shipment invoiced."""
        return only(await self.erp.invoice_shipments([self.invoicing(shipment)]))

    async def invoiced(self, *quantities: int, **more: Any) -> tuple[OrderCommand, Invoice]:
        """An order committed, shipped whole and invoiced."""
        command = await self.commit(*quantities, **more)
        return command, await self.invoice(await self.ship(command, dict(enumerate(quantities, start=1))))

    def payment(self, amount: int, invoice: Invoice | None) -> PaymentCommand:
        """A command to record a payment in minor units, against an invoice or on account."""
        number = f"PAY-{uuid4().hex[:12]}"
        return PaymentCommand(
            reference=f"{new_reference()}-P-{number}",
            payment=Payment(
                number=number,
                currency=self.scenario.currency,
                amount=amount,
                paid_at=datetime.now(UTC),
                invoice_number=invoice.number if invoice else None,
            ),
            customer_id=self.scenario.customer_id,
            invoice_number=invoice.number if invoice else None,
        )

    def sharing(self, amount: int, *shares: PaymentShare) -> PaymentCommand:
        """A command to record a payment that says which invoices it is for."""
        return replace(self.payment(amount, None), shares=shares)

    async def pay(self, amount: int, invoice: Invoice | None) -> PaymentRecorded:
        """Record a payment."""
        return only(await self.erp.record_payments([self.payment(amount, invoice)]))

    def goods_back(self, command: OrderCommand, quantities: Mapping[int, int]) -> ReturnCommand:
        """A command to credit goods that came back: quantities by line number."""
        lines = {line.line_number: line for line in command.order.lines}
        number = f"RMA-{uuid4().hex[:12]}"
        return ReturnCommand(
            reference=f"{command.reference}-R-{number}",
            order_reference=command.reference,
            erp_reference=command.erp_reference or "",
            order=command.order,
            returned=Return(
                number=number,
                received_at=datetime.now(UTC),
                reason="damaged",
                lines=tuple(
                    ReturnLine(line_number=each, product_id=lines[each].product_id, quantity=Decimal(quantity))
                    for each, quantity in quantities.items()
                ),
            ),
        )

    async def booked(self, kind: str, reference: str) -> list[BookEntry]:
        """What the books hold of one kind under our reference."""
        entries = await self.erp.read_books()
        return [each for each in entries if each.kind == kind and each.reference == reference]
