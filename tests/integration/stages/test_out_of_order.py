"""Events that come twice, too early, in the wrong order or against what is known: order returns by itself, or by a person."""

from __future__ import annotations

import asyncio
from uuid import UUID

from tests.integration.stages.company import Company, event, order, payment, shipment, until

NO_COMMITS = {"errors": {"every": 1, "path_prefix": "/v1/orders"}}
# The ERP posts invoices, but its answers are lost, and it can't be asked for them either until it is healed.
LOST_INVOICES = {
    "drops": {"every": 1, "path_prefix": "/v1/invoices"},
    "errors": {"every": 1, "path_prefix": "/v1/references"},
}


async def committed(company: Company, *quantities: str) -> UUID:
    """A committed order of which warehouse and payer do nothing by themselves."""
    transaction_id = await company.submit_planned(order(*quantities))
    await company.reach(transaction_id, commitment="committed", fulfilment="requested")
    return transaction_id


async def shipped_with_lost_invoice(company: Company) -> tuple[UUID, str]:
    """An order that the ERP has invoiced without our knowing, and the invoice's number."""
    transaction_id = await committed(company, "10")
    await company.faults("erp", **LOST_INVOICES)
    await company.ship(transaction_id, (1, "10"))
    posted = await until(lambda: company.books(transaction_id, "invoice"), bool)
    assert (await company.transaction(transaction_id)).invoicing == "none"
    return transaction_id, posted[0]["number"]


async def test_a_shipment_before_the_commitment_waits_and_goes_on_by_itself(company: Company) -> None:
    await company.faults("erp", **NO_COMMITS)
    transaction_id = await company.submit_planned(order("10"))
    await company.ship(transaction_id, (1, "4"))
    await company.ship(transaction_id, (1, "6"))
    waiting = await company.exception(transaction_id, "fulfilment.early")
    assert [each["code"] for each in waiting["reasons"]] == ["shipment.before_commitment"]
    assert waiting["money_at_risk"] == 4_000
    await company.faults("erp")
    done = await company.reach(transaction_id, fulfilment="complete", invoicing="complete")
    await company.at_rest(transaction_id)
    assert done.shipped_amount == 10_000
    resolved = await company.call("GET", f"/exceptions/{waiting['id']}")
    assert (resolved["state"], resolved["resolution"], resolved["resolved_by"]) == (
        "resolved",
        "went_through",
        "tallystick",
    )
    assert (await company.call("GET", f"/messages?transaction_id={transaction_id}&state=dead"))["items"] == []


async def test_a_payment_before_its_invoice_waits_and_goes_on_by_itself(company: Company) -> None:
    transaction_id, number = await shipped_with_lost_invoice(company)
    await company.pay(transaction_id, 10_000, number)
    waiting = await company.exception(transaction_id, "settlement.early")
    assert (waiting["money_at_risk"], waiting["reasons"][0]["code"]) == (10_000, "payment.before_invoice")
    await company.faults("erp")
    done = await company.reach(transaction_id, settlement="partial", invoicing="complete")
    assert done.paid_amount == 10_000
    assert len(await company.books(transaction_id, "payment")) == 1


async def test_payments_that_wait_for_each_others_invoices_both_get_through(company: Company) -> None:
    transaction_id = await committed(company, "10")
    await company.ship(transaction_id, (1, "4"))
    first = (await until(lambda: company.books(transaction_id, "invoice"), bool))[0]["number"]
    await company.reach(transaction_id, invoicing="partial")
    await company.faults("erp", **LOST_INVOICES)
    await company.ship(transaction_id, (1, "6"))
    posted = await until(lambda: company.books(transaction_id, "invoice"), lambda found: len(found) == 2)
    second = next(each["number"] for each in posted if each["number"] != first)
    await company.pay(transaction_id, 6_000, second)
    await company.exception(transaction_id, "settlement.early")
    await company.pay(transaction_id, 4_000, first)
    await company.faults("erp")
    done = await until(lambda: company.transaction(transaction_id), lambda found: found.paid_amount == 10_000)
    assert done.invoicing == "complete"


async def test_a_payment_for_an_invoice_that_never_was_is_a_persons_and_can_be_corrected(company: Company) -> None:
    transaction_id = await committed(company, "10")
    await company.ship(transaction_id, (1, "10"))
    await company.reach(transaction_id, invoicing="complete")
    [invoice] = await company.books(transaction_id, "invoice")
    sent = await company.pay(transaction_id, 10_000, "INV-TYPO")
    exception = await company.exception(transaction_id, "settlement.early")
    corrected = {"payment": sent | {"invoice_number": invoice["number"]}, "sender": "payments"}
    await company.work(exception, "amend", {"payload": corrected, "reason": "the payer mistyped it"})
    done = await until(lambda: company.transaction(transaction_id), lambda found: found.paid_amount == 10_000)
    assert done.settlement == "partial"
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_the_last_shipment_may_overtake_the_one_before(company: Company) -> None:
    transaction_id = await committed(company, "10")
    await company.ship(transaction_id, (1, "6"), final=True)
    await until(
        lambda: company.facts(transaction_id),
        lambda facts: "last_shipment_waits" in [each["fact"] for each in facts],
    )
    await company.ship(transaction_id, (1, "4"))
    done = await company.reach(transaction_id, fulfilment="complete", invoicing="complete")
    await company.at_rest(transaction_id)
    assert done.shipped_amount == done.ordered_amount
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_a_return_before_its_shipment_waits_and_goes_on_by_itself(company: Company) -> None:
    transaction_id = await committed(company, "10")
    line = {"line_number": 1, "product_id": "ANVIL", "quantity": "3"}
    returned = {"number": "RMA-EARLY", "received_at": "2026-11-24T12:00:00Z", "lines": [line]}
    await company.send("wms", "return.received", transaction_id, returned)
    await company.exception(transaction_id, "returns.early")
    await company.ship(transaction_id, (1, "10"))
    done = await company.reach(transaction_id, returns="credited")
    await company.at_rest(transaction_id)
    assert done.credited_amount >= 3_000
    again = returned | {"number": "RMA-TOO-MUCH", "lines": [line | {"quantity": "8"}]}
    await company.send("wms", "return.received", transaction_id, again)
    exception = await company.exception(transaction_id, "returns.early")
    assert (exception["reasons"][0]["code"], exception["money_at_risk"]) == ("return.more_than_shipped", 8_000)
    assert "line 1, 11 in all against 10" in exception["summary"]


async def test_a_return_before_its_invoice_waits_and_goes_on_by_itself(company: Company) -> None:
    transaction_id, _ = await shipped_with_lost_invoice(company)
    line = {"line_number": 1, "product_id": "ANVIL", "quantity": "3"}
    returned = {"number": "RMA-FAST", "received_at": "2026-11-24T12:00:00Z", "lines": [line]}
    await company.send("wms", "return.received", transaction_id, returned)
    waiting = await company.exception(transaction_id, "returns.early")
    assert waiting["reasons"][0]["code"] == "return.before_invoice"
    await company.faults("erp")
    await company.reach(transaction_id, returns="credited")


async def test_every_event_twice_and_all_in_reverse_changes_nothing(company: Company) -> None:
    transaction_id = await committed(company, "10")
    parts = [shipment((1, quantity)) for quantity in ("2", "3", "5")]
    events = [event("wms", "shipment.dispatched", transaction_id, each) for each in reversed(parts)]
    twice = [each for each in events for _ in range(2)]
    assert await company.send_all("wms", twice) == ["event.taken", "event.repeated"] * 3
    assert await company.send_all("wms", events) == ["event.repeated"] * 3
    anew = [event("wms", "shipment.dispatched", transaction_id, each) for each in parts]
    assert await company.send_all("wms", anew) == ["event.taken"] * 3
    done = await company.reach(transaction_id, fulfilment="complete", invoicing="complete")
    await company.at_rest(transaction_id)
    assert done.shipped_amount == 10_000
    assert len(await company.books(transaction_id, "invoice")) == 3
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_a_number_that_comes_with_other_content_goes_to_a_person(company: Company) -> None:
    transaction_id = await committed(company, "10")
    number = await company.ship(transaction_id, (1, "4"))
    await company.reach(transaction_id, fulfilment="partial")
    await company.ship(transaction_id, (1, "5"), number=number)
    exception = await company.exception(transaction_id, "fulfilment.rejected")
    assert exception["reasons"][0]["code"] == "shipment.number_reused"
    assert (await company.transaction(transaction_id)).shipped_amount == 4_000


async def test_more_than_ordered_is_not_recorded_and_holds_up_no_other_order(company: Company) -> None:
    much, other = await asyncio.gather(committed(company, "10"), committed(company, "10"))
    await company.ship(much, (1, "11"))
    await company.ship(other, (1, "10"))
    exception = await company.exception(much, "fulfilment.rejected")
    assert exception["reasons"][0]["code"] == "shipment.does_not_fit"
    assert "11 shipped, only 10 open" in exception["summary"]
    await company.reach(other, invoicing="complete")
    assert await company.books(much, "invoice") == []


async def test_two_shipments_of_one_call_are_recorded_one_after_the_other(company: Company) -> None:
    transaction_id = await committed(company, "10")
    events = [event("wms", "shipment.dispatched", transaction_id, shipment((1, "6"))) for _ in range(2)]
    await company.send_all("wms", events)
    exception = await company.exception(transaction_id, "fulfilment.rejected")
    assert "6 shipped, only 4 open" in exception["summary"]
    assert (await company.transaction(transaction_id)).shipped_amount == 6_000


async def test_a_payment_in_another_currency_is_a_persons(company: Company) -> None:
    transaction_id = await committed(company, "10")
    await company.pay(transaction_id, 10_000, None, currency="EUR")
    exception = await company.exception(transaction_id, "settlement.rejected")
    assert (exception["reasons"][0]["code"], exception["money_at_risk"]) == ("payment.currency_differs", 10_000)


async def test_what_the_erp_reports_is_noted_and_never_written_back(company: Company) -> None:
    transaction_id = await committed(company, "10")
    await company.ship(transaction_id, (1, "10"))
    await company.reach(transaction_id, invoicing="complete")
    [invoice] = await company.books(transaction_id, "invoice")
    reported = payment(10_000, invoice["number"])
    assert await company.send("erp", "payment.received", transaction_id, reported) == "event.taken"
    done = await company.reach(transaction_id, settlement="partial")
    assert done.paid_amount == 10_000
    assert await company.books(transaction_id, "payment") == []


async def test_an_invoice_that_the_erp_posts_on_its_own_is_taken_and_compared(company: Company) -> None:
    transaction_id = await committed(company, "10")
    found = await company.transaction(transaction_id)
    line = {"line_number": 1, "product_id": "ANVIL", "quantity": "10", "unit_price": "11.00", "amount": 11_000}
    invoice = {
        "number": "OWN-1",
        "currency": "USD",
        "invoice_date": "2026-11-24",
        "lines": [line],
        "net_amount": 11_000,
        "tax_amount": found.tax_amount,
        "total_amount": 11_000 + found.tax_amount,
    }
    subject = found.erp_reference  # the ERP knows its own number, not ours
    assert await company.send("erp", "invoice.posted", subject, invoice) == "event.taken"
    exception = await company.exception(transaction_id, "invoice.differs")
    assert (exception["money_at_risk"], [each["code"] for each in exception["reasons"]]) == (
        1_000,
        ["invoice.line_differs"],
    )
    again = await company.send("erp", "invoice.posted", transaction_id, invoice)
    await company.at_rest(transaction_id)
    assert again == "event.taken"
    assert (await company.transaction(transaction_id)).invoiced_amount == 11_000 + found.tax_amount
    foreign = invoice | {"number": "OWN-2", "currency": "EUR"}
    await company.send("erp", "invoice.posted", transaction_id, foreign)
    assert (await company.exception(transaction_id, "invoicing.rejected"))["reasons"][0]["code"] == (
        "invoice.currency_differs"
    )
