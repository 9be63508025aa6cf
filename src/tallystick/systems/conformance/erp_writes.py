"""The ERP's writes as data for the trouble tests: how to prepare one, send it, and see that it was done exactly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tallystick.systems.conformance.erp_scenario import Desk
from tallystick.systems.conformance.verdicts import rejected
from tallystick.systems.ports import Erp, InvoiceCommand, Operation, OrderCommand, ShipmentCommand


@dataclass(frozen=True, slots=True)
class Write:
    """One kind of write. `once` asserts, at a desk without trouble, that the command took effect exactly once."""

    operation: Operation
    prepare: Callable[[Desk], Awaitable[Any]]
    send: Callable[[Erp, Sequence[Any]], Awaitable[Sequence[Any]]]
    once: Callable[[Desk, Any], Awaitable[None]]


async def _new_order(desk: Desk) -> OrderCommand:
    return desk.command(2)


async def _order(desk: Desk) -> OrderCommand:
    return await desk.commit(5)


async def _changed_order(desk: Desk) -> OrderCommand:
    command = await desk.commit(5)
    order = desk.order(3).model_copy(update={"order_number": command.order.order_number})
    return replace(command, order=order, revision=2)


async def _new_shipment(desk: Desk) -> ShipmentCommand:
    return desk.shipment(await desk.commit(5), {1: 2})


async def _invoicing(desk: Desk) -> InvoiceCommand:
    return desk.invoicing(await desk.ship(await desk.commit(5), {1: 2}))


async def _new_payment(desk: Desk) -> Any:
    _, invoice = await desk.invoiced(3)
    return desk.payment(invoice.total_amount + 100, invoice)


async def _new_return(desk: Desk) -> Any:
    command, _ = await desk.invoiced(4)
    return desk.goods_back(command, {1: 1})


async def _one_order(desk: Desk, command: OrderCommand) -> None:
    booked = await desk.booked("order", command.reference)
    assert [each.net_amount for each in booked] == [command.order.net_amount]


async def _cancelled(desk: Desk, command: OrderCommand) -> None:
    rejected(await desk.erp.record_shipments([desk.shipment(command, {1: 1})]))


async def _shipped_once(desk: Desk, command: ShipmentCommand) -> None:
    """Two of five were sent: three more are open, and no more."""
    order = OrderCommand(command.order_reference, command.order, erp_reference=command.erp_reference)
    await desk.ship(order, {1: 3})
    rejected(await desk.erp.record_shipments([desk.shipment(order, {1: 1})]))


async def _invoiced_once(desk: Desk, command: InvoiceCommand) -> None:
    entries = [each for each in await desk.erp.read_books() if each.order_reference == command.order_reference]
    assert len([each for each in entries if each.kind == "invoice"]) == 1


async def _one_payment(desk: Desk, command: Any) -> None:
    assert len(await desk.booked("payment", command.reference)) == 1


async def _one_credit_memo(desk: Desk, command: Any) -> None:
    assert len(await desk.booked("credit_memo", command.reference)) == 1


WRITES = (
    Write(Operation.COMMIT_ORDER, _new_order, lambda erp, sent: erp.commit_orders(sent), _one_order),
    Write(Operation.CHANGE_ORDER, _changed_order, lambda erp, sent: erp.change_orders(sent), _one_order),
    Write(Operation.CANCEL_ORDER, _order, lambda erp, sent: erp.cancel_orders(sent), _cancelled),
    Write(Operation.RECORD_SHIPMENT, _new_shipment, lambda erp, sent: erp.record_shipments(sent), _shipped_once),
    Write(Operation.INVOICE_SHIPMENT, _invoicing, lambda erp, sent: erp.invoice_shipments(sent), _invoiced_once),
    Write(Operation.RECORD_PAYMENT, _new_payment, lambda erp, sent: erp.record_payments(sent), _one_payment),
    Write(Operation.CREDIT_RETURN, _new_return, lambda erp, sent: erp.credit_returns(sent), _one_credit_memo),
)
