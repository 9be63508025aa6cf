"""An order on its whole way: checked, committed, shipped, invoiced, paid, and every step back with the sales side in order."""

from __future__ import annotations

import asyncio

from tests.integration.stages.company import Company, order

WHOLE_STORY = ["order.accepted", "order.committed", "order.shipped", "order.invoiced", "order.paid"]


async def test_an_order_goes_from_intake_to_cash_with_every_step_told_in_order(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10", "4"), "complete", "full")
    done = await company.reach(transaction_id, settlement="paid")
    await company.at_rest(transaction_id)
    assert (done.intake, done.commitment, done.fulfilment, done.invoicing) == (
        "accepted",
        "committed",
        "complete",
        "complete",
    )
    assert (done.ordered_amount, done.shipped_amount) == (14_000, 14_000)
    assert done.invoiced_amount == done.paid_amount == 14_000 + done.tax_amount
    assert done.tax_amount > 0
    assert await company.told(transaction_id) == WHOLE_STORY
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_lineage_holds_every_fact_in_order_with_system_message_and_duration(company: Company) -> None:
    transaction_id = await company.submit_planned(order(), "complete", "full")
    await company.reach(transaction_id, settlement="paid")
    await company.at_rest(transaction_id)
    facts = await company.facts(transaction_id)
    own_way = [(each["stage"], each["fact"], each["system"]) for each in facts if each["stage"] != "publication"]
    assert own_way == [
        ("intake", "received", "crm"),
        ("intake", "accepted", None),
        ("commitment", "committed", "erp"),
        ("fulfilment", "requested", "wms"),
        ("fulfilment", "event_received", "wms"),
        ("fulfilment", "shipped", "erp"),
        ("invoicing", "invoiced", "erp"),
        ("settlement", "payment_requested", "payments"),
        ("settlement", "event_received", "payments"),
        ("settlement", "paid", "erp"),
    ]
    outside = [
        each for each in facts if each["fact"] in ("committed", "requested", "shipped", "invoiced", "paid", "published")
    ]
    assert len(outside) == 5 + 5
    assert all(each["duration_ms"] > 0 and each["message_id"] for each in outside)
    assert all(each["seconds_since_previous"] >= 0 for each in facts[1:])


async def test_two_parcels_and_two_partial_shipments_each_get_their_invoice(company: Company) -> None:
    parcels = await company.submit_planned(order("10", "4"), "two_parcels", "full")
    parts = await company.submit_planned(order("9", "5"), "partial_then_rest", "full", rest_delay_seconds=0.2)
    await asyncio.gather(company.reach(parcels, settlement="paid"), company.reach(parts, invoicing="complete"))
    whole = await company.reach(parts, settlement="paid")
    assert (len(await company.books(parcels, "invoice")), len(await company.books(parts, "invoice"))) == (1, 2)
    assert whole.shipped_amount == whole.ordered_amount == 14_000
    assert whole.invoiced_amount == 14_000 + whole.tax_amount
    told = await company.told(parts)
    assert told.count("order.shipped") == told.count("order.invoiced") == 2
    assert told.index("order.shipped") < told.index("order.invoiced")
    assert (await company.call("GET", f"/exceptions?transaction_id={parts}"))["items"] == []


async def test_a_last_shipment_that_leaves_something_open_closes_the_order(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10"), "partial_final", "full")
    done = await company.reach(transaction_id, invoicing="complete")
    assert (done.fulfilment, done.shipped_amount, done.ordered_amount) == ("complete", 5_000, 10_000)
    assert (await company.erp_order(transaction_id))["short_closed"] is True


async def test_a_short_payment_leaves_the_rest_open_until_it_comes(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10"), "complete", "short", difference=500)
    partly = await company.reach(transaction_id, settlement="partial")
    assert partly.invoiced_amount - partly.paid_amount == 500
    [invoice] = await company.books(transaction_id, "invoice")
    await company.pay(transaction_id, 500, invoice["number"])
    paid = await company.reach(transaction_id, settlement="paid")
    assert paid.paid_amount == paid.invoiced_amount


async def test_money_beyond_the_invoice_stays_on_account_and_a_person_is_asked(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10"), "complete", "over", difference=700)
    paid = await company.reach(transaction_id, settlement="overpaid")
    assert paid.paid_amount - paid.invoiced_amount == 700
    exception = await company.exception(transaction_id, "payment.on_account")
    assert (exception["money_at_risk"], exception["currency"]) == (700, "USD")
    assert [each["code"] for each in exception["reasons"]] == ["payment.overpaid"]
    assert "refund" in exception["summary"]


async def test_a_payment_without_an_invoice_number_stays_on_account(company: Company) -> None:
    transaction_id = await company.submit_planned(order("1"), "complete")
    await company.reach(transaction_id, invoicing="complete")
    await company.pay(transaction_id, 300, None)
    exception = await company.exception(transaction_id, "payment.on_account")
    assert [each["code"] for each in exception["reasons"]] == ["payment.without_invoice"]


async def test_goods_that_come_back_are_credited_once(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10"), "complete", "full")
    await company.reach(transaction_id, settlement="paid")
    body = {
        "order_reference": f"TS-{transaction_id.hex}",
        "lines": [{"line_number": 1, "product_id": "ANVIL", "quantity": "4"}],
    }
    returned = await company.sandbox.call("wms", "POST", "/returns", body)
    done = await company.reach(transaction_id, returns="credited")
    await company.send("wms", "return.received", transaction_id, returned)
    await company.at_rest(transaction_id)
    assert done.credited_amount > 4_000
    assert (await company.transaction(transaction_id)).credited_amount == done.credited_amount
    assert len(await company.books(transaction_id, "credit_memo")) == 1
    assert (await company.told(transaction_id))[-1] == "order.credited"


async def test_an_erp_that_is_away_only_delays(company: Company) -> None:
    await company.faults("erp", outages=[{"for_seconds": 2.0, "mode": "refused"}])
    waiting = [await company.submit_planned(order("2"), "complete", "full") for _ in range(3)]
    assert {(await company.transaction(each)).commitment.value for each in waiting} == {"pending"}
    for each in waiting:
        await company.reach(each, settlement="paid")
        await company.at_rest(each)
    attempts = await company.pool.fetchval(
        "select max(attempts) from message_log where transaction_id = any($1::uuid[])", waiting
    )
    assert attempts <= 1  # a call that was cut as it went away counts, none while it is away
    assert [len(await company.books(each, "order")) for each in waiting] == [1, 1, 1]


async def test_a_crm_that_is_away_only_delays_its_news(company: Company) -> None:
    await company.faults("crm", outages=[{"for_seconds": 1.5}])
    transaction_id = await company.submit_planned(order("2"), "complete", "full")
    await company.reach(transaction_id, settlement="paid")
    await company.at_rest(transaction_id)
    assert await company.told(transaction_id) == WHOLE_STORY


async def test_answers_that_are_lost_after_the_work_are_looked_up_and_nothing_is_done_twice(company: Company) -> None:
    for system in ("erp", "wms", "payments", "crm"):
        await company.faults(system, drops={"every": 2, "limit": 12})
    orders = [await company.submit_planned(order("3"), "complete", "full") for _ in range(4)]
    for each in orders:
        await company.reach(each, settlement="paid")
        await company.at_rest(each)
    for system in ("erp", "crm"):
        await company.faults(system)
    for each in orders:
        assert [len(await company.books(each, kind)) for kind in ("order", "invoice", "payment")] == [1, 1, 1]
        told = await company.told(each)
        assert told == WHOLE_STORY
