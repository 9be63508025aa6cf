"""The ERP kit: payments in part and in excess, each booked once, and credit memos for goods that came back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tallystick.systems.conformance.erp_desk import ErpDesk, needs
from tallystick.systems.conformance.erp_goods import ties
from tallystick.systems.conformance.erp_scenario import UNKNOWN, Desk
from tallystick.systems.conformance.verdicts import only, rejected, settled
from tallystick.systems.failure import Rejected
from tallystick.systems.ports import Operation, PaymentRecorded, PaymentShare, Receivables


class ErpMoney(ErpDesk):
    """Record payments, credit returns."""

    async def test_a_payment_in_full_is_applied(self, desk: Desk) -> None:
        _, invoice = await desk.invoiced(3)
        paid = await desk.pay(invoice.total_amount, invoice)
        assert paid.system_reference
        assert (paid.applied_amount, paid.on_account_amount) == (invoice.total_amount, 0)

    async def test_part_payments_are_applied_until_the_invoice_is_paid(self, desk: Desk) -> None:
        _, invoice = await desk.invoiced(3)
        first = await desk.pay(invoice.total_amount - 700, invoice)
        assert (first.applied_amount, first.on_account_amount) == (invoice.total_amount - 700, 0)
        second = await desk.pay(1_000, invoice)
        assert (second.applied_amount, second.on_account_amount) == (700, 300)
        third = await desk.pay(50, invoice)
        assert (third.applied_amount, third.on_account_amount) == (0, 50)

    async def test_money_without_an_invoice_stays_on_account(self, desk: Desk) -> None:
        paid = await desk.pay(1_234, None)
        assert (paid.applied_amount, paid.on_account_amount) == (0, 1_234)

    async def test_a_payment_for_an_unknown_invoice_is_rejected(self, desk: Desk) -> None:
        payment = replace(desk.payment(100, None), invoice_number=UNKNOWN)
        rejected(await desk.erp.record_payments([payment]))
        assert await desk.booked("payment", payment.reference) == []

    async def test_one_bad_payment_never_harms_the_others(self, desk: Desk) -> None:
        commands = [desk.payment(amount, None) for amount in (100, 200, 300)]
        commands[1] = replace(commands[1], invoice_number=UNKNOWN)
        size = desk.erp.capabilities.batch_size
        answers = [
            each for at in range(0, 3, size) for each in await desk.erp.record_payments(commands[at : at + size])
        ]
        assert [type(each) for each in answers] == [PaymentRecorded, Rejected, PaymentRecorded], answers

    async def test_the_same_payment_again_is_found_and_not_booked_twice(self, desk: Desk) -> None:
        _, invoice = await desk.invoiced(3)
        payment = desk.payment(1_000, invoice)
        first = only(await desk.erp.record_payments([payment]))
        again = only(await desk.erp.record_payments([replace(payment, verify=True)]))
        assert (again.system_reference, again.already_there) == (first.system_reference, True)
        assert (again.applied_amount, again.on_account_amount) == (1_000, 0)
        assert len(await desk.booked("payment", payment.reference)) == 1

    async def test_identical_payments_at_once_are_booked_once(self, desk: Desk) -> None:
        _, invoice = await desk.invoiced(3)
        payment = desk.payment(1_000, invoice)
        repeated = replace(payment, verify=True)
        answers = await asyncio.gather(*(desk.erp.record_payments([each]) for each in (payment, repeated, repeated)))
        made = {each.system_reference for each in settled(answers)}
        assert len(made) == 1, f"one payment, one number: {made or answers}"
        assert len(await desk.booked("payment", payment.reference)) == 1

    async def test_a_payment_for_several_invoices_settles_each_by_its_share(self, desk: Desk) -> None:
        needs(desk, Operation.APPLY_CASH)
        _, one = await desk.invoiced(3)
        _, other = await desk.invoiced(2)
        shares = (PaymentShare(one.number, one.total_amount), PaymentShare(other.number, other.total_amount - 400))
        payment = desk.sharing(one.total_amount + other.total_amount - 400 + 70, *shares)
        first = only(await desk.erp.record_payments([payment]))
        assert (first.applied_amount, first.on_account_amount) == (payment.payment.amount - 70, 70)
        again = only(await desk.erp.record_payments([replace(payment, verify=True)]))
        assert (again.system_reference, again.already_there) == (first.system_reference, True)
        assert len(await desk.booked("payment", payment.reference)) == 1
        rest = desk.sharing(1_000, PaymentShare(other.number, 1_000))
        answered = only(await desk.erp.record_payments([rest]))
        assert (answered.applied_amount, answered.on_account_amount) == (400, 600)

    async def test_a_payment_with_a_share_for_an_unknown_invoice_books_nothing(self, desk: Desk) -> None:
        needs(desk, Operation.APPLY_CASH)
        _, invoice = await desk.invoiced(3)
        payment = desk.sharing(300, PaymentShare(invoice.number, 100), PaymentShare(UNKNOWN, 200))
        rejected(await desk.erp.record_payments([payment]))
        assert await desk.booked("payment", payment.reference) == []

    async def test_payments_in_one_call_that_share_an_invoice_pay_it_once(self, desk: Desk) -> None:
        needs(desk, Operation.APPLY_CASH)
        _, one = await desk.invoiced(3)
        _, other = await desk.invoiced(2)
        commands = [
            desk.sharing(
                one.total_amount + other.total_amount, *(PaymentShare(each.number, each.total_amount) for each in pair)
            )
            for pair in ((one, other), (other, one))
        ]
        answers = await desk.send_all(desk.erp.record_payments, commands)
        applied = [each.applied_amount for each in answers]
        assert applied == [one.total_amount + other.total_amount, 0], "the second finds nothing to pay"

    async def test_what_is_owed_is_what_was_invoiced_less_what_was_paid(self, desk: Desk) -> None:
        needs(desk, Operation.READ_OPEN_ITEMS)
        _, invoice = await desk.invoiced(3)
        _, settled = await desk.invoiced(1)
        await desk.pay(invoice.total_amount - 700, invoice)
        await desk.pay(settled.total_amount, settled)
        assert isinstance(desk.erp, Receivables), "it declares read_open_items and lacks the method"
        owed = {each.number: each for each in await desk.erp.read_open_items()}
        found = owed[invoice.number]
        assert (found.open_amount, found.currency) == (700, desk.scenario.currency)
        assert found.customer_id == desk.scenario.customer_id
        assert settled.number not in owed

    async def test_returned_goods_are_credited_at_the_invoiced_price(self, desk: Desk) -> None:
        needs(desk, Operation.CREDIT_RETURN)
        command, invoice = await desk.invoiced(4)
        returned = desk.goods_back(command, {1: 1})
        memo = only(await desk.erp.credit_returns([returned]))
        assert memo.return_number == returned.returned.number
        assert memo.net_amount * 4 == invoice.net_amount
        assert memo.total_amount > 0
        ties(memo)
        assert len(await desk.booked("credit_memo", returned.reference)) == 1

    async def test_returned_goods_may_be_sold_again(self, desk: Desk) -> None:
        needs(desk, Operation.CREDIT_RETURN, Operation.READ_STOCK)
        product = desk.scenario.product_ids[1]
        command, _ = await desk.invoiced(4, product=product)
        before = sum(level.available for level in await desk.erp.read_stock([product]))
        only(await desk.erp.credit_returns([desk.goods_back(command, {1: 3})]))
        assert sum(level.available for level in await desk.erp.read_stock([product])) == before + 3

    async def test_all_goods_returned_in_parts_credit_the_whole_invoice(self, desk: Desk) -> None:
        needs(desk, Operation.CREDIT_RETURN)
        ours = desk.scenario.takes_tax_amount
        command, invoice = await desk.invoiced(3, tax_amount=218 if ours else None)
        memos = [only(await desk.erp.credit_returns([desk.goods_back(command, {1: each})])) for each in (1, 2)]
        assert sum(memo.net_amount for memo in memos) == invoice.net_amount
        if ours:  # a system that computes the tax itself may round it on each document
            assert sum(memo.total_amount for memo in memos) == invoice.total_amount
        rejected(await desk.erp.credit_returns([desk.goods_back(command, {1: 1})]))

    async def test_more_than_was_shipped_cannot_come_back(self, desk: Desk) -> None:
        needs(desk, Operation.CREDIT_RETURN)
        command, _ = await desk.invoiced(2)
        rejected(await desk.erp.credit_returns([desk.goods_back(command, {1: 3})]))

    async def test_the_same_return_again_is_the_same_credit_memo(self, desk: Desk) -> None:
        needs(desk, Operation.CREDIT_RETURN)
        command, _ = await desk.invoiced(4)
        returned = desk.goods_back(command, {1: 2})
        memo = only(await desk.erp.credit_returns([returned]))
        again = only(await desk.erp.credit_returns([replace(returned, verify=True)]))
        assert again == memo
        assert len(await desk.booked("credit_memo", returned.reference)) == 1

    async def test_identical_returns_at_once_are_credited_once(self, desk: Desk) -> None:
        needs(desk, Operation.CREDIT_RETURN)
        command, _ = await desk.invoiced(4)
        returned = desk.goods_back(command, {1: 1})
        repeated = replace(returned, verify=True)
        answers = await asyncio.gather(*(desk.erp.credit_returns([each]) for each in (returned, repeated, repeated)))
        made = {each.number for each in settled(answers)}
        assert len(made) == 1, f"one return, one credit memo: {made or answers}"
        assert len(await desk.booked("credit_memo", returned.reference)) == 1
