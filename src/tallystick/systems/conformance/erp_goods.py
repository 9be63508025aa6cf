"""The ERP kit: shipments in parts and never too much, and invoices that add up however an order is split."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.order import Charge, ChargeKind
from tallystick.systems.conformance.erp_desk import ErpDesk
from tallystick.systems.conformance.erp_scenario import Desk
from tallystick.systems.conformance.verdicts import only, rejected, settled
from tallystick.systems.failure import Rejected
from tallystick.systems.ports import ShipmentRecorded


def ties(document: Invoice | CreditMemo) -> None:
    """A posted document's own arithmetic: lines make the net amount, net and tax the total."""
    assert sum(line.amount for line in document.lines) == document.net_amount
    assert document.net_amount + document.tax_amount == document.total_amount


class ErpGoods(ErpDesk):
    """Record shipments, invoice them."""

    async def test_an_invoice_is_for_what_shipped(self, desk: Desk) -> None:
        command = await desk.commit(5, 4)
        shipment = await desk.ship(command, {1: 2})
        invoice = await desk.invoice(shipment)
        assert invoice.number
        assert invoice.currency == desk.scenario.currency
        assert shipment.shipment is not None
        assert invoice.shipment_numbers == (shipment.shipment.number,)
        assert [(line.line_number, line.quantity) for line in invoice.lines] == [(1, Decimal(2))]
        assert invoice.net_amount == 2 * _price(desk)
        ties(invoice)

    async def test_partial_shipments_are_invoiced_each_and_add_up(self, desk: Desk) -> None:
        command = await desk.commit(5, 3)
        invoices = [
            await desk.invoice(await desk.ship(command, quantities))
            for quantities in ({1: 2, 2: 1}, {1: 1}, {1: 2, 2: 2})
        ]
        for invoice in invoices:
            ties(invoice)
        assert len({invoice.number for invoice in invoices}) == 3
        assert sum(invoice.net_amount for invoice in invoices) == command.order.net_amount

    async def test_two_shipments_may_be_recorded_before_either_is_invoiced(self, desk: Desk) -> None:
        command = await desk.commit(5)
        first = await desk.ship(command, {1: 2})
        second = await desk.ship(command, {1: 3})
        later, earlier = await desk.invoice(second), await desk.invoice(first)
        assert (earlier.net_amount, later.net_amount) == (2 * _price(desk), 3 * _price(desk))

    async def test_tax_and_charges_add_up_over_partial_invoices(self, desk: Desk) -> None:
        if not (desk.scenario.takes_tax_amount and desk.scenario.takes_charges):
            pytest.skip("the scenario's system computes tax or charges itself")
        charges = (Charge(code="FREIGHT", amount=799), Charge(code="REBATE", kind=ChargeKind.ALLOWANCE, amount=101))
        command = await desk.commit(3, tax_amount=211, charges=charges)
        invoices = [await desk.invoice(await desk.ship(command, {1: 1})) for _ in range(3)]
        for invoice in invoices:
            ties(invoice)
        assert sum(invoice.net_amount for invoice in invoices) == command.order.net_amount
        assert sum(invoice.tax_amount for invoice in invoices) == 211

    async def test_more_than_ordered_is_rejected_and_nothing_of_it_recorded(self, desk: Desk) -> None:
        command = await desk.commit(5, 5)
        rejected(await desk.erp.record_shipments([desk.shipment(command, {1: 5, 2: 6})]))
        await desk.ship(command, {1: 5, 2: 5})
        rejected(await desk.erp.record_shipments([desk.shipment(command, {1: 1})]))

    async def test_after_the_final_shipment_nothing_ships(self, desk: Desk) -> None:
        command = await desk.commit(5)
        shipment = await desk.ship(command, {1: 2}, final=True)
        rejected(await desk.erp.record_shipments([desk.shipment(command, {1: 1})]))
        assert (await desk.invoice(shipment)).net_amount == 2 * _price(desk)

    async def test_one_bad_shipment_never_harms_the_others(self, desk: Desk) -> None:
        good, other = await desk.commit(5), await desk.commit(2)
        commands = [desk.shipment(good, {1: 5}), desk.shipment(other, {1: 3}), desk.shipment(other, {1: 2})]
        size = desk.erp.capabilities.batch_size
        answers = [
            each for at in range(0, 3, size) for each in await desk.erp.record_shipments(commands[at : at + size])
        ]
        assert [type(each) for each in answers] == [ShipmentRecorded, Rejected, ShipmentRecorded], answers

    async def test_the_same_shipment_again_is_found_and_not_recorded_twice(self, desk: Desk) -> None:
        command = await desk.commit(5)
        shipment = desk.shipment(command, {1: 2})
        first = only(await desk.erp.record_shipments([shipment]))
        again = only(await desk.erp.record_shipments([replace(shipment, verify=True)]))
        assert (again.system_reference, again.already_there) == (first.system_reference, True)
        await desk.ship(command, {1: 3})  # it would be too much if the first had been recorded twice
        rejected(await desk.erp.record_shipments([desk.shipment(command, {1: 1})]))

    async def test_identical_shipments_at_once_are_recorded_once(self, desk: Desk) -> None:
        command = await desk.commit(5)
        shipment = desk.shipment(command, {1: 2})
        repeated = replace(shipment, verify=True)
        answers = await asyncio.gather(*(desk.erp.record_shipments([each]) for each in (shipment, repeated, repeated)))
        made = {each.system_reference for each in settled(answers)}
        assert len(made) == 1, f"one shipment, one number: {made or answers}"
        await desk.ship(command, {1: 3})

    async def test_the_same_invoice_again_is_the_same_invoice(self, desk: Desk) -> None:
        command = await desk.commit(5)
        shipment = await desk.ship(command, {1: 5})
        invoice = await desk.invoice(shipment)
        again = only(await desk.erp.invoice_shipments([replace(desk.invoicing(shipment), verify=True)]))
        assert again == invoice

    async def test_identical_invoicings_at_once_post_one_invoice(self, desk: Desk) -> None:
        shipment = await desk.ship(await desk.commit(5), {1: 5})
        command = desk.invoicing(shipment)
        repeated = replace(command, verify=True)
        answers = await asyncio.gather(*(desk.erp.invoice_shipments([each]) for each in (command, repeated, repeated)))
        made = {each.number for each in settled(answers)}
        assert len(made) == 1, f"one shipment, one invoice: {made or answers}"
        entries = [each for each in await desk.erp.read_books() if each.order_reference == shipment.order_reference]
        assert len([each for each in entries if each.kind == "invoice"]) == 1

    async def test_what_never_shipped_is_not_invoiced(self, desk: Desk) -> None:
        shipment = desk.shipment(await desk.commit(5), {1: 5})
        rejected(await desk.erp.invoice_shipments([desk.invoicing(shipment)]))


def _price(desk: Desk) -> int:
    """The scenario's price of one piece in minor units."""
    return desk.order(1).net_amount
