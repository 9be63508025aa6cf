"""Changes and cancellations: agreed with warehouse and ERP, refused with the order in force intact, never half done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.integration.stages.company import Company, add_customer, order, until


async def committed(company: Company, body: dict[str, Any]) -> UUID:
    """A committed order that the warehouse has and does not ship."""
    transaction_id = await company.submit_planned(body)
    await company.reach(transaction_id, commitment="committed", fulfilment="requested")
    await company.at_rest(transaction_id)
    return transaction_id


async def act(company: Company, method: str, path: str, transaction_id: UUID, body: Any, status: int) -> dict[str, Any]:
    """Do something with the order as it stands now; read again where it moved on between reading and acting."""
    while True:
        headers = {"if-match": f'"{(await company.transaction(transaction_id)).version}"'}
        answer = await company.clients["sales"].request(
            method, f"/v1/orders/{transaction_id}{path}", json=body, headers=headers
        )
        if answer.status_code != 412:
            assert answer.status_code == status, answer.text
            said: dict[str, Any] = answer.json()
            return said


async def change(company: Company, transaction_id: UUID, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """Change the order as it stands now."""
    return await act(company, "PUT", "", transaction_id, body, status)


async def cancel(company: Company, transaction_id: UUID, status: int = 202) -> dict[str, Any]:
    """Cancel the order as it stands now."""
    return await act(company, "POST", ":cancel", transaction_id, {"reason": "too dear"}, status)


def fewer(body: dict[str, Any], quantity: str = "6", **changes: Any) -> dict[str, Any]:
    """The same order with another quantity in its first line."""
    return body | {"lines": [body["lines"][0] | {"quantity": quantity}, *body["lines"][1:]]} | changes


async def test_a_change_reaches_warehouse_and_erp_and_ships_anew(company: Company) -> None:
    body = order("10")
    transaction_id = await committed(company, body)
    before = await company.transaction(transaction_id)
    assert (await change(company, transaction_id, fewer(body, customer_po="PO-77")))["revision"] == 2
    done = await company.reach(transaction_id, order_revision=2, fulfilment="requested")
    await company.at_rest(transaction_id)
    assert (done.ordered_amount, done.customer_po) == (6_000, "PO-77")
    assert done.tax_amount == before.tax_amount * 6 // 10
    assert (await company.erp_order(transaction_id))["net_amount"] == 6_000
    assert [each["state"] for each in await company.warehouse_orders(transaction_id)] == ["cancelled", "open"]
    assert (await company.told(transaction_id))[-1] == "order.changed"
    await company.ship(transaction_id, (1, "6"))
    assert (await company.reach(transaction_id, fulfilment="complete", invoicing="complete")).shipped_amount == 6_000
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_changes_that_follow_each_other_closely_leave_one_order_in_the_warehouse(company: Company) -> None:
    body = order("10")
    transaction_id = await committed(company, body)
    await company.faults("wms", latency={"fixed_ms": 150})  # each is asked for before the one before is through
    for quantity in ("6", "7", "8"):
        await change(company, transaction_id, fewer(body, quantity))
    done = await company.reach(transaction_id, order_revision=4, fulfilment="requested")
    await company.at_rest(transaction_id)
    assert (done.ordered_amount, (await company.erp_order(transaction_id))["net_amount"]) == (8_000, 8_000)
    live = [each for each in await company.warehouse_orders(transaction_id) if each["state"] == "open"]
    assert [each["lines"][0]["quantity"] for each in live] == ["8"]
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_tax_that_becomes_nothing_is_nothing_whatever_was_quoted(company: Company) -> None:
    body = order("10")
    transaction_id = await committed(company, body)
    within_tolerance = {"ship_to": {"country": "US", "region": "OR"}, "tax_amount": 1}
    await change(company, transaction_id, body | within_tolerance)
    assert (await company.reach(transaction_id, order_revision=2)).tax_amount == 0
    assert (await company.erp_order(transaction_id))["tax_amount"] == 0


async def test_a_change_while_the_erp_is_away_is_done_when_it_is_back(company: Company) -> None:
    await company.faults("erp", outages=[{"for_seconds": 1.0, "mode": "refused"}])
    body = order("10")
    transaction_id = await company.submit_planned(body)
    await change(company, transaction_id, fewer(body))
    done = await company.reach(transaction_id, order_revision=2, commitment="committed", fulfilment="requested")
    assert done.ordered_amount == 6_000
    assert len(await company.books(transaction_id, "order")) == 1


async def test_a_change_that_the_checks_hold_leaves_the_order_as_it_is(company: Company) -> None:
    body = order("10")
    transaction_id = await committed(company, body)
    dear = body | {"lines": [body["lines"][0] | {"unit_price": "9.00"}]}
    answer = await change(company, transaction_id, dear, status=422)
    assert answer["code"] == "order.change_held"
    assert (await company.transaction(transaction_id)).order_revision == 1


async def test_a_change_promises_what_it_takes_more_until_the_erp_has_it(company: Company) -> None:
    customer = await add_customer(company, "C-MORE", credit_limit=30_000)
    body = order("10", customer_id=customer, ship_to={"country": "US", "region": "OR"})
    transaction_id = await committed(company, body)
    await company.faults("erp", errors={"every": 1, "path_prefix": "/v1/orders/change"})
    await change(company, transaction_id, fewer(body, "25"))
    promised = "select amount from promised_credit where customer_id = $1"
    assert await company.pool.fetchval(promised, customer) == 15_000
    held = await company.submit(order("6", customer_id=customer, ship_to={"country": "US", "region": "OR"}))
    assert (await company.exception(held, "order.held"))["reasons"][0]["code"] == "credit.over_limit"
    await company.faults("erp")
    await company.reach(transaction_id, order_revision=2, fulfilment="requested")
    assert await company.pool.fetchval(promised, customer) == 0
    assert await company.pool.fetchval("select count(*) from promises where customer_id = $1", customer) == 0


async def test_a_change_that_the_erp_refuses_puts_the_order_in_force_back_into_the_warehouse(company: Company) -> None:
    customer = await add_customer(company, "C-REFUSED", credit_limit=100_000)
    body = order("10", customer_id=customer)
    transaction_id = await committed(company, body)
    # Between our check and the ERP's own, finance lowers the limit: our replica can't know it yet.
    await company.sandbox.call("wms", "PUT", "/faults", {"latency": {"fixed_ms": 600}})
    await change(company, transaction_id, fewer(body, "50"))
    await company.sandbox.call("erp", "POST", "/v1/credit", {"customer_id": customer, "credit_limit": 20_000})
    exception = await company.exception(transaction_id, "commitment.rejected")
    await company.faults("wms")
    assert exception["reasons"][0]["code"] == "credit.over_limit"
    back = await company.reach(transaction_id, fulfilment="requested", order_revision=3)
    await company.at_rest(transaction_id)
    assert back.ordered_amount == 10_000
    assert (await company.erp_order(transaction_id))["net_amount"] == 10_000
    assert (await company.told(transaction_id))[-1] == "order.change_refused"
    old, new = await company.warehouse_orders(transaction_id)
    assert (old["state"], new["state"], new["lines"][0]["quantity"]) == ("cancelled", "open", "10")
    assert await company.pool.fetchval("select count(*) from promises where customer_id = $1", customer) == 0
    # What lies dead in the lane is overtaken: the channel cancels, and the request that is live now is the one let go.
    await cancel(company, transaction_id)
    await company.reach(transaction_id, intake="cancelled", commitment="cancelled")
    assert [each["state"] for each in await company.warehouse_orders(transaction_id)] == ["cancelled", "cancelled"]
    assert (await company.erp_order(transaction_id))["state"] == "cancelled"
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_a_change_whose_message_is_given_up_is_as_good_as_refused(company: Company) -> None:
    customer = await add_customer(company, "C-GIVEN-UP", credit_limit=100_000)
    body = order("10", customer_id=customer)
    transaction_id = await committed(company, body)
    await company.faults("erp", errors={"every": 1, "path_prefix": "/v1/orders/change"})
    await change(company, transaction_id, fewer(body, "25"))
    query = "update messages set attempts = 29 where transaction_id = $1 and kind = 'change_order' and attempts > 0 returning 1"
    await until(lambda: company.pool.fetchval(query, transaction_id), bool)
    exception = await company.exception(transaction_id, "commitment.dead_letter")
    await company.call("POST", f"/messages/{exception['message_id']}:discard", {"reason": "ten will do"})
    await company.faults("erp")
    assert await company.pool.fetchval("select count(*) from promises where customer_id = $1", customer) == 0
    back = await company.reach(transaction_id, fulfilment="requested", order_revision=3)
    await company.at_rest(transaction_id)
    assert (back.ordered_amount, (await company.told(transaction_id))[-1]) == (10_000, "order.change_refused")
    live = [each for each in await company.warehouse_orders(transaction_id) if each["state"] == "open"]
    assert [each["lines"][0]["quantity"] for each in live] == ["10"]


async def test_a_cancellation_before_shipment_is_agreed_and_told(company: Company) -> None:
    transaction_id = await committed(company, order("10"))
    assert (await cancel(company, transaction_id))["state"] == "cancelling"
    await cancel(company, transaction_id)  # asked twice, cancelled once
    done = await company.reach(transaction_id, intake="cancelled", commitment="cancelled", fulfilment="cancelled")
    await company.at_rest(transaction_id)
    assert (await company.erp_order(transaction_id))["state"] == "cancelled"
    assert (await company.told(transaction_id)).count("order.cancelled") == 1
    assert done.invoiced_amount == 0
    late = await cancel(company, transaction_id, status=409)
    assert late["code"] == "order.closed"


async def test_a_held_order_is_cancelled_at_once(company: Company) -> None:
    body = order("10")
    body["lines"][0]["unit_price"] = "9.00"
    transaction_id = await company.submit(body)
    assert (await cancel(company, transaction_id))["state"] == "cancelled"
    assert (await company.transaction(transaction_id)).intake == "cancelled"
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []
    again = await company.submit(body)  # the number is free again
    assert again != transaction_id


async def test_a_cancellation_after_the_goods_left_is_refused_and_told(company: Company) -> None:
    await company.faults("erp", errors={"every": 1, "path_prefix": "/v1/shipments"})
    transaction_id = await company.submit_planned(order("10"), "complete")
    await until(
        lambda: company.warehouse_orders(transaction_id), lambda found: bool(found) and found[0]["state"] == "done"
    )
    await cancel(company, transaction_id)
    exception = await company.exception(transaction_id, "fulfilment.rejected")
    assert exception["reasons"][0]["code"] == "wms.goods_left"
    await company.faults("erp")
    done = await company.reach(transaction_id, invoicing="complete")
    await company.at_rest(transaction_id)
    assert (done.intake, done.commitment, done.fulfilment) == ("accepted", "committed", "complete")
    assert "order.cancellation_refused" in await company.told(transaction_id)
    assert (await cancel(company, transaction_id, status=409))["code"] == "order.shipped"
    assert (await change(company, transaction_id, order("1"), status=409))["code"] == "order.shipped"


async def test_goods_of_a_cancelled_order_are_a_persons(company: Company) -> None:
    transaction_id = await committed(company, order("10"))
    await cancel(company, transaction_id)
    await company.reach(transaction_id, intake="cancelled")
    await company.ship(transaction_id, (1, "10"))
    exception = await company.exception(transaction_id, "fulfilment.rejected")
    assert (exception["reasons"][0]["code"], exception["money_at_risk"]) == ("shipment.order_not_committed", 10_000)


async def refused(company: Company, body: dict[str, Any]) -> UUID:
    """An order that the ERP refuses: finance blocks its customer between our check and the ERP's."""
    await company.faults("erp", latency={"fixed_ms": 300, "path_prefix": "/v1/orders"})
    customer = body["customer_id"]
    transaction_id = await company.submit_planned(body)
    block = {"id": customer, "name": customer, "status": "blocked"}
    await company.sandbox.call("erp", "POST", "/v1/customers", block)
    return transaction_id


async def unblock(company: Company, customer: str) -> None:
    """Finance lets the customer buy again, and our replica knows."""
    await company.faults("erp")
    await company.sandbox.call("erp", "POST", "/v1/customers", {"id": customer, "name": customer})
    query = "select body ->> 'status' from replica_customers where id = $1"
    await until(lambda: company.pool.fetchval(query, customer), lambda status: status == "active")


async def test_a_refused_order_can_be_changed_and_is_committed_anew(company: Company) -> None:
    body = order("10", customer_id=await add_customer(company, "C-AGAIN"))
    transaction_id = await refused(company, body)
    await company.reach(transaction_id, commitment="refused")
    await unblock(company, body["customer_id"])
    await change(company, transaction_id, fewer(body))
    done = await company.reach(transaction_id, commitment="committed")
    await company.at_rest(transaction_id)
    assert (done.ordered_amount, done.order_revision) == (6_000, 2)
    assert (await company.told(transaction_id))[:2] == ["order.accepted", "order.refused"]
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_a_refused_order_is_cancelled_at_once(company: Company) -> None:
    body = order("10", customer_id=await add_customer(company, "C-NOT-AGAIN"))
    transaction_id = await refused(company, body)
    await company.reach(transaction_id, commitment="refused")
    assert (await cancel(company, transaction_id))["state"] == "cancelled"
    await company.at_rest(transaction_id)
    assert (await company.call("GET", f"/messages?transaction_id={transaction_id}"))["items"] == []
    assert await company.pool.fetchval("select count(*) from promises where customer_id = 'C-NOT-AGAIN'") == 0


async def test_a_cancellation_behind_an_order_that_is_refused_has_its_way(company: Company) -> None:
    body = order("10", customer_id=await add_customer(company, "C-NEVER"))
    transaction_id = await refused(company, body)
    assert (await cancel(company, transaction_id))["state"] == "cancelling"
    await company.reach(transaction_id, intake="cancelled")
    await company.at_rest(transaction_id)
    assert await company.books(transaction_id, "order") == []
    assert (await company.told(transaction_id))[-1] == "order.cancelled"
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []
