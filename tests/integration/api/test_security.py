"""The OWASP API Security Top 10 (2023), risk by risk: what stands elsewhere is named, what was missing is tested here.

API1 Broken object level authorisation: test_authorisation.py (objects and lists of another entity, for every route with an id);
test_keys.py (keys of others); test_events.py (systems of another entity or role). Here: dead letters by filter.
API5 Broken function level authorisation: test_authorisation.py, every route for every role. Here: no header widens a method.
API6 Unrestricted access to sensitive flows: an order flood takes no more stock or credit than there is
(checks/test_races.py, checks/test_promises.py), and no order is done twice (test_orders.py, acceptance/test_killed_processes.py).
API9 Improper inventory management: test_authorisation.py and unit/api/test_openapi.py hold routes and description to each other.
Here: nothing is served beside them. API10 Unsafe consumption of APIs: tests/unit/fuzz (answers of systems), the conformance
kit's trouble tests, test_tryton_rpc.py. Leaks of keys: test_secrets.py. Calls to where nobody meant: test_callbacks.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.routing import Route
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, order, serve
from tests.integration.api.work import hold, refuse
from tests.unit.api.description import OPERATIONS

from tallystick.api.examples import BODIES
from tallystick.api.limits import RateLimiter

# API1: broken object level authorisation


async def test_replay_by_filter_reaches_no_dead_letter_of_another_entity(served: Served) -> None:
    west = await refuse(served, entity="west")
    async with served.acting_as("east_operator") as east, served.acting_as("operator") as everywhere:
        asked = {"transaction_id": west.transaction_id}
        mine = await east.post("/v1/messages:replay", json=asked)
        counted = await everywhere.post("/v1/messages:replay", json={**asked, "dry_run": True})
    assert (mine.json(), counted.json()) == ({"replayed": 0}, {"would_replay": 1})


# API2: broken authentication (also test_keys.py)


async def test_key_counts_in_the_authorization_header_only(served: Served) -> None:
    key = served.keys["admin"]
    async with served.acting_as() as nobody:
        answers = [
            await nobody.get("/v1/transactions", params={"api_key": key, "access_token": key}),
            await nobody.get("/v1/transactions", headers={"Cookie": f"authorization=Bearer {key}; token={key}"}),
            await nobody.get("/v1/transactions", headers={"X-Api-Key": key, "Proxy-Authorization": f"Bearer {key}"}),
            await nobody.get("/v1/transactions", headers={"Authorization": f"Basic {key}"}),
            await nobody.get(
                "/v1/transactions", headers=[("Authorization", "Bearer x"), ("Authorization", f"Bearer {key}")]
            ),
        ]
    assert {each.status_code for each in answers} == {401}
    assert not [each for each in answers if key in each.text]


async def test_id_of_a_key_opens_nothing_without_its_secret(served: Served) -> None:
    _, identifier, secret = served.keys["admin"].split("_", 2)
    for guess in (
        f"tsk_{identifier}_",
        f"tsk_{identifier}_{secret[:-1]}",
        f"tsk_{identifier}_{secret}x",
        f"tsk_{identifier}_*",
    ):
        async with served.acting_as(None, Authorization=f"Bearer {guess}") as somebody:
            assert (await somebody.get("/v1/transactions")).status_code == 401


# API3: broken object property level authorisation; mass assignment


def _with_json() -> list[tuple[str, str, str]]:
    found = []
    for name, operation in OPERATIONS.items():
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        references = [each["$ref"] for each in schema.get("anyOf", [schema]) if "$ref" in each]
        found += [(name, operation["path"], each.rpartition("/")[2]) for each in references]
    return found


@pytest.mark.parametrize(("name", "path", "body"), _with_json(), ids=[each[0] for each in _with_json()])
async def test_nothing_is_assigned_that_is_not_the_callers_to_say(
    served: Served, name: str, path: str, body: str
) -> None:
    address = path
    for part in ("transaction_id", "exception_id", "message_id", "key_id", "line_id", "run_id", "break_id"):
        address = address.replace(f"{{{part}}}", str(uuid4()))
    if "{transaction_id}" in path:
        address = path.replace("{transaction_id}", (await hold(served))["transaction_id"])
    ours = {
        "id": str(uuid4()),
        "version": 99,
        "state": "accepted",
        "principal": "root",
        "is_admin": True,
        "__proto__": {},
    }
    method = "PUT" if name == "orders_replace_order" else "POST"
    async with served.acting_as("admin", **{"If-Match": '"1"'}) as admin:
        answer = await admin.request(method, address.replace("{name}", "erp_east"), json=BODIES[body] | ours)
    assert answer.status_code == 422, answer.text
    told = {each["pointer"].split("/")[-1] for each in answer.json()["errors"]}
    assert told == set(ours)


def test_every_body_in_json_is_tried() -> None:
    assert {body for _, _, body in _with_json()} == set(BODIES) - {"Event"}


# API4: unrestricted resource consumption (also test_bad_requests.py: sizes, paces, values, rates; test_order_stream.py)


async def test_deeply_nested_and_wide_bodies_are_refused_in_no_time(served: Served) -> None:
    dead = await refuse(served)
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    wide = {f"field{number}": number for number in range(70_000)}
    async with served.acting_as("operator") as operator:
        started = time.monotonic()
        answers = [
            await operator.post(f"/v1/messages/{dead.message_id}:replay", json={"payload": deep}),
            await operator.post(f"/v1/messages/{dead.message_id}:replay", json={"payload": wide}),
            await operator.post(f"/v1/messages/{dead.message_id}:replay", content=b'{"payload":' * 50_000),
        ]
    assert [each.status_code for each in answers] == [422, 413, 400]
    assert time.monotonic() - started < 3


async def test_no_text_of_a_request_is_kept_without_a_bound(served: Served) -> None:
    endless = "x" * 100_000
    dead = await refuse(served)
    async with served.acting_as("admin") as admin:
        answers = [
            await admin.post("/v1/systems/erp_east:pause", json={"reason": endless}),
            await admin.post(f"/v1/messages/{dead.message_id}:discard", json={"reason": endless}),
            await admin.post(f"/v1/exceptions/{dead.exception_id}:comment", json={"text": endless}),
            await admin.post("/v1/keys", json={"name": endless, "roles": ["sales"], "entities": ["east"]}),
            await admin.post("/v1/keys", json={"name": "a", "roles": ["sales"] * 11, "entities": ["east"]}),
            await admin.post("/v1/orders", json=order(), headers={"Idempotency-Key": endless[:300]}),
            await admin.get("/v1/audit", params={"by": endless[:1_000]}),
        ]
    assert [each.status_code for each in answers] == [422] * len(answers)
    assert max(len(each.content) for each in answers) < 1_000


def test_rates_of_ever_new_principals_take_no_more_memory() -> None:
    limiter = RateLimiter(per_second=10)
    for number in range(25_000):
        assert limiter.take(f"principal {number}") == 0
    assert len(limiter._buckets) == 10_000


# API5: broken function level authorisation


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_no_header_makes_another_method_or_address_of_a_request(served: Served, header: str) -> None:
    widened = {
        header: "DELETE",
        "X-Original-URL": "/v1/keys",
        "X-Rewrite-URL": "/v1/keys",
        "X-Forwarded-Prefix": "/v1/keys",
    }
    async with served.acting_as("sales", **widened) as sales:
        read = await sales.get("/v1/transactions")
        denied = await sales.get("/v1/keys")
    assert (read.status_code, denied.status_code) == (200, 403)
    assert "roles" not in read.text


# Injection, wherever a text goes: SQL, patterns, logs, terminals, templates, headers

INJECTIONS = [
    "'; drop table transactions; --",
    "' or '1'='1",
    "%",
    "_____",
    "\\",
    "$1",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "../../../../etc/passwd",
    "|id;`id`$(id)",
    "<script>alert(1)</script>",
    "x', (select secret_hash from api_keys), 'y",
]


@pytest.mark.parametrize("text", INJECTIONS)
async def test_text_of_a_filter_is_a_text(served: Served, text: str) -> None:
    await hold(served)
    lists = {
        "/v1/transactions": ("search", "customer_id"),
        "/v1/exceptions": ("type", "owner"),
        "/v1/messages": ("stage", "system", "kind"),
        "/v1/audit": ("by", "action", "object_id"),
    }
    async with served.acting_as("admin") as admin:
        for path, names in lists.items():
            for name in names:
                answer = await admin.get(path, params={name: text})
                assert (answer.status_code, answer.json()["items"]) == (200, []), (path, name, answer.text)
        assert (await admin.get(f"/v1/systems/{text.replace('/', '')}")).status_code == 404
        assert len((await admin.get("/v1/transactions")).json()["items"]) > 0


@pytest.mark.parametrize("text", INJECTIONS)
async def test_text_of_a_body_comes_back_as_it_was_and_does_nothing(served: Served, text: str) -> None:
    made = order(customer_po=text, notes=text, payment_terms=text)
    tables = await served.pool.fetchval("select count(*) from pg_tables where schemaname = 'public'")
    async with served.acting_as("sales", **{"Idempotency-Key": f"{text}-{uuid4()}"}) as sales:
        answer = await sales.post("/v1/orders", json=made)
        assert answer.status_code == 201, answer.text
        kept = await sales.get(f"/v1/transactions/{answer.json()['transaction_id']}/documents")
        found = await sales.get("/v1/transactions", params={"search": text})
    assert kept.json()["documents"][0]["body"]["notes"] == text
    assert kept.headers["content-type"] == "application/json"
    assert answer.json()["transaction_id"] in [each["id"] for each in found.json()["items"]]
    assert await served.pool.fetchval("select count(*) from pg_tables where schemaname = 'public'") == tables


@pytest.mark.parametrize(
    "text", ["a\r\nSet-Cookie: x=1", "a\nlevel=error forged", "\x1b[2Jgone", "a\u202egnp.exe", "a\x00b"]
)
async def test_text_that_would_break_a_line_a_header_or_a_terminal_is_refused(served: Served, text: str) -> None:
    async with served.acting_as("sales") as sales:
        answer = await sales.post("/v1/orders", json=order(order_number=text, channel=text))
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers
    assert not [each for each in answer.text if not each.isprintable()]
    assert not [each for each in json.dumps(answer.json(), ensure_ascii=False) if not each.isprintable()]


# API8: security misconfiguration (also test_operations.py: headers of every answer; test_openapi.py: the description off)


async def test_page_of_another_origin_is_let_in_nowhere(served: Served) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with served.acting_as("admin", **origin) as admin:
        answers = [
            await admin.options("/v1/orders"),
            await admin.get("/v1/transactions"),
            await admin.get("/health/live"),
        ]
    assert answers[0].status_code == 405
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control-")]


@pytest.fixture
async def broken(make_database: MakeDatabase) -> AsyncIterator[Served]:
    """An installation whose database refuses every entry of the audit trail, with words that are nobody else's business."""
    async with make_database() as url, serve(url) as installation:
        await installation.pool.execute(
            "alter table audit_entries add constraint inner_working check (false) not valid"
        )
        yield installation


async def test_fault_of_ours_tells_a_reference_and_nothing_else(broken: Served) -> None:
    async with broken.acting_as("admin") as admin:
        answer = await admin.post("/v1/systems/erp_east:pause", json={"reason": "month end"})
    told = answer.json()
    assert (answer.status_code, told["code"]) == (500, "internal")
    assert told["reference"] in told["detail"]
    for inner in ("inner_working", "audit_entries", "month end", "Traceback", "asyncpg", ".py"):
        assert inner not in answer.text


# API9: improper inventory management


def test_nothing_is_served_that_is_not_described(served: Served) -> None:
    paths = {getattr(route, "path", "") for route in served.app.router.routes if isinstance(route, Route)}
    described = {operation["path"] for operation in OPERATIONS.values()}
    assert {path for path in paths if path not in described} <= {"/docs", "/docs/oauth2-redirect", "/openapi.json"}
    assert all(path.startswith("/v1/") or path in ("/health/live", "/health/ready", "/metrics") for path in described)


async def test_addresses_that_others_forget_are_not_there(served: Served) -> None:
    async with served.acting_as("admin") as admin:
        for path in (
            "/v0/orders",
            "/v1/debug",
            "/.env",
            "/.git/config",
            "/admin",
            "/redoc",
            "/v1/../metrics/",
            "/console",
        ):
            answer: httpx.Response = await admin.get(path)
            assert answer.status_code == 404, path
