"""Keys and passwords show nowhere: in no log, problem, lineage, attempt, exception or audit, even where systems say them back.

A real `tallystick run` (API and worker, asyncio in debug mode) serves east with an ERP and west with a Tryton that answer every
call with all that they were sent, credentials first.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import Request, Response
from tests.conftest import MakeDatabase
from tests.integration.api.installation import order, seed_replicas
from tests.integration.api.reflecting import Front, front
from tests.integration.api.test_events import STRUCTURED, shipped, signature
from tests.integration.cli.installations import Running, started

from tallystick.control.keys import create_key
from tallystick.store.pool import Pool, open_pool

REFLECTED = "you sent me"
ERP_TOKEN = "erp-token-6c1a0a4de9f1"
TRYTON_PASSWORD = "tryton-password-b6c1"
SESSION = "session-of-tryton-77e3"
EVENT_SECRET = "whsec_" + base64.b64encode(b"the secret of the events").decode()
SETTINGS = """
[worker]
backoff_seconds = 0.05
maximum_attempts = 2
[systems.erp_east]
kind = "sandbox_erp"
url = "{url}/east"
token = {{ env = "ERP_TOKEN" }}
event_source = "/systems/wms_east"
event_secret = {{ env = "EVENT_SECRET" }}
[systems.erp_west]
kind = "tryton"
url = "{url}/west"
database = "company"
user = "hub"
password = {{ env = "TRYTON_PASSWORD" }}
[entities.east]
erp = "erp_east"
[entities.west]
erp = "erp_west"
"""


def reflecting(request: Request, body: bytes) -> Response:
    """Everything that it was sent, in words and in fields; Tryton's sign-in works, so that there is a session to lose."""
    asked: Any = json.loads(body) if body else {}
    if isinstance(asked, dict) and asked.get("method") == "common.db.login":
        return Response(json.dumps({"id": 1, "result": [7, SESSION]}), media_type="application/json")
    if isinstance(asked, dict) and asked.get("method") == "model.res.user.get_preferences":
        return Response(json.dumps({"id": 1, "result": {"company": 1}}), media_type="application/json")
    said = f"{REFLECTED} {request.headers.get('authorization')}"
    if "rpc" in request.url.path:
        said += f" and {TRYTON_PASSWORD}"
        return Response(json.dumps({"id": 1, "error": ["UserError", [said, said]]}), media_type="application/json")
    problem = {"title": said, "detail": dict(request.headers), "code": "erp.refused", "remark": said, "asked": asked}
    items = asked.get("items") if isinstance(asked, dict) else None
    if items and "batch" in request.url.path:
        refused = {"status": 422, "body": problem | {"asked": None}}
        return Response(json.dumps({"items": [refused] * len(items)}), media_type="application/json")
    return Response(json.dumps(problem), 500, media_type="application/problem+json")


@dataclass
class Scene:
    """A running hub, what it was started with, and what it has said so far."""

    url: str
    pool: Pool
    running: Running
    key: str
    system: Front
    heard: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, *, quietly: bool = False, **request: Any) -> httpx.Response:
        """An answer, which is kept with its headers unless it shows a key on purpose."""
        headers = {"Authorization": f"Bearer {self.key}"} | request.pop("headers", {})
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20) as client:
            answer = await client.request(method, path, headers=headers, **request)
        if not quietly:
            self.heard.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer


@pytest.fixture
async def scene(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Scene]:
    async with make_database() as database, front(reflecting) as system:
        pool = await open_pool(database, size=2)
        for erp in ("erp_east", "erp_west"):
            await seed_replicas(pool, erp)
        async with pool.acquire() as connection:
            key = (await create_key(connection, "boss", ["admin"])).secret
        (tmp_path / "tallystick.toml").write_text(SETTINGS.format(url=system.url))
        secrets = {"ERP_TOKEN": ERP_TOKEN, "TRYTON_PASSWORD": TRYTON_PASSWORD, "EVENT_SECRET": EVENT_SECRET}
        variables = {
            "TALLYSTICK_DATABASE_URL": database,
            "PYTHONASYNCIODEBUG": "1",
            "PYTHONWARNINGS": "default",
            **secrets,
        }
        with started(tmp_path, "server_started", "run", "--port", "0", variables=variables) as running:
            url = running.said.partition(" on ")[2].partition(",")[0] or _url_of(running.said)
            yield Scene(url, pool, running, key, system)
        await pool.close()


def _url_of(said: str) -> str:
    line = next(line for line in said.splitlines() if "server_started" in line)
    url: str = json.loads(line)["url"]
    return url


async def test_no_secret_is_ever_shown(scene: Scene) -> None:
    heir = await _through_everything(scene)
    assert scene.running.end() == 0
    tables = await scene.pool.fetch("select tablename from pg_tables where schemaname = 'public'")
    rows = {
        row["tablename"]: "\n".join(
            each["row"] for each in await scene.pool.fetch(f"select t::text as row from {row['tablename']} t")
        )
        for row in tables
    }
    places = {**rows, "the log": scene.running.said, "the answers": "\n".join(scene.heard)}
    # What was said back did arrive where it would have shown, and the fault of ours was logged.
    for place in ("message_attempts", "exceptions", "the answers"):
        assert REFLECTED in places[place], place
    assert "request_failed" in places["the log"]
    assert "Traceback" in places["the log"] or "traceback" in places["the log"]
    session = base64.b64encode(f"hub:7:{SESSION}".encode()).decode()
    secrets = {
        "the token": ERP_TOKEN,
        "the password": TRYTON_PASSWORD,
        "the session": session,
        "the session's id": SESSION,
    }
    secrets |= {"the event secret": EVENT_SECRET.removeprefix("whsec_")}
    secrets |= {"the key": scene.key.split("_", 2)[2], "the heir": heir.split("_", 2)[2]}
    shown = {(name, place) for name, secret in secrets.items() for place, text in places.items() if secret in text}
    assert shown == set()


async def _through_everything(scene: Scene) -> str:
    """Success and failure wherever a secret is used; the secret of a key that was made and rotated."""
    for entity in ("east", "west"):
        made = await scene.ask("POST", "/v1/orders", json=order(entity=entity))
        assert made.status_code == 201, made.text
        await scene.ask("GET", f"/v1/systems/erp_{entity}")
        await _dead(scene, made.json()["transaction_id"])
        for path in ("", "/lineage", "/documents"):
            await scene.ask("GET", f"/v1/transactions/{made.json()['transaction_id']}{path}")
    for each in (await scene.ask("GET", "/v1/exceptions")).json()["items"]:
        await scene.ask("GET", f"/v1/exceptions/{each['id']}")
    event = orjson.dumps(shipped(made.json()["transaction_id"]))
    for secret in (EVENT_SECRET, "whsec_" + base64.b64encode(b"another").decode()):
        headers = signature(event, secret=secret) | {"Content-Type": STRUCTURED}
        await scene.ask("POST", "/v1/events", content=event, headers=headers)
    await scene.ask("GET", "/v1/transactions", headers={"Authorization": f"Bearer {scene.key}x"})
    await scene.ask("GET", f"/v1/nothing/{'here'}", headers={"If-Match": scene.key})
    wish = {"name": "shop", "roles": ["sales"], "entities": ["east"]}
    key = (await scene.ask("POST", "/v1/keys", json=wish, quietly=True)).json()
    heir = (await scene.ask("POST", f"/v1/keys/{key['id']}:rotate", quietly=True)).json()
    await scene.pool.execute("alter table audit_entries add constraint broken check (action <> 'key.create') not valid")
    failed = await scene.ask("POST", "/v1/keys", json=wish)
    assert failed.status_code == 500, failed.text
    for path in ("/v1/keys", "/v1/audit", "/v1/messages", "/v1/systems", "/metrics", "/openapi.json"):
        await scene.ask("GET", path)
    return str(heir["key"])


async def _dead(scene: Scene, transaction_id: str) -> None:
    """Wait until the order's message is given up, and look at it."""
    await scene.pool.fetchval("select pg_sleep(0.2)")
    for _ in range(100):
        found = (await scene.ask("GET", "/v1/messages", params={"transaction_id": transaction_id}, quietly=True)).json()
        dead = [each["id"] for each in found["items"] if each["state"] == "dead"]
        if dead:
            await scene.ask("GET", f"/v1/messages/{dead[0]}")
            return
        await scene.pool.fetchval("select pg_sleep(0.1)")
    raise AssertionError(f"nothing died: {found}")
