"""The ERP's writes as data for the trouble tests: how to prepare one, send it, and see that it was done exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tallystick.systems.conformance.erp_scenario import Desk
from tallystick.systems.conformance.verdicts import rejected
from tallystick.systems.ports import (
    Erp,
    InvoiceCommand,
    Operation,
    OrderCommand,
    PaymentCommand,
    ReturnCommand,
    ShipmentCommand,
)


@dataclass(frozen=True, slots=True)
class Write:
    """One kind of write. `once` asserts, at a desk without trouble, that each command took effect exactly once."""

    operation: Operation
    prepare: Callable[[Desk, int], Awaitable[Sequence[Any]]]
    """Makes so many commands that may be sent."""
    send: Callable[[Erp, Sequence[Any]], Awaitable[Sequence[Any]]]
    once: Callable[[Desk, Sequence[Any]], Awaitable[None]]


async def _new_orders(desk: Desk, count: int) -> Sequence[OrderCommand]:
    return [desk.command(2) for _ in range(count)]


async def _orders(desk: Desk, count: int) -> Sequence[OrderCommand]:
    return await desk.commit_all([desk.command(5) for _ in range(count)])


async def _changed_orders(desk: Desk, count: int) -> Sequence[OrderCommand]:
    return [
        replace(
            command,
            order=desk.order(3).model_copy(update={"order_number": command.order.order_number}),
            revision=2,
        )
        for command in await _orders(desk, count)
    ]


async def _new_shipments(desk: Desk, count: int) -> Sequence[ShipmentCommand]:
    return [desk.shipment(command, {1: 2}) for command in await _orders(desk, count)]


async def _invoicings(desk: Desk, count: int) -> Sequence[InvoiceCommand]:
    shipments = await _new_shipments(desk, count)
    await desk.send_all(desk.erp.record_shipments, shipments)
    return [desk.invoicing(shipment) for shipment in shipments]


async def _new_payments(desk: Desk, count: int) -> Sequence[PaymentCommand]:
    invoices = await desk.send_all(desk.erp.invoice_shipments, await _invoicings(desk, count))
    return [desk.payment(invoice.total_amount + 100, invoice) for invoice in invoices]


async def _new_returns(desk: Desk, count: int) -> Sequence[ReturnCommand]:
    orders = await _orders(desk, count)
    shipments = [desk.shipment(command, {1: 5}) for command in orders]
    await desk.send_all(desk.erp.record_shipments, shipments)
    await desk.send_all(desk.erp.invoice_shipments, [desk.invoicing(shipment) for shipment in shipments])
    return [desk.goods_back(command, {1: 1}) for command in orders]


async def _one_order(desk: Desk, commands: Sequence[OrderCommand]) -> None:
    for command in commands:
        booked = await desk.booked("order", command.reference)
        assert [each.net_amount for each in booked] == [command.order.net_amount]


async def _cancelled(desk: Desk, commands: Sequence[OrderCommand]) -> None:
    await _nothing_to_ship(desk, commands)


async def _shipped_once(desk: Desk, commands: Sequence[ShipmentCommand]) -> None:
    """Two of five were sent: three more are open, and no more."""
    orders = [OrderCommand(each.order_reference, each.order, erp_reference=each.erp_reference) for each in commands]
    await desk.send_all(desk.erp.record_shipments, [desk.shipment(order, {1: 3}) for order in orders])
    await _nothing_to_ship(desk, orders)


async def _nothing_to_ship(desk: Desk, orders: Sequence[OrderCommand]) -> None:
    for order in orders:
        rejected(await desk.erp.record_shipments([desk.shipment(order, {1: 1})]))


async def _invoiced_once(desk: Desk, commands: Sequence[InvoiceCommand]) -> None:
    invoices = Counter(each.order_reference for each in await desk.erp.read_books() if each.kind == "invoice")
    assert [invoices[command.order_reference] for command in commands] == [1] * len(commands)


async def _one_payment(desk: Desk, commands: Sequence[PaymentCommand]) -> None:
    await _booked_once(desk, "payment", commands)


async def _one_credit_memo(desk: Desk, commands: Sequence[ReturnCommand]) -> None:
    await _booked_once(desk, "credit_memo", commands)


async def _booked_once(desk: Desk, kind: str, commands: Sequence[PaymentCommand | ReturnCommand]) -> None:
    booked = Counter(each.reference for each in await desk.erp.read_books() if each.kind == kind)
    assert [booked[command.reference] for command in commands] == [1] * len(commands)


WRITES = (
    Write(Operation.COMMIT_ORDER, _new_orders, lambda erp, sent: erp.commit_orders(sent), _one_order),
    Write(Operation.CHANGE_ORDER, _changed_orders, lambda erp, sent: erp.change_orders(sent), _one_order),
    Write(Operation.CANCEL_ORDER, _orders, lambda erp, sent: erp.cancel_orders(sent), _cancelled),
    Write(Operation.RECORD_SHIPMENT, _new_shipments, lambda erp, sent: erp.record_shipments(sent), _shipped_once),
    Write(Operation.INVOICE_SHIPMENT, _invoicings, lambda erp, sent: erp.invoice_shipments(sent), _invoiced_once),
    Write(Operation.RECORD_PAYMENT, _new_payments, lambda erp, sent: erp.record_payments(sent), _one_payment),
    Write(Operation.CREDIT_RETURN, _new_returns, lambda erp, sent: erp.credit_returns(sent), _one_credit_memo),
)
