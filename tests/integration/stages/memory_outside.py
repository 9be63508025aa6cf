"""Everybody outside in memory, for a model of the flow: each takes whatever it is sent, as often as it is sent, and can be asked.

None of them refuses a reference that it has: what is done once outside is done once by the flow's own care. A plan says how the
next calls for an order's operation go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.integration.checks.memory_systems import MemoryErp

from tallystick.documents.invoice import CreditMemo, Invoice, InvoiceLine
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown
from tallystick.systems.ports import (
    Accepted,
    Capabilities,
    Health,
    Operation,
    OrderCommitted,
    PaymentRecorded,
    Role,
    ShipmentRecorded,
)

PRICE = 1_000
"""Of everything, in minor units."""
SOFT = ("throttled", "unavailable", "transient", "lost before", "lost after")
_FAILURES: dict[str, type[Failure]] = {
    "throttled": Throttled,
    "unavailable": Unavailable,
    "transient": Transient,
    "rejected": Rejected,
    "lost before": Unknown,
    "lost after": Unknown,
}
_ALL = Capabilities(frozenset(Role), frozenset(Operation), batch_size=100)


@dataclass
class Book:
    """What was done outside, by operation and reference, and what is to go wrong next, by operation and transaction."""

    done: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    plan: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def take(self, system: str, operation: str, command: Any, work: Callable[[Any], Any], key: str = "") -> Any:
        """One command's answer; `key` tells repetitions of one reference apart."""
        place = (operation, f"{command.reference}{key}")
        if command.verify and place in self.done:
            return self.done[place][0]
        planned = self.plan.get((operation, command.reference[3:35]))
        fault = planned.pop(0) if planned else None
        failure = _FAILURES[fault](fault, system=system, retry_after=0.0) if fault else None
        if failure is not None and fault != "lost after":
            return failure
        answer = work(command)
        if not isinstance(answer, Failure):
            self.done.setdefault(place, []).append(answer)
            return failure or answer
        return answer


@dataclass
class _OrderThere:
    quantity: Decimal
    shipped: Decimal = Decimal(0)
    closed: bool = False


@dataclass
class Ledger(MemoryErp):
    """An ERP that makes orders, and closes them with their last shipment."""

    book: Book = field(default_factory=Book)
    orders: dict[str, _OrderThere] = field(default_factory=dict)
    """By transaction, in 32 hexadecimal digits."""
    open_amounts: dict[str, int] = field(default_factory=dict)
    """What is to be paid, by invoice."""
    capabilities: Capabilities = _ALL

    async def commit_orders(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "commit_order", each, self._commit) for each in commands]

    def _commit(self, command: Any) -> Any:
        self.orders[command.reference[3:]] = _OrderThere(command.order.lines[0].quantity)
        return OrderCommitted(command.reference, f"ERP-{command.reference[3:]}", net_amount=command.order.net_amount)

    async def change_orders(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "change_order", each, self._change, f"/{each.revision}") for each in commands]

    def _change(self, command: Any) -> Any:
        shipped = self.orders[command.reference[3:]].shipped
        return Rejected("goods have left", system="erp") if shipped else self._commit(command)

    async def cancel_orders(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "cancel_order", each, self._cancel) for each in commands]

    def _cancel(self, command: Any) -> Any:
        order = self.orders[command.reference[3:]]
        if order.shipped:
            return Rejected("goods have left", system="erp")
        order.closed = True
        return OrderCommitted(command.reference, f"ERP-{command.reference[3:]}")

    async def record_shipments(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "record_shipment", each, self._ship) for each in commands]

    def _ship(self, command: Any) -> Any:
        order = self.orders[command.reference[3:35]]
        if order.closed:
            return Rejected("the order is closed", system="erp")
        order.shipped += command.shipment.lines[0].quantity
        order.closed = command.shipment.final or order.shipped >= order.quantity
        return ShipmentRecorded(command.reference, command.reference)

    async def invoice_shipments(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "invoice_shipment", each, self._invoice) for each in commands]

    def _invoice(self, command: Any) -> Any:
        # The warehouse's numbers here end with the quantity.
        line, amount = _line(Decimal(command.shipment_number.rpartition("-")[2]))
        number = f"INV-{command.shipment_number}"
        self.open_amounts[number] = amount
        return Invoice(
            number=number,
            currency="USD",
            invoice_date=datetime.now(UTC).date(),
            shipment_numbers=(command.shipment_number,),
            lines=(line,),
            net_amount=amount,
            tax_amount=0,
            total_amount=amount,
        )

    async def record_payments(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "record_payment", each, self._pay) for each in commands]

    def _pay(self, command: Any) -> Any:
        amount, invoice = command.payment.amount, command.invoice_number or ""
        applied = min(amount, self.open_amounts.get(invoice, 0))
        self.open_amounts[invoice] = self.open_amounts.get(invoice, 0) - applied
        return PaymentRecorded(command.reference, command.reference, applied, amount - applied)

    async def credit_returns(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take("erp", "credit_return", each, self._credit) for each in commands]

    def _credit(self, command: Any) -> Any:
        line, amount = _line(command.returned.lines[0].quantity)
        return CreditMemo(
            number=f"CM-{command.returned.number}",
            currency="USD",
            credit_date=datetime.now(UTC).date(),
            lines=(line,),
            net_amount=amount,
            tax_amount=0,
            total_amount=amount,
        )


@dataclass
class Neighbour:
    """Warehouse, payment side and sales system: each takes what it is sent under its reference."""

    name: str
    book: Book
    capabilities: Capabilities = _ALL

    async def check_health(self) -> Health:
        return Health(True, 0.0)

    async def close(self) -> None:
        pass

    async def request_shipments(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take(self.name, "request_shipment", each, _accept) for each in commands]

    async def cancel_shipments(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take(self.name, "cancel_shipment", each, _accept) for each in commands]

    async def request_payments(self, commands: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take(self.name, "request_payment", each, _accept) for each in commands]

    async def publish_status(self, updates: Sequence[Any]) -> Sequence[Any]:
        return [self.book.take(self.name, "publish", each, _accept) for each in updates]


def _accept(command: Any) -> Any:
    return Accepted(command.reference, command.reference)


def _line(quantity: Decimal) -> tuple[InvoiceLine, int]:
    amount = int(quantity * PRICE)
    return InvoiceLine(
        line_number=1, product_id="P1", quantity=quantity, unit_price=Decimal("10.00"), amount=amount
    ), amount
