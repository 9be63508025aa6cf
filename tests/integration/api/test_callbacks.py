"""API7, server side request forgery: nothing that anybody sends makes us call another address than those in the settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, configuration, order, serve_settings
from tests.integration.api.reflecting import Front, canary, front
from tests.integration.api.test_events import STRUCTURED, shipped, signature

from tallystick.cli.serving import work
from tallystick.installation import connect_systems
from tallystick.settings import parse_settings
from tallystick.systems.failure import Unavailable
from tallystick.systems.http import HttpClient


def obliging(_: Request, body: bytes) -> Response:
    """Says yes to every item, whatever is asked."""
    items = json.loads(body)["items"] if body else []
    done = {"status": 201, "body": {"number": "N-1", "id": "N-1", "net_amount": 2_000}}
    return JSONResponse({"items": [done] * len(items), "status": "ok"})


@asynccontextmanager
async def connected(url: str, system: Front) -> AsyncIterator[Served]:
    """The installation with all its systems at one front, and a worker."""
    wanted = configuration()
    for each in wanted["systems"].values():
        each["url"] = system.url
    made = parse_settings(wanted)
    async with serve_settings(url, made, connect_systems(made)) as served:
        stopping = asyncio.Event()
        working = asyncio.create_task(work(served.flow, stopping))
        try:
            yield served
        finally:
            stopping.set()
            await working
            for each in served.flow.systems.values():
                await each.close()


async def paths_asked(system: Front, *wanted: str) -> None:
    async with asyncio.timeout(20):
        while not set(wanted) <= {path for _, path, _ in system.asked}:
            await system.wait()


async def test_no_field_header_or_event_names_an_address_that_is_called(make_database: MakeDatabase) -> None:
    async with (
        make_database() as url,
        canary() as elsewhere,
        front(obliging) as system,
        connected(url, system) as served,
    ):
        there = elsewhere.url
        line = {"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "10.00", "description": there}
        address = {"name": there, "street": f"{there}/street", "city": f"@{there}", "country": "US"}
        texts = {"channel": there, "customer_po": there, "notes": f"callback_url: {there}", "payment_terms": there}
        headers = dict.fromkeys(("X-Forwarded-Host", "X-Callback-Url", "Referer", "Origin", "Idempotency-Key"), there)
        headers |= {
            "Host": there.removeprefix("http://"),
            "Forwarded": f"host={there}",
            "Prefer": f'respond-async; url="{there}"',
        }
        async with served.acting_as("admin", **headers) as admin:
            made = await admin.post(
                "/v1/orders", json=order(**texts, order_number=there, lines=[line], ship_to=address)
            )
            assert made.status_code == 201, made.text
            refused = await admin.post("/v1/orders", json=order() | {"callback_url": there, "webhook": there})
            await admin.post("/v1/systems/wms_west:pause", json={"reason": there})
            await admin.post("/v1/keys", json={"name": there, "roles": ["sales"], "entities": ["east"]})
            await paths_asked(system, "/v1/orders/batch", "/v1/shipment-requests", "/v1/status-updates")
            event = shipped(made.json()["transaction_id"], dataschema=there, callbackurl=there, replyto=there)
            event["data"] |= {"warehouse": there, "carrier": there, "tracking_number": there}
            body = orjson.dumps(event)
            taken = await admin.post("/v1/events", content=body, headers=signature(body) | {"Content-Type": STRUCTURED})
            health = await admin.get("/v1/systems/erp_east")
        assert (refused.status_code, health.status_code) == (422, 200)
        assert taken.status_code in (202, 422), taken.text
        await paths_asked(system, "/v1/orders/batch", "/health")
        await asyncio.sleep(0.3)
        assert elsewhere.calls == []
        for _, path, told in system.asked:
            assert there not in path
            assert f"host: {system.url.removeprefix('http://')}" in told.splitlines()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["same", "userinfo"])
async def test_redirect_is_not_followed_and_takes_no_credentials_along(status: int, scheme: str) -> None:
    async with canary() as elsewhere:
        there = elsewhere.url.replace("://", "://user:pass@") if scheme == "userinfo" else elsewhere.url

        def away(_: Request, __: bytes) -> Response:
            return Response(
                status_code=status, headers={"Location": f"{there}/v1/orders/batch", "Refresh": f"0; url={there}"}
            )

        async with front(away) as system:
            client = HttpClient("erp", system.url, token=SecretStr("very-secret-token"))
            for call in (client.read("/v1/changes"), client.write("/v1/orders", {"a": 1})):
                with pytest.raises(Unavailable, match="redirects elsewhere"):
                    await call
            await client.close()
        assert elsewhere.calls == []
        assert len(system.asked) == 2


async def test_proxy_of_the_environment_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with canary() as elsewhere, front(obliging) as system:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, elsewhere.url)
        client = HttpClient("erp", system.url)
        await client.read("/health")
        await client.close()
        assert (len(system.asked), elsewhere.calls) == (1, [])


async def test_payload_of_a_replay_goes_where_its_message_goes(make_database: MakeDatabase) -> None:
    async with (
        make_database() as url,
        canary() as elsewhere,
        front(obliging) as system,
        connected(url, system) as served,
    ):
        async with served.acting_as("admin") as admin:
            await admin.post("/v1/systems/erp_east:pause", json={"reason": "so that its message stays"})
            made = (await admin.post("/v1/orders", json=order())).json()
            found = await admin.get(
                "/v1/messages", params={"transaction_id": made["transaction_id"], "system": "erp_east"}
            )
            message: dict[str, Any] = found.json()["items"][0]
            await served.pool.execute("update messages set state = 'dead' where id = $1", message["id"])
            there = dict.fromkeys(("url", "system", "callback", "path", "erp_reference", "entity"), elsewhere.url)
            answer = await admin.post(
                f"/v1/messages/{message['id']}:replay", json={"payload": {"revision": 1, **there}}
            )
            assert answer.status_code == 200, answer.text
            await admin.post("/v1/systems/erp_east:resume")
            await paths_asked(system, "/v1/orders/batch")
        assert elsewhere.calls == []
