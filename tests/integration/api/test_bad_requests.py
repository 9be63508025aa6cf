"""What is wrong with a request before its content counts: sizes, paces, media types, methods, addresses, parameters, cursors."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, order, serve
from tests.integration.api.serving import exchange, listening

JSON = {"Content-Type": "application/json"}
LINE: dict[str, Any] = {"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "10.00"}


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The answer's problem document, which has what RFC 9457 and our description say."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: dict[str, Any] = answer.json()
    assert found["type"] == f"urn:tallystick:problem:{found['code']}"
    assert found["status"] == answer.status_code
    assert found["title"]
    assert found["detail"]
    assert found["instance"] == answer.request.url.path
    return found


async def orders_kept(served: Served) -> int:
    count: int = await served.pool.fetchval("select count(*) from transactions")
    return count


@pytest.fixture(scope="module")
async def hasty(make_database: MakeDatabase) -> AsyncIterator[tuple[Served, str]]:
    """A server that waits one second for a request, and its URL."""
    async with (
        make_database() as database,
        serve(database, request_timeout_seconds=1) as installation,
        listening(installation) as url,
    ):
        yield installation, url


def head(served: Served, *lines: str) -> bytes:
    key = served.keys["east_sales"]
    fixed = ("POST /v1/orders HTTP/1.1", "Host: test", f"Authorization: Bearer {key}", "Content-Type: application/json")
    return "\r\n".join((*fixed, *lines, "", "")).encode()


async def test_body_without_a_length_is_cut_off_at_the_bound(hasty: tuple[Served, str]) -> None:
    served, url = hasty
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    answer = await exchange(url, head(served, "Transfer-Encoding: chunked"), *[piece] * 50, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body.too_large"' in answer
    assert b"connection: close" in answer.lower()
    assert await orders_kept(served) == 0


async def test_client_that_sends_fifty_megabytes_reads_why_they_are_too_much(hasty: tuple[Served, str]) -> None:
    served, url = hasty
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {served.keys['east_sales']}"}
    ) as sales:
        answer = await sales.post("/v1/orders", content=b" " * 50_000_000, headers=JSON)
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "body.too_large")


async def test_body_that_does_not_come_is_not_waited_for(hasty: tuple[Served, str]) -> None:
    served, url = hasty
    started = time.monotonic()
    answer = await exchange(
        url, head(served, "Content-Length: 1000", "Connection: close"), b"{", b'"entity"', pause=0.3
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body.too_slow"' in answer
    assert time.monotonic() - started < 5
    assert await orders_kept(served) == 0


async def test_body_shorter_than_promised_keeps_nothing(hasty: tuple[Served, str]) -> None:
    served, url = hasty
    whole = orjson.dumps(order())
    async with httpx.AsyncClient(base_url=url) as client:
        await exchange(url, head(served, f"Content-Length: {len(whole) + 10}", "Connection: close"), whole)
        assert (await client.get("/health/live")).status_code == 200
    assert await orders_kept(served) == 0


@pytest.mark.parametrize("length", ["50000000", "-1", "1e3", "9" * 30, "0x10", "²"])
async def test_declared_length_is_judged_before_the_body(served: Served, length: str) -> None:
    async with served.acting_as("east_sales") as sales:
        headers = [(b"content-length", length.encode("latin-1")), (b"content-type", b"application/json")]
        answer = await sales.post("/v1/orders", headers=headers, content=b"{}")
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "body.too_large")


async def test_order_of_ten_thousand_lines_is_told_the_most_there_may_be(served: Served) -> None:
    before = await orders_kept(served)
    lines = [LINE | {"line_number": number} for number in range(1, 10_001)]
    async with served.acting_as("east_sales") as sales:
        refused = await sales.post("/v1/orders", json=order(lines=lines))
        largest = await sales.post(
            "/v1/orders", json=order(lines=[each | {"quantity": "0.01"} for each in lines[:2_000]])
        )
    assert [each["pointer"] for each in problem_of(refused)["errors"]] == ["/lines"]
    assert "at most 2000 items" in refused.json()["detail"]
    assert largest.status_code == 201, largest.text
    assert await orders_kept(served) == before + 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]]",
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a": "\x00"}',
        b'{"a": "\n"}',
        b'\xff\xfe{"a": 1}',
        b'{"a": "\xc3\x28"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("east_sales", "/v1/orders"),
        ("east_sales", "/v1/orders:validate"),
        ("admin", "/v1/keys"),
        ("operator", "/v1/messages:replay"),
        ("operator", "/v1/systems/erp_east:pause"),
    ],
)
async def test_what_is_not_json_is_said_to_be_so(served: Served, role: str, path: str, body: bytes) -> None:
    async with served.acting_as(role) as client:
        answer = await client.post(path, content=body, headers=JSON)
    expected = (422, "request.invalid") if not body and "orders" not in path else (400, "body.malformed_json")
    assert (answer.status_code, problem_of(answer)["code"]) == expected


async def test_half_a_surrogate_pair_is_refused_by_its_field_or_is_not_json(served: Served) -> None:
    async with served.acting_as("admin") as admin:
        order_ = await admin.post("/v1/orders", content=b'{"channel": "\\ud800"}', headers=JSON)
        pause = await admin.post("/v1/systems/erp_east:pause", content=b'{"reason": "end \\ud800"}', headers=JSON)
        replay = await admin.post("/v1/messages:replay", content=b'{"\\udc00": 1}', headers=JSON)
    assert (order_.status_code, problem_of(order_)["code"]) == (400, "body.malformed_json")
    assert (pause.status_code, problem_of(pause)["errors"][0]["pointer"]) == (422, "/reason")
    assert (replay.status_code, problem_of(replay)["code"]) == (422, "request.invalid")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "1" * 400, "0.1e-400", "9" * 5_000])
async def test_absurd_number_is_refused_by_its_field_or_is_not_json(served: Served, number: str) -> None:
    text = orjson.dumps(order(lines=[LINE | {"quantity": "HERE"}])).decode().replace('"HERE"', number)
    before = await orders_kept(served)
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", content=text, headers=JSON)
    found = problem_of(answer)
    if answer.status_code == 422:
        assert [each["pointer"] for each in found["errors"]] == ["/lines/0/quantity"]
        assert len(answer.content) < 2_000
    else:
        assert (answer.status_code, found["code"]) == (400, "body.malformed_json")
    assert await orders_kept(served) == before


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/xml",
        "application/jsonx",
        "multipart/form-data; boundary=x",
        "application/cloudevents+json",
        "*",
    ],
)
async def test_body_that_says_it_is_no_json_is_not_read(served: Served, media_type: str) -> None:
    headers = {"Content-Type": media_type, "If-Match": '"1"'}
    body = orjson.dumps({"reason": "month end"})
    async with served.acting_as("operator") as operator, served.acting_as("east_sales") as sales:
        answers = [
            await sales.post("/v1/orders", content=orjson.dumps(order()), headers=headers),
            await sales.post("/v1/orders:validate", content=orjson.dumps(order()), headers=headers),
            await operator.post("/v1/systems/erp_east:pause", content=body, headers=headers),
            await operator.post("/v1/messages:replay", content=b"{}", headers=headers),
        ]
    for answer in answers:
        assert (answer.status_code, problem_of(answer)["code"]) == (415, "body.media_type")
        assert answer.headers["accept"] == "application/json"


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", None])
async def test_json_is_taken_however_it_is_called(served: Served, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", content=orjson.dumps(order()), headers=headers)
    async with served.acting_as("operator") as operator:
        counted = await operator.post("/v1/messages:replay", content=b'{"kind": "none"}', headers=headers)
    assert answer.status_code == 201, answer.text
    assert counted.status_code == 200, counted.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/orders", "POST"),
        ("DELETE", "/v1/keys", "HEAD, GET, POST"),
        ("PATCH", "/v1/transactions", "HEAD, GET"),
        ("POST", "/health/live", "HEAD, GET"),
        ("PUT", "/v1/events", "POST"),
        ("GET", "/v1/orders:batch", "POST"),
        ("GET", "/v1/exceptions/01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1:amend", "POST"),
        ("OPTIONS", "/v1/messages/01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1:replay", "POST"),
        ("GET", "/v1/systems/erp_east:pause", "POST"),
    ],
)
async def test_method_that_an_address_does_not_take_is_told_which_it_takes(
    served: Served, method: str, path: str, allowed: str
) -> None:
    async with served.acting_as("admin") as admin:
        answer = await admin.request(method, path)
    assert (answer.status_code, problem_of(answer)["code"]) == (405, "method.not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/orders", "/v1/orders/", "/v1/order", "/v1/orders:destroy", "//v1/orders"]
)
async def test_address_of_nothing_is_a_problem_and_never_a_redirect(served: Served, path: str) -> None:
    async with served.acting_as("admin") as admin:
        answer = await admin.get(f"http://tallystick.test{path}")
    assert answer.status_code == 404
    assert problem_of(answer)["code"] == "not_found"


async def test_nul_in_an_address_is_refused(served: Served) -> None:
    async with served.acting_as("admin") as admin:
        for path in ("/v1/systems/a%00b", "/v1/transactions?search=a%00b"):
            answer = await admin.get(path)
            assert (answer.status_code, problem_of(answer)["code"]) == (400, "request.nul_character")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/exceptions?stat=open", "stat"),
        ("/v1/exceptions?state=open&state=all", "state"),
        ("/v1/exceptions?state=asleep", "state"),
        ("/v1/exceptions?sort=random", "sort"),
        ("/v1/exceptions?limit=0", "limit"),
        ("/v1/exceptions?limit=201", "limit"),
        ("/v1/exceptions?limit=ten", "limit"),
        ("/v1/exceptions?due_before=2026-11-24T00:00:00", "due_before"),
        ("/v1/exceptions?due_before=0.5", "due_before"),
        ("/v1/exceptions?due_before=1795000000", "due_before"),
        ("/v1/exceptions?owner=a%1bb", "owner"),
        ("/v1/exceptions?transaction_id=7", "transaction_id"),
        ("/v1/transactions?page=2", "page"),
        ("/v1/messages?state=sleeping", "state"),
        ("/v1/messages:depths?system=erp", "system"),
        ("/v1/audit?principal=me", "principal"),
        ("/v1/keys?all=1", "all"),
        ("/v1/transactions?search=" + "x" * 201, "search"),
        ("/v1/systems?%1b%5b31m=1", "\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
async def test_parameter_that_is_unknown_wrong_or_twice_there_is_named(
    served: Served, path: str, parameter: str
) -> None:
    async with served.acting_as("admin") as admin:
        answer = await admin.get(path)
    found = problem_of(answer)
    assert (answer.status_code, found["code"]) == (422, "request.invalid")
    assert [each["parameter"] for each in found["errors"]] == [parameter]
    assert parameter in found["detail"]


async def test_order_takes_no_parameters(served: Served) -> None:
    before = await orders_kept(served)
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders?dry_run=true", json=order())
    assert (answer.status_code, problem_of(answer)["errors"][0]["parameter"]) == (422, "dry_run")
    assert await orders_kept(served) == before


def cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


_UUID = "01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1"


@pytest.mark.parametrize(
    "tampered",
    [
        "x",
        "!!!",
        "%F0%9F%98%80",
        "a" * 200,
        cursor(None),
        cursor([]),
        cursor({}),
        cursor(7),
        cursor(1.5),
        cursor(10**30),
        cursor("yesterday"),
        cursor(["due"]),
        cursor(["due", "yesterday", _UUID]),
        cursor(["due", 5, _UUID]),
        cursor(["due", "2026-11-24T00:00:00+00:00", "W-1"]),
        cursor(["money", "much", _UUID]),
        cursor(["money", 10**30, _UUID]),
        cursor(["opened", "2026-11-24T00:00:00+00:00", _UUID]),
        cursor({"due": 1, "b": 2, "c": 3}),
    ],
)
async def test_tampered_cursor_is_refused_wherever_there_are_pages(served: Served, tampered: str) -> None:
    async with served.acting_as("admin") as admin:
        for path in (
            "/v1/exceptions?sort=due",
            "/v1/exceptions?sort=money",
            "/v1/transactions?",
            "/v1/messages?",
            "/v1/audit?",
        ):
            answer = await admin.get(f"{path}&cursor={tampered}")
            assert (answer.status_code, problem_of(answer)["code"]) in (
                (422, "cursor.invalid"),
                (422, "value.not_storable"),
            ), path


async def test_cursor_of_one_list_is_refused_by_another_sorting(served: Served) -> None:
    good = cursor(["due", "2026-11-24T00:00:00+00:00", _UUID])
    async with served.acting_as("admin") as admin:
        assert (await admin.get(f"/v1/exceptions?sort=due&cursor={good}")).status_code == 200
        assert (await admin.get(f"/v1/exceptions?sort=money&cursor={good}")).status_code == 422


async def test_rate_is_each_principals_own_and_told_when_there_is_more(make_database: MakeDatabase) -> None:
    async with make_database() as url, serve(url, requests_per_second=0.5) as slow:
        async with (
            slow.acting_as("east_sales") as sales,
            slow.acting_as("auditor") as auditor,
            slow.acting_as() as nobody,
        ):
            first = await sales.get("/v1/transactions")
            second = await sales.get("/v1/transactions")
            refused = await sales.post("/v1/orders", json=order())
            other = await auditor.get("/v1/transactions")
            alive = [await nobody.get("/health/live") for _ in range(5)]
        assert await orders_kept(slow) == 0
    assert (first.status_code, second.status_code, other.status_code) == (200, 429, 200)
    assert {each.status_code for each in alive} == {200}
    for answer in (second, refused):
        assert problem_of(answer)["code"] == "rate.exceeded"
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        assert answer.headers["cache-control"] == "no-store"
