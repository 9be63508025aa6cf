"""Orders over HTTP: what is accepted, held, rejected, repeated, changed and cancelled."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest
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
    assert shown.headers["cache-control"] == "no-store"


async def test_held_order_names_its_exception_and_the_two_values_that_differ(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        body = (await sales.post("/v1/orders", json=held_order())).json()
        exception = (await sales.get(f"/v1/exceptions/{body['exception_id']}")).json()
    assert body["decision"] == "hold"
    assert exception["reasons"][0]["order_value"].startswith("8")
    assert exception["reasons"][0]["system_value"].startswith("10")


async def test_rejected_order_is_a_problem_with_every_reason(served: Served) -> None:
    unknown = {"line_number": 1, "product_id": "P-404", "quantity": "1", "unit_price": "10"}
    other = {"line_number": 2, "product_id": "P-405", "quantity": "1", "unit_price": "10"}
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", json=order(lines=[unknown, other]))
    assert answer.status_code in (201, 422)
    reasons = answer.json()["reasons"]
    assert {each["path"] for each in reasons} >= {"lines[0].product_id", "lines[1].product_id"}


async def test_same_key_and_payload_get_the_same_answer(served: Served) -> None:
    mine = order()
    async with served.acting_as("east_sales", **{"Idempotency-Key": mine["order_number"]}) as sales:
        first = await sales.post("/v1/orders", json=mine)
        again = await sales.post("/v1/orders", json=dict(reversed(mine.items())))
        other = await sales.post("/v1/orders", json=mine | {"customer_po": "PO-2"})
    assert again.json() == first.json()
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.key_reused")


async def test_one_key_sent_many_times_at_once_makes_one_order(served: Served) -> None:
    mine = order()
    async with served.acting_as("east_sales", **{"Idempotency-Key": f"once {mine['order_number']}"}) as sales:
        answers = await asyncio.gather(*(sales.post("/v1/orders", json=mine) for _ in range(20)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["transaction_id"] for each in answers}) == 1


async def test_keys_of_different_principals_are_apart(served: Served) -> None:
    headers = {"Idempotency-Key": "shared key"}
    async with served.acting_as("east_sales", **headers) as one, served.acting_as("east_system", **headers) as two:
        first = await one.post("/v1/orders", json=order())
        second = await two.post("/v1/orders", json=order())
    assert first.status_code == second.status_code == 201


async def test_order_number_is_taken_once_without_a_key(served: Served) -> None:
    mine = order()
    async with served.acting_as("east_sales") as sales:
        answers = await asyncio.gather(*(sales.post("/v1/orders", json=mine) for _ in range(10)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 9
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"order.duplicate_number"}
    assert len({each.json()["transaction_id"] for each in answers}) == 1


async def test_validation_keeps_nothing(served: Served) -> None:
    mine = held_order()
    async with served.acting_as("auditor") as auditor:
        answer = await auditor.post("/v1/orders:validate", json=mine)
    assert answer.status_code == 200
    assert answer.json()["decision"] == "hold"
    assert not await served.pool.fetchval(
        "select count(*) from transactions where order_number = $1", mine["order_number"]
    )


LINE: dict[str, Any] = {"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "10.00"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"lines": []}, "/lines"),
        ({"lines": [LINE | {"quantity": "-3"}]}, "/lines/0/quantity"),
        ({"lines": [LINE | {"quantity": "0"}]}, "/lines/0/quantity"),
        ({"lines": [LINE | {"quantity": "1e30"}]}, "/lines/0/quantity"),
        ({"lines": [LINE | {"quantity": "NaN"}]}, "/lines/0/quantity"),
        ({"lines": [LINE | {"unit_price": "Infinity"}]}, "/lines/0/unit_price"),
        ({"lines": [LINE | {"quantity": {"value": 2}}]}, "/lines/0/quantity"),
        ({"lines": [LINE, LINE]}, "/lines/1/line_number"),
        ({"lines": [LINE | {"amount": 1999}]}, "/lines/0/amount"),
        ({"total_amount": 1}, "/total_amount"),
        ({"lines": [LINE | {"line_number": n} for n in range(1, 10_001)]}, "/lines"),
        ({"currency": "XXX"}, "/currency"),
        ({"currency": 7}, "/currency"),
        ({"ordered_at": "yesterday"}, "/ordered_at"),
        ({"ordered_at": "2026-11-24T09:30:00"}, "/ordered_at"),
        ({"customer_id": "C\x001"}, "/customer_id"),
        ({"customer_po": "a\x1b[31m"}, "/customer_po"),
        ({"notes": "bell \x07"}, "/notes"),
        ({"order_number": "x" * 65}, "/order_number"),
        ({"order_number": ""}, "/order_number"),
        ({"colour": "red"}, "/colour"),
        ({"ship_to": {"country": "usa"}}, "/ship_to/country"),
    ],
)
async def test_bad_order_is_refused_by_its_field_and_nothing_is_kept(
    served: Served, changes: dict[str, Any], pointer: str
) -> None:
    before = await served.pool.fetchval("select count(*) from transactions")
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", json=order() | changes)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "body.invalid")
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [each["pointer"] for each in problem["errors"]]
    assert len(answer.content) < 10_000
    assert "\x00" not in answer.text
    assert "\x1b" not in answer.text
    assert await served.pool.fetchval("select count(*) from transactions") == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000, b'{"entity": "\\ud800"}', b"nul", b'{"a": 1,}'],
)
async def test_malformed_json_is_said_to_be_so(served: Served, body: bytes) -> None:
    async with served.acting_as("east_sales") as sales:
        for path in ("/v1/orders", "/v1/orders:validate"):
            answer = await sales.post(path, content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (400, "body.malformed_json"), answer.text


async def test_body_beyond_the_bound_is_refused_before_it_is_read(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", content=b" " * 50_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large")


async def test_other_media_types_are_refused(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", content=b"<order/>", headers={"Content-Type": "application/xml"})
    assert answer.status_code == 415


@pytest.mark.parametrize("key", ["x" * 256, "tab\there", ""])
async def test_key_that_is_none_is_refused(served: Served, key: str) -> None:
    async with served.acting_as("east_sales", **{"Idempotency-Key": key}) as sales:
        answer = await sales.post("/v1/orders", json=order())
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency.invalid_key")


async def test_change_asks_for_the_version_that_was_seen(served: Served) -> None:
    mine = held_order()
    fixed = mine | {"lines": order()["lines"]}
    async with served.acting_as("east_sales") as sales:
        made = (await sales.post("/v1/orders", json=mine)).json()
        path = f"/v1/orders/{made['transaction_id']}"
        blind = await sales.put(path, json=fixed)
        nonsense = await sales.put(path, json=fixed, headers={"If-Match": "three"})
        stale = await sales.put(path, json=fixed, headers={"If-Match": '"7"'})
        done = await sales.put(path, json=fixed, headers={"If-Match": '"1"'})
        shown = await sales.get(f"/v1/transactions/{made['transaction_id']}")
    assert [each.status_code for each in (blind, nonsense, stale)] == [428, 400, 412]
    assert (done.status_code, done.json()["decision"]) == (200, "accept")
    assert shown.json()["intake"] == "accepted"
    assert shown.headers["etag"] != '"1"'


async def test_cancelled_order_frees_its_number(served: Served) -> None:
    mine = held_order()
    async with served.acting_as("east_sales") as sales:
        made = (await sales.post("/v1/orders", json=mine)).json()
        path = f"/v1/orders/{made['transaction_id']}:cancel"
        cancelled = await sales.post(path, json={"reason": "typed twice"}, headers={"If-Match": '"1"'})
        again = await sales.post("/v1/orders", json=mine)
        twice = await sales.post(path, json={}, headers={"If-Match": '"2"'})
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert again.status_code == 201
    assert (twice.status_code, twice.json()["code"]) == (409, "order.closed")


@pytest.mark.parametrize(
    "body",
    [
        b'{"charges":[' + b",".join([b"{}"] * 1_000_000) + b"]}",
        b"{" + b",".join(b'"a%d":1' % number for number in range(300_000)) + b"}",
        b'{"lines":[' + b",".join([b"1"] * 50_000) + b"]}",
    ],
)
async def test_body_full_of_mistakes_costs_little(served: Served, body: bytes) -> None:
    async with served.acting_as("east_operator") as operator, served.acting_as("east_sales") as sales:
        for client, path in (
            (sales, "/v1/orders"),
            (sales, "/v1/orders:validate"),
            (operator, f"/v1/exceptions/{uuid4()}:amend"),
        ):
            started = time.perf_counter()
            answer = await client.post(
                path, content=body, headers={"Content-Type": "application/json", "If-Match": '"1"'}
            )
            assert answer.status_code in (413, 422)
            assert time.perf_counter() - started < 1
            assert len(answer.content) < 10_000
