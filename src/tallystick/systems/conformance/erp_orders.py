"""The ERP kit: orders are committed once each, answered item by item, changed and cancelled only before goods leave."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tallystick.documents.order import Charge, ChargeKind, Order
from tallystick.systems.conformance.erp_desk import ErpDesk, needs
from tallystick.systems.conformance.erp_scenario import UNKNOWN, Desk
from tallystick.systems.conformance.verdicts import only, rejected, settled, succeeded
from tallystick.systems.failure import Rejected
from tallystick.systems.ports import Operation, OrderCommitted

_LARGEST_BATCH = 50


class ErpOrders(ErpDesk):
    """Commit, change, cancel."""

    async def test_a_committed_order_carries_the_systems_own_number_and_net_amount(self, desk: Desk) -> None:
        command = desk.command(2, 3)
        committed = only(await desk.erp.commit_orders([command]))
        assert committed.reference == command.reference
        assert committed.erp_reference
        assert not committed.already_there
        assert committed.net_amount in (None, command.order.net_amount)

    async def test_charges_and_allowances_belong_to_the_net_amount(self, desk: Desk) -> None:
        if not desk.scenario.takes_charges:
            pytest.skip("the scenario's system takes no charges")
        charges = (
            Charge(code="FREIGHT", amount=1_250),
            Charge(code="REBATE", kind=ChargeKind.ALLOWANCE, amount=250),
        )
        command = await desk.commit(10, charges=charges)
        booked = await desk.booked("order", command.reference)
        assert [each.net_amount for each in booked] == [command.order.net_amount]

    async def test_a_batch_is_answered_item_by_item_in_order(self, desk: Desk) -> None:
        size = min(desk.erp.capabilities.batch_size, _LARGEST_BATCH)
        commands = [desk.command(1) for _ in range(size)]
        committed = succeeded(await desk.erp.commit_orders(commands))
        assert [each.reference for each in committed] == [each.reference for each in commands]
        assert len({each.erp_reference for each in committed}) == size

    async def test_it_takes_as_many_calls_at_once_as_it_says(self, desk: Desk) -> None:
        commands = [desk.command(1) for _ in range(desk.erp.capabilities.concurrency)]
        answers = await asyncio.gather(*(desk.erp.commit_orders([command]) for command in commands))
        committed = [only(answer) for answer in answers]
        assert [each.reference for each in committed] == [each.reference for each in commands]
        assert len({each.erp_reference for each in committed}) == len(commands)

    async def test_an_empty_batch_has_no_answers(self, desk: Desk) -> None:
        assert list(await desk.erp.commit_orders([])) == []

    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_one_bad_order_never_harms_the_others(self, desk: Desk, place: int) -> None:
        commands = [desk.command(1), desk.command(2)]
        commands.insert(place, desk.command(1, product=UNKNOWN))
        answers = [
            each
            for at in range(0, 3, desk.erp.capabilities.batch_size)
            for each in await desk.erp.commit_orders(commands[at : at + desk.erp.capabilities.batch_size])
        ]
        assert [isinstance(each, Rejected) for each in answers] == [at == place for at in range(3)], answers
        for command, answer in zip(commands, answers, strict=True):
            booked = await desk.booked("order", command.reference)
            assert len(booked) == (1 if isinstance(answer, OrderCommitted) else 0)

    async def test_an_unknown_customer_is_rejected(self, desk: Desk) -> None:
        rejected(await desk.erp.commit_orders([desk.command(1, customer_id=UNKNOWN)]))

    async def test_a_blocked_customer_is_rejected(self, desk: Desk) -> None:
        if desk.scenario.blocked_customer_id is None:
            pytest.skip("the scenario has no blocked customer")
        rejected(await desk.erp.commit_orders([desk.command(1, customer_id=desk.scenario.blocked_customer_id)]))

    async def test_an_order_over_the_credit_limit_is_rejected_and_not_kept(self, desk: Desk) -> None:
        if desk.scenario.over_limit_customer_id is None:
            pytest.skip("the scenario has no customer with a small credit limit")
        command = desk.command(10, customer_id=desk.scenario.over_limit_customer_id)
        rejected(await desk.erp.commit_orders([command]))
        assert await desk.booked("order", command.reference) == []

    async def test_the_same_order_again_is_found_and_not_made_twice(self, desk: Desk) -> None:
        command = await desk.commit(4)
        again = only(await desk.erp.commit_orders([replace(command, erp_reference=None, verify=True)]))
        assert again.erp_reference == command.erp_reference
        assert again.already_there
        assert len(await desk.booked("order", command.reference)) == 1

    async def test_verifying_what_never_happened_does_it(self, desk: Desk) -> None:
        command = replace(desk.command(4), verify=True)
        committed = only(await desk.erp.commit_orders([command]))
        assert not committed.already_there
        assert len(await desk.booked("order", command.reference)) == 1

    async def test_identical_commands_at_once_make_one_order(self, desk: Desk) -> None:
        # A worker that lost its lease may still be at it while the next one verifies and repeats.
        command = desk.command(3)
        repeated = replace(command, verify=True)
        answers = await asyncio.gather(*(desk.erp.commit_orders([each]) for each in (command, repeated, repeated)))
        made = {each.erp_reference for each in settled(answers)}
        assert len(made) == 1, f"one order, one number: {made or answers}"
        assert len(await desk.booked("order", command.reference)) == 1
        again = only(await desk.erp.commit_orders([repeated]))
        assert {again.erp_reference} == made

    async def test_a_change_before_shipment_replaces_the_content(self, desk: Desk) -> None:
        needs(desk, Operation.CHANGE_ORDER)
        command = await desk.commit(5, 1)
        changed = replace(command, order=_with_content_of(desk, command.order.order_number, 2), revision=2)
        answer = only(await desk.erp.change_orders([changed]))
        assert answer.erp_reference == command.erp_reference
        booked = await desk.booked("order", command.reference)
        assert [each.net_amount for each in booked] == [changed.order.net_amount]
        only(await desk.erp.change_orders([replace(changed, verify=True)]))
        shipment = await desk.ship(changed, {1: 2})
        assert (await desk.invoice(shipment)).net_amount == changed.order.net_amount

    async def test_a_change_replaces_charges_and_tax(self, desk: Desk) -> None:
        needs(desk, Operation.CHANGE_ORDER)
        if not (desk.scenario.takes_tax_amount and desk.scenario.takes_charges):
            pytest.skip("the scenario's system computes tax or charges itself")
        command = await desk.commit(3, tax_amount=211, charges=(Charge(code="FREIGHT", amount=799),))
        order = desk.order(2, charges=(Charge(code="FREIGHT", amount=500),))
        order = order.model_copy(update={"order_number": command.order.order_number})
        changed = replace(command, order=order, tax_amount=142, revision=2)
        only(await desk.erp.change_orders([changed]))
        invoice = await desk.invoice(await desk.ship(changed, {1: 2}))
        assert (invoice.net_amount, invoice.tax_amount) == (order.net_amount, 142)

    async def test_a_change_after_shipment_is_rejected(self, desk: Desk) -> None:
        needs(desk, Operation.CHANGE_ORDER)
        command = await desk.commit(5)
        await desk.ship(command, {1: 1})
        changed = replace(command, order=_with_content_of(desk, command.order.order_number, 9), revision=2)
        rejected(await desk.erp.change_orders([changed]))

    async def test_a_cancelled_order_stays_cancelled_and_ships_nothing(self, desk: Desk) -> None:
        command = await desk.commit(5)
        only(await desk.erp.cancel_orders([command]))
        only(await desk.erp.cancel_orders([replace(command, verify=True)]))
        rejected(await desk.erp.record_shipments([desk.shipment(command, {1: 5})]))

    async def test_an_order_of_which_goods_left_cannot_be_cancelled(self, desk: Desk) -> None:
        command = await desk.commit(5)
        await desk.ship(command, {1: 2})
        rejected(await desk.erp.cancel_orders([command]))

    async def test_a_cancelled_order_gives_its_credit_back(self, desk: Desk) -> None:
        needs(desk, Operation.READ_CREDIT)
        customer = desk.scenario.customer_id
        charges = (Charge(code="FREIGHT", amount=799),) if desk.scenario.takes_charges else ()
        before = (await desk.erp.read_credit([customer]))[customer]
        only(await desk.erp.cancel_orders([await desk.commit(6, charges=charges)]))
        assert (await desk.erp.read_credit([customer]))[customer] == before

    async def test_a_cancelled_order_gives_its_stock_back(self, desk: Desk) -> None:
        needs(desk, Operation.READ_STOCK)
        product = desk.scenario.product_ids[1]
        before = sum(level.available for level in await desk.erp.read_stock([product]))
        command = await desk.commit(6, product=product)
        only(await desk.erp.cancel_orders([command]))
        assert sum(level.available for level in await desk.erp.read_stock([product])) == before


def _with_content_of(desk: Desk, order_number: str, quantity: int) -> Order:
    return desk.order(quantity).model_copy(update={"order_number": order_number})
