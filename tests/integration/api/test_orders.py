"""Orders over HTTP: what is accepted, held, rejected, repeated, changed and cancelled."""

from __future__ import annotations

from tests.integration.api.installation import Served, held_order, order


async def test_accepted_order_is_answered_with_its_transaction_and_every_check(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", json=order())
        assert answer.status_code == 201, answer.text
        body = answer.json()
        shown = await sales.get(answer.headers["location"])
    assert body["decision"] == "accept"
    assert {each["check"] for each in body["checks"]} == {"customer", "price", "tax", "inventory", "credit"}
    assert body["commitment"] == "pending"
    assert shown.json()["id"] == body["transaction_id"]
    assert shown.headers["etag"] == '"1"'


async def test_held_order_names_its_exception_and_the_two_values_that_differ(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        body = (await sales.post("/v1/orders", json=held_order())).json()
        exception = (await sales.get(f"/v1/exceptions/{body['exception_id']}")).json()
    assert body["decision"] == "hold"
    assert exception["reasons"][0]["order_value"].startswith("8")
    assert exception["reasons"][0]["system_value"].startswith("10")
