"""API keys over HTTP: made for who may have them, narrowed, rotated without a gap, revoked, expired; their secrets shown once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, order, serve

from tallystick.control import keys


@pytest.fixture(scope="module")
async def served(make_database: MakeDatabase) -> AsyncIterator[Served]:
    """An installation whose server asks for each key anew, so that no test waits for five seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_CACHE_SECONDS", 0.0)
        async with make_database() as url, serve(url) as installation:
            yield installation


def wish(**changes: Any) -> dict[str, Any]:
    return {"name": "shop", "roles": ["sales"], "entities": ["east"]} | changes


async def made(served: Served, **changes: Any) -> dict[str, Any]:
    async with served.acting_as("admin") as admin:
        answer = await admin.post("/v1/keys", json=wish(**changes))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def bearing(served: Served, key: str) -> httpx.AsyncClient:
    return served.acting_as(None, Authorization=f"Bearer {key}")


async def test_key_works_for_what_it_is_for_and_is_kept_nowhere(served: Served) -> None:
    key = await made(served)
    async with bearing(served, key["key"]) as shop:
        own = await shop.post("/v1/orders", json=order())
        other = await shop.post("/v1/orders", json=order(entity="west"))
        beyond = await shop.get("/v1/audit")
    assert [each.status_code for each in (own, other, beyond)] == [201, 403, 403]
    async with served.acting_as("admin") as admin:
        listed = await admin.get("/v1/keys")
        trail = await admin.get(f"/v1/audit?object_id={key['id']}")
    mine = next(each for each in listed.json()["items"] if each["id"] == key["id"])
    assert (mine["principal"], mine["roles"], mine["entities"]) == ("shop", ["sales"], ["east"])
    assert mine["last_used_at"] is not None
    assert trail.json()["items"][0]["detail"]["roles"] == ["sales"]
    secret = key["key"].rpartition("_")[2]
    tables = ("api_keys", "audit_entries", "principals")
    kept = [str(row) for table in tables for row in await served.pool.fetch(f"select * from {table}")]
    assert not [text for text in (*kept, listed.text, trail.text) if secret in text]


async def test_scopes_narrow_a_key_and_never_widen_it(served: Served) -> None:
    narrow = await made(served, scopes=["transactions.read", "keys.manage"])
    async with bearing(served, narrow["key"]) as shop:
        read = await shop.get("/v1/transactions")
        create = await shop.post("/v1/orders", json=order())
        manage = await shop.post("/v1/keys", json=wish())
    assert [each.status_code for each in (read, create, manage)] == [200, 403, 403]


async def test_nobody_gives_away_what_they_do_not_have(served: Served) -> None:
    async with served.acting_as("east_admin") as admin:
        wider = await admin.post("/v1/keys", json=wish(entities=["*"]))
        other = await admin.post("/v1/keys", json=wish(entities=["east", "west"]))
        taken = await admin.post("/v1/keys", json=wish(name="auditor"))
        foreign = [await admin.post(f"/v1/keys/{each}:revoke") for each in await _beyond_the_east(served)]
    assert [(each.status_code, each.json()["code"]) for each in (wider, other, taken)] == [(403, "key.beyond_own")] * 3
    assert {each.status_code for each in foreign} == {404}
    narrow = await made(served, name="clerk", roles=["admin"], scopes=["keys.manage"])
    async with bearing(served, narrow["key"]) as clerk:
        risen = await clerk.post("/v1/keys", json=wish(name="clerk2"))
    assert (risen.status_code, risen.json()["code"]) == (403, "key.beyond_own")


async def _beyond_the_east(served: Served) -> list[str]:
    rows = await served.pool.fetch(
        "select k.id from api_keys k join principals p on p.name = k.principal where not p.entities <@ '{east}'"
    )
    assert rows
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"roles": []}, "/roles"),
        ({"roles": ["emperor"]}, "'emperor'"),
        ({"scopes": ["orders.destroy"]}, "'orders.destroy'"),
        ({"entities": []}, "/entities"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": ""}, "/name"),
        ({"valid_days": 0}, "/valid_days"),
        ({"valid_days": 99_999}, "/valid_days"),
        ({"valid_days": True}, "/valid_days"),
        ({"valid_days": "365"}, "/valid_days"),
        ({"scopes": []}, "/scopes"),
        ({"validdays": 1}, "/validdays"),
    ],
)
async def test_wish_that_is_none_is_refused_by_its_field(served: Served, changes: dict[str, Any], said: str) -> None:
    before = await served.pool.fetchval("select count(*) from api_keys")
    async with served.acting_as("admin") as admin:
        answer = await admin.post("/v1/keys", json=wish(**changes))
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert await served.pool.fetchval("select count(*) from api_keys") == before


async def test_keys_expire_when_asked_to(served: Served) -> None:
    a_year, for_ever, a_day = await made(served), await made(served, valid_days=None), await made(served, valid_days=1)
    ends = [each["expires_at"] and datetime.fromisoformat(each["expires_at"]) for each in (a_year, for_ever, a_day)]
    now = datetime.now(UTC)
    assert ends[1] is None
    assert abs(ends[0] - now - timedelta(days=365)) < timedelta(minutes=1)
    assert abs(ends[2] - now - timedelta(days=1)) < timedelta(minutes=1)
    await served.pool.execute("update api_keys set expires_at = now() - interval '1 s' where id = $1", a_day["id"])
    async with bearing(served, a_day["key"]) as late, bearing(served, for_ever["key"]) as shop:
        refused = await late.get("/v1/transactions")
        assert (await shop.get("/v1/transactions")).status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (401, "authentication.failed")
    assert a_day["key"] not in refused.text


async def test_rotated_key_has_an_heir_and_goes_on_as_long_as_asked(served: Served) -> None:
    key = await made(served, scopes=["transactions.read"])
    async with served.acting_as("admin") as admin:
        heir = (await admin.post(f"/v1/keys/{key['id']}:rotate", json={"overlap_seconds": 600})).json()
        async with bearing(served, key["key"]) as old, bearing(served, heir["key"]) as new:
            assert [(await each.get("/v1/transactions")).status_code for each in (old, new)] == [200, 200]
            assert (await new.post("/v1/orders", json=order())).status_code == 403
        last = (await admin.post(f"/v1/keys/{heir['id']}:rotate")).json()
        gone = await admin.post(f"/v1/keys/{heir['id']}:rotate")
        too_long = await admin.post(f"/v1/keys/{last['id']}:rotate", json={"overlap_seconds": 10**9})
        no_number = await admin.post(f"/v1/keys/{last['id']}:rotate", json={"overlap_seconds": False})
    async with bearing(served, heir["key"]) as old, bearing(served, last["key"]) as new:
        assert [(await each.get("/v1/transactions")).status_code for each in (old, new)] == [401, 200]
    assert gone.status_code == 404
    for refused in (too_long, no_number):
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/overlap_seconds")


async def test_revoked_key_stops_working_and_is_not_revoked_twice(served: Served) -> None:
    key = await made(served)
    async with served.acting_as("admin") as admin, bearing(served, key["key"]) as shop:
        assert (await shop.get("/v1/transactions")).status_code == 200
        done = await admin.post(f"/v1/keys/{key['id']}:revoke")
        again = await admin.post(f"/v1/keys/{key['id']}:revoke")
        assert (await shop.get("/v1/transactions")).status_code == 401
        trail = (await admin.get(f"/v1/audit?object_id={key['id']}")).json()["items"]
    assert (done.status_code, again.status_code) == (200, 404)
    assert [each["action"] for each in trail] == ["key.revoke", "key.create"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer tsk_",
        "Bearer tsk_a_b",
        "Bearer " + "x" * 5_000,
        "tsk_a_b",
    ],
)
async def test_what_is_no_key_is_refused_alike(served: Served, header: str) -> None:
    async with served.acting_as(None, Authorization=header) as nobody:
        answer = await nobody.get("/v1/transactions")
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication.failed")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tallystick"'
