"""Connected systems over HTTP: described, asked, paused with a reason and resumed, on record and told to the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, serve

from tallystick.mailbox.breaker import SYSTEMS_CHANNEL
from tallystick.systems.sandbox_erp import connect


@pytest.fixture(scope="module")
async def connected(make_database: MakeDatabase) -> AsyncIterator[Served]:
    """An installation with a real connector whose system is not there."""
    async with make_database() as url, serve(url) as served:
        erp = connect("erp_east", {"url": "http://127.0.0.1:9", "connect_timeout": 0.5})
        served.flow.systems = {"erp_east": erp}
        yield served
        await erp.close()


async def test_systems_are_described_with_what_they_do_and_for_whom(connected: Served) -> None:
    async with connected.acting_as("admin") as admin:
        items = (await admin.get("/v1/systems")).json()["items"]
    found = {each["name"]: each for each in items}
    assert found["erp_east"]["kind"] == "sandbox_erp"
    assert "erp" in found["erp_east"]["roles"]
    assert found["shared"]["entities"] == ["east", "west"]
    assert found["erp_west"]["roles"] == []
    assert found["wms_west"]["state"] is None
    assert "whsec" not in str(items)


async def test_system_is_asked_whether_it_answers(connected: Served) -> None:
    async with connected.acting_as("east_operator") as operator:
        away = (await operator.get("/v1/systems/erp_east")).json()["health"]
        unconnected = (await operator.get("/v1/systems/wms_east")).json()["health"]
        unknown = await operator.get("/v1/systems/sap")
    assert away["ok"] is False
    assert "no connection" in away["detail"]
    assert away["latency_ms"] >= 0
    assert unconnected is None
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "there is no system 'sap' in the settings")


async def test_system_is_paused_with_a_reason_and_resumed_and_the_workers_are_told(connected: Served) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    def heard(*arguments: object) -> None:
        told.put_nowait(str(arguments[-1]))

    async with connected.pool.acquire() as connection, connected.acting_as("east_operator") as operator:
        await connection.add_listener(SYSTEMS_CHANNEL, heard)
        paused = await operator.post("/v1/systems/erp_east:pause", json={"reason": "month end"})
        again = await operator.post("/v1/systems/erp_east:pause", json={"reason": "month end, still"})
        state = (await operator.get("/v1/systems/erp_east")).json()["state"]
        resumed = await operator.post("/v1/systems/erp_east:resume")
        after = (await operator.get("/v1/systems/erp_east")).json()["state"]
        async with asyncio.timeout(5):
            assert [await told.get() for _ in range(3)] == ["erp_east"] * 3
        await connection.remove_listener(SYSTEMS_CHANNEL, heard)
    assert paused.json() == {"name": "erp_east", "paused": True, "changed": True}
    assert again.json()["changed"] is False
    assert resumed.json() == {"name": "erp_east", "paused": False, "changed": True}
    assert (state["paused"], state["paused_by"], state["paused_reason"]) == (True, "east_operator", "month end, still")
    assert after["paused"] is False
    rows = await connected.pool.fetch(
        "select action, reason from audit_entries where object_id = 'erp_east' order by id"
    )
    assert [tuple(row) for row in rows] == [
        ("system.pause", "month end"),
        ("system.pause", "month end, still"),
        ("system.resume", None),
    ]


async def test_resuming_gives_an_open_breaker_a_fresh_start(connected: Served) -> None:
    await connected.pool.execute(
        """
        insert into system_states (system, breaker, breaker_until, consecutive_failures, last_failure)
        values ('erp_west', 'open', now() + interval '1 hour', 5, 'away')
        """
    )
    async with connected.acting_as("operator") as operator:
        broken = (await operator.get("/v1/systems/erp_west")).json()["state"]
        await operator.post("/v1/systems/erp_west:resume")
        mended = (await operator.get("/v1/systems/erp_west")).json()["state"]
    assert (broken["breaker"], broken["last_failure"]) == ("open", "away")
    assert (mended["breaker"], mended["consecutive_failures"]) == ("closed", 0)


@pytest.mark.parametrize("body", [{}, {"reason": "ok"}, {"reason": None}, {"reason": "month end", "until": "noon"}])
async def test_pause_without_a_reason_or_with_more_than_one_changes_nothing(
    connected: Served, body: dict[str, object]
) -> None:
    async with connected.acting_as("east_operator") as operator:
        answer = await operator.post("/v1/systems/erp_east:pause", json=body)
        state = (await operator.get("/v1/systems/erp_east")).json()["state"]
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] in ("/reason", "/until")
    assert not (state and state["paused"])
