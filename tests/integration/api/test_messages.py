"""Live messages and dead letters over HTTP: looked at, replayed one by one or by filter, edited, discarded; always on record."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.integration.api.installation import Served
from tests.integration.api.work import refuse, submit

from tallystick.mailbox.messages import Message


async def state_of(served: Served, message_id: str) -> str | None:
    state: str | None = await served.pool.fetchval("select state from messages where id = $1::uuid", message_id)
    return state


async def records(served: Served, action: str, object_id: str) -> list[dict[str, Any]]:
    rows = await served.pool.fetch(
        """
        select principal, reason, detail, transaction_id from audit_entries
        where action = $1 and object_id = $2 order by id desc
        """,
        action,
        object_id,
    )
    return [dict(row) for row in rows]


async def test_live_messages_are_listed_by_filter_page_by_page(served: Served) -> None:
    dead, live = await refuse(served), await submit(served)
    async with served.acting_as("east_operator") as operator:

        async def listed(query: str) -> list[dict[str, Any]]:
            answer = await operator.get(f"/v1/messages?limit=200&{query}")
            assert answer.status_code == 200, answer.text
            items: list[dict[str, Any]] = answer.json()["items"]
            return items

        mine = await listed(f"transaction_id={live['transaction_id']}")
        assert {each["kind"] for each in mine} == {"commit_order", "publish"}
        assert {each["stage"] for each in await listed("stage=publication")} == {"publication"}
        assert {each["system"] for each in await listed("system=erp_east")} == {"erp_east"}
        assert {each["kind"] for each in await listed("kind=publish")} == {"publish"}
        assert dead.message_id in {each["id"] for each in await listed("state=dead")}
        assert {each["state"] for each in await listed("state=ready")} == {"ready"}
        whole = [each["id"] for each in await listed("")]
        paged: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await operator.get("/v1/messages?limit=3" + (f"&cursor={cursor}" if cursor else ""))).json()
            paged += [each["id"] for each in page["items"]]
            cursor = page["next"]
    assert paged == whole
    assert len(set(paged)) == len(paged) > 3


async def test_message_is_shown_with_its_payload_and_what_was_tried(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator") as operator:
        found = (await operator.get(f"/v1/messages/{dead.message_id}")).json()
        unknown = await operator.get(f"/v1/messages/{uuid4()}")
    assert (found["state"], found["kind"], found["deliveries"], found["attempts"]) == ("dead", "commit_order", 1, 1)
    assert found["payload"]["revision"] == 1
    tried = found["attempts_made"][0]
    assert (tried["failure"], tried["error"], tried["duration_ms"]) == (
        "rejected",
        "erp: there is no product P-1",
        12.5,
    )
    assert (tried["request"], tried["response"]) == ({"a": 1}, {"status": 422})
    assert unknown.status_code == 404


async def test_depths_count_what_waits_and_what_is_dead_by_route(served: Served) -> None:
    await refuse(served)
    await submit(served)
    async with served.acting_as("east_operator") as operator:
        items = (await operator.get("/v1/messages:depths")).json()["items"]
    depth = {(each["stage"], each["system"]): each for each in items}[("commitment", "erp_east")]
    counts = await served.pool.fetchrow(
        """
        select count(*) filter (where state = 'dead') as dead, count(*) filter (where state <> 'dead') as waiting
        from messages where stage = 'commitment' and system = 'erp_east'
        """
    )
    assert counts is not None
    assert (depth["dead"], depth["waiting"], depth["in_flight"]) == (counts["dead"], counts["waiting"], 0)
    assert depth["oldest_seconds"] >= 0
    assert "erp_west" not in {each["system"] for each in items}


async def test_dead_letter_is_replayed_and_its_exception_closed(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator") as operator:
        answer = await operator.post(f"/v1/messages/{dead.message_id}:replay", json={"reason": "product is there now"})
        again = await operator.post(f"/v1/messages/{dead.message_id}:replay")
        exception = (await operator.get(f"/v1/exceptions/{dead.exception_id}")).json()
        message = (await operator.get(f"/v1/messages/{dead.message_id}")).json()
    assert (answer.status_code, answer.json()) == (200, {"replayed": 1})
    assert (again.status_code, again.json()["code"]) == (409, "message.not_dead")
    assert (exception["state"], exception["resolution"], exception["resolved_by"]) == (
        "resolved",
        "replayed",
        "east_operator",
    )
    assert (message["state"], message["attempts"], message["deliveries"]) == ("ready", 0, 1)
    assert len(message["attempts_made"]) == 1
    assert [
        (each["principal"], each["reason"]) for each in await records(served, "message.replay", dead.message_id)
    ] == [("east_operator", "product is there now")]


async def test_edited_payload_is_replayed_and_the_one_before_kept(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator") as operator:
        before = (await operator.get(f"/v1/messages/{dead.message_id}")).json()["payload"]
        edited = before | {"tax_amount": 3}
        await operator.post(f"/v1/messages/{dead.message_id}:replay", json={"payload": edited})
        after = (await operator.get(f"/v1/messages/{dead.message_id}")).json()["payload"]
    assert after == edited
    assert (await records(served, "message.replay", dead.message_id))[0]["detail"] == {
        "before": before,
        "after": edited,
    }


async def test_filter_counts_first_and_replays_only_what_it_names(served: Served) -> None:
    first, second, west = await refuse(served), await refuse(served), await refuse(served, entity="west")
    async with served.acting_as("east_operator") as east, served.acting_as("operator") as everywhere:
        other = await east.post("/v1/messages:replay", json={"system": "erp_west"})
        assert other.json() == {"replayed": 0}
        assert await state_of(served, west.message_id) == "dead"
        named = {"transaction_id": first.transaction_id, "kind": "commit_order"}
        counted = await east.post("/v1/messages:replay", json={**named, "dry_run": True})
        assert counted.json() == {"would_replay": 1}
        assert await state_of(served, first.message_id) == "dead"
        assert (await east.post("/v1/messages:replay", json=named)).json() == {"replayed": 1}
        assert await state_of(served, first.message_id) == "ready"
        assert await state_of(served, second.message_id) == "dead"
        body = {"stage": "commitment", "reason": "the list is loaded"}
        rest = await everywhere.post("/v1/messages:replay", json=body)
    assert rest.json()["replayed"] >= 2
    assert await state_of(served, second.message_id) == await state_of(served, west.message_id) == "ready"
    exceptions = await served.pool.fetch(
        "select state from exceptions where id = any($1::uuid[])",
        [first.exception_id, second.exception_id, west.exception_id],
    )
    assert {each["state"] for each in exceptions} == {"resolved"}
    for each in (second, west):
        [record] = await records(served, "message.replay", each.message_id)
        assert (record["reason"], record["detail"]) == ("the list is loaded", {"filter": {"stage": "commitment"}})
        assert str(record["transaction_id"]) == str(each.transaction_id)


@pytest.mark.parametrize(
    "body",
    [{"stge": "commitment"}, {"stage": 7}, {"dry_run": "perhaps"}, {"dry_run": 1}, {"transaction_id": "W-1"}, [], None],
)
async def test_misspelt_filter_replays_nothing(served: Served, body: Any) -> None:
    dead = await refuse(served)
    async with served.acting_as("operator") as operator:
        answer = await operator.post("/v1/messages:replay", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert await state_of(served, dead.message_id) == "dead"


async def test_discarded_letter_is_gone_and_what_waited_behind_it_flows(served: Served) -> None:
    dead = await refuse(served)
    lane = UUID(dead.transaction_id)
    behind = Message(
        stage="commitment",
        system="erp_east",
        kind="cancel_order",
        lane=lane,
        transaction_id=lane,
        payload={},
        entity="east",
    )
    async with served.pool.acquire() as connection, connection.transaction():
        await served.flow.carrier.offer(connection, [behind])
    assert await state_of(served, str(behind.id)) == "parked"
    async with served.acting_as("east_operator") as operator:
        path = f"/v1/messages/{dead.message_id}:discard"
        wordless = await operator.post(path, json={})
        done = await operator.post(path, json={"reason": "entered in the ERP by hand"})
        again = await operator.post(path, json={"reason": "entered in the ERP by hand"})
        exception = (await operator.get(f"/v1/exceptions/{dead.exception_id}")).json()
    assert (wordless.status_code, wordless.json()["errors"][0]["pointer"]) == (422, "/reason")
    assert (done.status_code, done.json()) == (200, {"discarded": 1})
    assert again.status_code == 404
    assert await state_of(served, dead.message_id) is None
    assert await state_of(served, str(behind.id)) == "ready"
    assert (exception["resolution"], exception["resolution_reason"]) == ("discarded", "entered in the ERP by hand")
    assert (await records(served, "message.discard", dead.message_id))[0]["detail"]["payload"]["revision"] == 1
    outcome = await served.pool.fetchval("select outcome from message_log where id = $1::uuid", dead.message_id)
    assert outcome == "discarded"


async def test_live_message_is_neither_replayed_nor_discarded(served: Served) -> None:
    live = await submit(served)
    message_id = await served.pool.fetchval(
        "select id from messages where transaction_id = $1::uuid and stage = 'commitment'", live["transaction_id"]
    )
    async with served.acting_as("operator") as operator:
        for action, body in (("replay", {}), ("discard", {"reason": "never mind"})):
            answer = await operator.post(f"/v1/messages/{message_id}:{action}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "message.not_dead")
    assert await state_of(served, str(message_id)) == "ready"
