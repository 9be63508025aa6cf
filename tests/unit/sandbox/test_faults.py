from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError

from tallystick.sandbox.body_limit import MAXIMUM_BODY_BYTES
from tallystick.sandbox.crm.app import create_app
from tallystick.sandbox.fault_middleware import ConnectionCutError
from tallystick.sandbox.faults import FaultPlan, Faults, OutageMode
from tallystick.sandbox.options import Options


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def struck(plan: dict[str, Any], paths: list[str]) -> list[bool]:
    faults = Faults(FaultPlan.model_validate(plan))
    return [faults.strikes("errors", faults.plan.errors, path) for path in paths]


def test_the_same_seed_strikes_the_same_requests_and_another_seed_others() -> None:
    runs = [struck({"seed": seed, "errors": {"rate": 0.3}}, ["/v1/x"] * 200) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 30 < sum(runs[0]) < 90


def test_switching_one_fault_on_does_not_change_whom_another_strikes() -> None:
    def errors(plan: dict[str, Any]) -> list[bool]:
        faults = Faults(FaultPlan.model_validate(plan))
        result = []
        for _ in range(100):
            faults.strikes("drops", faults.plan.drops, "/v1/x")
            result.append(faults.strikes("errors", faults.plan.errors, "/v1/x"))
        return result

    assert errors({"errors": {"rate": 0.3}}) == errors({"errors": {"rate": 0.3}, "drops": {"rate": 0.5}})


def test_every_nth_is_struck_at_most_so_often_as_the_limit_says() -> None:
    result = struck({"errors": {"every": 3, "limit": 2}}, ["/v1/x"] * 12)
    assert [index + 1 for index, each in enumerate(result) if each] == [3, 6]


def test_only_paths_under_the_prefix_are_struck_or_counted() -> None:
    plan = {"errors": {"every": 2, "path_prefix": "/v1/tax"}}
    assert struck(plan, ["/v1/tax", "/v1/other", "/health", "/v1/tax/5"]) == [False, False, False, True]


def test_outage_windows_open_and_close_by_the_clock() -> None:
    clock = Clock()
    windows = [{"after_seconds": 1, "for_seconds": 2}, {"after_seconds": 5, "for_seconds": 1, "mode": "refused"}]
    faults = Faults(FaultPlan.model_validate({"outages": windows}), clock)
    seen = []
    for now in (100.0, 101.0, 102.9, 103.0, 105.5, 106.0):
        clock.now = now
        seen.append(faults.outage())
    assert seen == [None, OutageMode.UNAVAILABLE, OutageMode.UNAVAILABLE, None, OutageMode.REFUSED, None]


def test_an_event_is_sent_once_unless_a_switch_doubles_or_holds_it() -> None:
    faults = Faults()
    assert faults.event_delays() == [0.0]
    faults.put(
        FaultPlan.model_validate(
            {"duplicates": {"every": 2, "gap_seconds": 0.5}, "reordering": {"every": 3, "hold_seconds": 2}}
        )
    )
    assert [faults.event_delays() for _ in range(6)] == [[0], [0, 0.5], [2], [0, 0.5], [0], [2, 2.5]]
    assert faults.report().injected == {"duplicates": 3, "reordering": 2}


@pytest.mark.parametrize(
    "plan",
    [
        {"errors": {"rate": 1.1}},
        {"latency": {"fixed_ms": 1e9}},
        {"outages": [{"for_seconds": 10_000}]},
        {"outages": [{"for_seconds": 1}] * 101},
        {"erors": {"rate": 1}},
        {"late_answers": {"seconds": -1}},
    ],
)
def test_what_is_out_of_bounds_or_misspelt_is_refused(plan: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FaultPlan.model_validate(plan)


@pytest.fixture
def app() -> FastAPI:
    return create_app(Options(name="crm", token=SecretStr("right")))


@pytest.fixture
def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://crm", headers={"authorization": "Bearer right"}
    )


async def test_every_call_but_health_wants_the_token(client: httpx.AsyncClient) -> None:
    for headers in ({"authorization": "Bearer wrong"}, {"authorization": ""}):
        for method, path in (("GET", "/faults"), ("PUT", "/faults"), ("GET", "/v1/orders"), ("POST", "/v1/orders")):
            answer = await client.request(method, path, headers=headers, json={})
            assert answer.status_code == 401
            assert answer.json()["code"] == "sandbox.token"
    assert (await client.get("/health", headers={"authorization": ""})).status_code == 200


async def test_the_switches_are_listed_in_the_openapi_page(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert set(described["paths"]["/faults"]) == {"get", "put"}
    assert set(described["components"]["schemas"]["FaultPlan"]["properties"]) == set(FaultPlan.model_fields)


async def test_switches_strike_business_only_and_report_what_they_did(client: httpx.AsyncClient) -> None:
    put = await client.put("/faults", json={"errors": {"rate": 1, "status": 503}})
    assert put.status_code == 200
    assert [(await client.get(path)).status_code for path in ("/v1/orders", "/health", "/faults")] == [503, 200, 200]
    report = (await client.get("/faults")).json()
    assert (report["requests"], report["injected"]) == (2, {"errors": 1})
    await client.put("/faults", json={})
    assert (await client.get("/v1/orders")).status_code == 200


async def test_throttling_and_outages_say_when_to_come_again(client: httpx.AsyncClient) -> None:
    await client.put("/faults", json={"throttles": {"rate": 1, "retry_after_seconds": 7}})
    throttled = await client.get("/v1/orders")
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
    await client.put("/faults", json={"outages": [{"for_seconds": 60}]})
    away = await client.get("/health")
    assert (away.status_code, away.headers["retry-after"]) == (503, "60")


async def test_a_dropped_connection_comes_after_the_work_was_done(client: httpx.AsyncClient) -> None:
    order = {"channel": "c", "order_number": "1", "customer_id": "C", "currency": "USD", "total_amount": 5}
    await client.put("/faults", json={"drops": {"rate": 1, "limit": 1}})
    with pytest.raises(ConnectionCutError):
        await client.post("/v1/orders", json={"items": [order]})
    assert len((await client.get("/v1/orders")).json()["items"]) == 1


async def test_wrong_input_is_a_problem_that_names_the_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/orders", json={"items": [{"channel": "c"}]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "items.0.order_number" in answer.json()["detail"]
    missing = await client.get("/v1/orders/c/9")
    assert (missing.status_code, missing.json()["code"]) == (404, "crm.unknown_order")
    assert (await client.get("/nowhere")).json() == {"title": "Not Found", "status": 404}


async def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"items": ['
        for _ in range(MAXIMUM_BODY_BYTES // 1_000_000):
            yield b" " * 1_000_000

    announced = await client.post("/v1/orders", headers={"content-length": str(MAXIMUM_BODY_BYTES + 1)}, content=b"{}")
    streamed = await client.post("/v1/orders", content=chunks())
    assert [answer.json()["code"] for answer in (announced, streamed)] == ["sandbox.body_too_large"] * 2
    assert [answer.status_code for answer in (announced, streamed)] == [413, 413]


def test_an_event_is_sent_again_as_often_as_the_plan_says_each_a_gap_later() -> None:
    plan = {"duplicates": {"every": 1, "gap_seconds": 0.5, "copies": 2}}
    faults = Faults(FaultPlan.model_validate(plan))
    assert faults.event_delays() == [0.0, 0.5, 1.0]
