"""Credit holds: placed and released in the ERP, told to every channel with an open order, and held orders go on by themselves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.integration.stages.company import Company, add_customer, event, order, until


async def hold(company: Company, customer: str, on_hold: bool) -> None:
    """Finance places or releases a credit hold in the ERP, and our replica knows."""
    await company.sandbox.call("erp", "POST", "/v1/credit", {"customer_id": customer, "on_hold": on_hold})
    query = """
        select c.on_hold, r.body -> 'credit_hold' from replica_credit c
        join replica_customers r on r.system = c.system and r.id = c.customer_id where c.customer_id = $1
    """
    wanted = (on_hold, on_hold)
    await until(lambda: company.pool.fetchrow(query, customer), lambda row: row is not None and tuple(row) == wanted)


async def hears(company: Company, transaction_id: UUID, last: str) -> list[str]:
    """What the CRM was told, once the last of it is this."""
    return await until(lambda: company.told(transaction_id), lambda told: told[-1:] == [last])


async def test_holds_are_told_to_open_orders_once_whether_by_feed_or_by_event(company: Company) -> None:
    customer = await add_customer(company, "C-HOLD")
    transaction_id = await company.submit_planned(order("1", customer_id=customer))
    await company.reach(transaction_id, commitment="committed")
    await hold(company, customer, True)
    told = await hears(company, transaction_id, "credit.hold_placed")
    await hold(company, customer, False)
    await hears(company, transaction_id, "credit.hold_released")
    await company.at_rest(transaction_id)
    assert told.count("credit.hold_placed") == 1
    shown = await company.sandbox.call("crm", "GET", f"/v1/customers/{customer}")
    assert shown["credit_hold"] is False
    facts = [
        (each["fact"], each["system"]) for each in await company.facts(transaction_id) if each["stage"] == "credit"
    ]
    assert facts == [("hold_placed", "erp"), ("hold_released", "erp")]


async def test_an_order_held_only_for_credit_goes_on_when_the_hold_is_released(company: Company) -> None:
    customer = await add_customer(company, "C-RELEASE")
    await hold(company, customer, True)
    body = order("1", customer_id=customer)
    mixed = order("1", customer_id=customer)
    mixed["lines"][0]["unit_price"] = "9.00"
    held, stays = await company.submit_planned(body), await company.submit_planned(mixed)
    exception = await company.exception(held, "order.held")
    assert [each["code"] for each in exception["reasons"]] == ["credit.on_hold"]
    await hold(company, customer, False)
    await company.reach(held, intake="accepted", commitment="committed")
    unchanged = await company.exception(stays, "order.held")
    assert {each["code"] for each in unchanged["reasons"]} == {"price.below_list", "credit.on_hold"}
    closed = await company.call("GET", f"/exceptions/{exception['id']}")
    assert (closed["state"], closed["resolved_by"], closed["resolution"]) == ("resolved", "tallystick", "checked_again")
    audit = (await company.call("GET", f"/audit?transaction_id={held}"))["items"]
    assert [(each["principal"], each["action"]) for each in audit] == [
        ("tallystick", "order.check_again"),
        ("sales", "order.submit"),
    ]
    told = await company.told(held)
    assert told.index("order.held") < told.index("order.released") < told.index("order.committed")


async def test_what_a_person_overrode_stays_so_when_the_release_has_the_order_checked_again(company: Company) -> None:
    customer = await add_customer(company, "C-AGREED")
    await hold(company, customer, True)
    body = order("1", customer_id=customer)
    body["lines"][0]["unit_price"] = "9.00"
    held = await company.submit_planned(body)
    exception = await company.exception(held, "order.held")
    await company.work(exception, "override", {"reason": "price agreed", "codes": ["price.below_list"]})
    await hold(company, customer, False)
    await company.reach(held, intake="accepted", commitment="committed")


async def test_a_release_that_leaves_the_customer_over_its_limit_leaves_the_order_held(company: Company) -> None:
    customer = await add_customer(company, "C-OVER", credit_limit=1_000)
    await hold(company, customer, True)
    held = await company.submit(order("10", customer_id=customer))
    before = await company.exception(held, "order.held")
    await hold(company, customer, False)
    reasons = await until(lambda: codes_that_hold(company, held), lambda codes: codes != ["credit.on_hold"])
    assert reasons == ["credit.over_limit"]
    assert (await company.exception(held, "order.held"))["id"] == before["id"]


async def codes_that_hold(company: Company, transaction_id: UUID) -> list[str]:
    """The codes of the open exception's reasons."""
    return [each["code"] for each in (await company.exception(transaction_id, "order.held"))["reasons"]]


def held_event(customer: str, on_hold: bool, **changes: Any) -> dict[str, Any]:
    """The ERP's word on a customer's hold."""
    kind = "credit.hold_placed" if on_hold else "credit.hold_released"
    return event("erp", kind, customer, {"customer_id": customer, "on_hold": on_hold}) | changes


async def test_an_event_tells_of_a_hold_before_the_feed_does(company: Company) -> None:
    customer = await add_customer(company, "C-EVENT")
    transaction_id = await company.submit_planned(order("1", customer_id=customer))
    await company.reach(transaction_id, commitment="committed")
    await company.faults("erp", errors={"every": 1, "path_prefix": "/v1/changes"})
    placed = held_event(customer, True)
    assert await company.send_all("erp", [placed, placed]) == ["event.taken", "event.repeated"]
    await hears(company, transaction_id, "credit.hold_placed")
    refused = await company.submit(order("1", customer_id=customer))
    assert (await company.exception(refused, "order.held"))["reasons"][0]["code"] == "credit.on_hold"
    assert await company.send_all("erp", [held_event(customer, True)]) == ["event.taken"]
    assert await company.send_all("erp", [held_event(customer, False)]) == ["event.taken"]
    told = await hears(company, transaction_id, "credit.hold_released")
    assert told.count("credit.hold_placed") == 1


async def test_only_the_erp_places_holds_and_says_what_it_means(company: Company) -> None:
    forged = held_event("C-1", True) | {"source": "/systems/wms"}
    assert await company.send_all("wms", [forged]) == ["event.wrong_sender"]
    contradiction = held_event("C-1", True) | {"data": {"customer_id": "C-1", "on_hold": False}}
    assert await company.send_all("erp", [contradiction]) == ["event.invalid_data"]


async def test_the_sandboxs_own_events_of_holds_are_taken(company: Company) -> None:
    customer = await add_customer(company, "C-OWN")
    await hold(company, customer, True)

    async def waiting() -> int:
        pending: int = (await company.sandbox.call("erp", "GET", "/events"))["pending"]
        return pending

    assert await until(waiting, lambda pending: pending == 0) == 0
