"""The work queue over HTTP: found by what people look for; every action once, by who saw the newest version, on record."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.integration.api.installation import Served, held_order, order
from tests.integration.api.work import hold, refuse

SEEN = {"If-Match": '"1"'}
LINE: dict[str, Any] = {"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "10.00"}


async def story(client: httpx.AsyncClient, exception_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/exceptions/{exception_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


async def audited(served: Served, object_id: str) -> list[tuple[str, str, str | None]]:
    rows = await served.pool.fetch(
        "select action, principal, reason from audit_entries where object_id = $1 order by id", object_id
    )
    return [tuple(row) for row in rows]


async def all_pages(client: httpx.AsyncClient, address: str, size: int = 2) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get(f"{address}&limit={size}" + (f"&cursor={cursor}" if cursor else ""))).json()
        assert len(page["items"]) <= size
        items += page["items"]
        cursor = page["next"]
    return items


async def test_exception_tells_its_whole_story(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator") as operator:
        found = await story(operator, dead.exception_id)
    assert (found["type"], found["message_id"], found["state"]) == ("commitment.rejected", dead.message_id, "open")
    assert [each["error"] for each in found["attempts"]] == ["erp: there is no product P-1"]
    assert found["attempts"][0]["response"] == {"status": 422}
    assert [each["type"] for each in found["documents"]] == ["order"]
    assert [each["fact"] for each in found["lineage"]] == ["received", "accepted", "rejected"]
    assert (found["money_at_risk"], found["currency"]) == (2000, "USD")


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("money", lambda each: (-each["money_at_risk"],)),
        ("due", lambda each: (each["due_at"], each["id"])),
        ("opened", lambda each: (each["opened_at"], each["id"])),
    ],
)
async def test_queue_is_sorted_and_paged_without_gap_or_repetition(served: Served, sort: str, key: Any) -> None:
    made = {
        (await hold(served, lines=[LINE | {"quantity": quantity, "unit_price": "8.00"}]))["exception_id"]
        for quantity in ("1", "5", "3", "3", "2")
    }
    async with served.acting_as("east_operator") as operator:
        items = await all_pages(operator, f"/v1/exceptions?sort={sort}")
        whole = (await operator.get(f"/v1/exceptions?sort={sort}&limit=200")).json()
    assert [each["id"] for each in items] == [each["id"] for each in whole["items"]]
    assert whole["next"] is None
    assert sorted(items, key=key) == items
    assert made <= {each["id"] for each in items}
    assert len({each["id"] for each in items}) == len(items)


async def test_queue_is_filtered_by_what_people_look_for(served: Served) -> None:
    held, dead = await hold(served), await refuse(served)
    owner = f"ana-{uuid4().hex[:6]}"
    async with served.acting_as("operator") as operator:
        await operator.post(f"/v1/exceptions/{held['exception_id']}:assign", json={"owner": owner}, headers=SEEN)

        async def ids(query: str) -> set[str]:
            answer = await operator.get(f"/v1/exceptions?limit=200&{query}")
            assert answer.status_code == 200, answer.text
            return {each["id"] for each in answer.json()["items"]}

        assert await ids(f"owner={owner}") == {held["exception_id"]}
        assert await ids(f"transaction_id={dead.transaction_id}") == {dead.exception_id}
        assert dead.exception_id in await ids("type=commitment.rejected")
        assert held["exception_id"] not in await ids("type=commitment.rejected")
        assert await ids("due_before=2020-01-01T00:00:00Z") == set()
        assert held["exception_id"] in await ids("due_before=2100-01-01T00:00:00%2B02:00")
        assert await ids("type=order.hold") == set()
        version = (await story(operator, dead.exception_id))["version"]
        resolution = {"reason": "booked by hand", "root_cause": "missing_api"}
        done = await operator.post(
            f"/v1/exceptions/{dead.exception_id}:resolve", json=resolution, headers={"If-Match": f'"{version}"'}
        )
        assert done.status_code == 200, done.text
        assert dead.exception_id not in await ids("state=open")
        assert dead.exception_id in await ids("state=resolved")
        assert {held["exception_id"], dead.exception_id} <= await ids("state=all")


async def test_assigning_and_commenting_move_the_version_on_and_are_on_record(served: Served) -> None:
    held = await hold(served)
    path = f"/v1/exceptions/{held['exception_id']}"
    async with served.acting_as("east_operator") as operator, served.acting_as("east_sales") as sales:
        assigned = await operator.post(f"{path}:assign", json={"owner": "ana"}, headers=SEEN)
        commented = await sales.post(f"{path}:comment", json={"text": "customer asked"})
        back = await operator.post(
            f"{path}:assign", json={"owner": None}, headers={"If-Match": commented.headers["etag"]}
        )
        found = await story(operator, held["exception_id"])
    assert [each.status_code for each in (assigned, commented, back)] == [200, 200, 200]
    assert [each.headers["etag"] for each in (assigned, commented, back)] == ['"2"', '"3"', '"4"']
    assert (found["owner"], found["version"]) == (None, 4)
    assert [(each["principal"], each["action"], each["note"]) for each in found["notes"]] == [
        ("east_operator", "assign", None),
        ("east_sales", "comment", "customer asked"),
        ("east_operator", "assign", None),
    ]
    assert [each[:2] for each in await audited(served, held["exception_id"])] == [
        ("exception.assign", "east_operator"),
        ("exception.comment", "east_sales"),
        ("exception.assign", "east_operator"),
    ]


@pytest.mark.parametrize(
    ("tag", "status", "code"),
    [
        (None, 428, "if_match.missing"),
        ("*", 428, "if_match.missing"),
        ("1", 400, "if_match.invalid"),
        ('"1", "2"', 400, "if_match.invalid"),
        ('"1" "', 400, "if_match.invalid"),
        ('"2"', 412, "version.changed"),
        ('W/"1"', 412, "version.changed"),
        ('"01"', 412, "version.changed"),
        ('"one"', 412, "version.changed"),
        ('"99999999999999999999"', 412, "version.changed"),
    ],
)
async def test_only_who_saw_the_newest_version_changes_it(
    served: Served, tag: str | None, status: int, code: str
) -> None:
    held = await hold(served)
    path = f"/v1/exceptions/{held['exception_id']}"
    bodies: dict[str, dict[str, Any]] = {
        "assign": {"owner": "ana"},
        "retry": {},
        "amend": {"order": held_order()},
        "override": {"reason": "agreed by phone"},
        "reject": {"reason": "withdrawn"},
        "resolve": {"reason": "done elsewhere", "root_cause": "data_quality"},
    }
    headers = {} if tag is None else {"If-Match": tag}
    async with served.acting_as("east_operator", **headers) as operator:
        for action, body in bodies.items():
            answer = await operator.post(f"{path}:{action}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), (action, answer.text)
        assert (await story(operator, held["exception_id"]))["version"] == 1
    assert await audited(served, held["exception_id"]) == []


async def test_of_two_who_act_at_once_one_wins(served: Served) -> None:
    held = await hold(served)
    path = f"/v1/exceptions/{held['exception_id']}:assign"
    async with served.acting_as("east_operator", **SEEN) as operator:
        answers = await asyncio.gather(*(operator.post(path, json={"owner": f"o{n}"}) for n in range(6)))
    assert sorted(each.status_code for each in answers) == [200] + [412] * 5


async def test_retry_checks_a_held_order_again(served: Served) -> None:
    held = await hold(served)
    async with served.acting_as("east_operator", **SEEN) as operator:
        answer = await operator.post(f"/v1/exceptions/{held['exception_id']}:retry")
        told = await story(operator, held["exception_id"])
        there = (await operator.get(f"/v1/exceptions?transaction_id={held['transaction_id']}")).json()["items"]
    assert (answer.status_code, answer.json()["decision"]) == (200, "hold")
    assert (told["state"], [each["action"] for each in told["notes"]]) == ("open", ["retry"])
    assert [each["id"] for each in there] == [held["exception_id"]]


async def test_retry_replays_a_dead_letter_as_it_is(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator", **SEEN) as operator:
        answer = await operator.post(f"/v1/exceptions/{dead.exception_id}:retry")
        again = await operator.post(f"/v1/exceptions/{dead.exception_id}:retry", headers={"If-Match": '"2"'})
        transaction = (await operator.get(f"/v1/transactions/{dead.transaction_id}")).json()
    assert answer.json() == {"replayed": 1, "message_id": dead.message_id, "amended": False}
    assert again.status_code in (409, 412)
    assert await served.pool.fetchval("select state from messages where id = $1::uuid", dead.message_id) == "ready"
    assert transaction["commitment"] == "pending"


async def test_amended_order_is_judged_anew_and_its_revisions_stay_readable(served: Served) -> None:
    held_data = held_order()
    held = await hold(served, **held_data)
    right = held_data | {"lines": [LINE]}
    async with served.acting_as("east_operator", **SEEN) as operator:
        answer = await operator.post(
            f"/v1/exceptions/{held['exception_id']}:amend", json={"order": right, "reason": "price agreed"}
        )
        documents = (await operator.get(f"/v1/transactions/{held['transaction_id']}/documents")).json()["documents"]
        transaction = (await operator.get(f"/v1/transactions/{held['transaction_id']}")).json()
    assert answer.status_code == 200, answer.text
    assert (answer.json()["decision"], answer.json()["revision"]) == ("accept", 2)
    assert [(each["revision"], each["body"]["lines"][0]["unit_price"]) for each in documents] == [
        (1, "8.00"),
        (2, "10.00"),
    ]
    assert (transaction["intake"], transaction["commitment"], transaction["order_revision"]) == (
        "accepted",
        "pending",
        2,
    )
    assert ("exception.amend", "east_operator", "price agreed") in await audited(served, held["exception_id"])


async def test_edited_payload_is_kept_beside_the_one_before(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator", **SEEN) as operator:
        before = (await operator.get(f"/v1/messages/{dead.message_id}")).json()["payload"]
        edited = before | {"tax_amount": 7}
        answer = await operator.post(f"/v1/exceptions/{dead.exception_id}:amend", json={"payload": edited})
        after = (await operator.get(f"/v1/messages/{dead.message_id}")).json()
    assert answer.json()["amended"] is True
    assert (after["payload"], after["state"]) == (edited, "ready")
    detail = await served.pool.fetchval(
        "select detail from audit_entries where object_id = $1 and action = 'exception.amend'", dead.exception_id
    )
    assert (detail["before"], detail["after"]) == (before, edited)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "amend.nothing", None),
        ({"order": held_order(), "payload": {}}, "amend.nothing", None),
        ({"ordr": held_order()}, "request.invalid", "/ordr"),
        ({"order": order(lines=[LINE | {"quantity": "-1"}])}, "request.invalid", "/order/lines/0/quantity"),
        ({"order": order(lines=[LINE, LINE])}, "request.invalid", "/order/lines/1/line_number"),
        ({"payload": {"a": "\x00"}}, "request.invalid", "/payload"),
        ({"payload": {"a": 10**30}}, "request.invalid", "/payload"),
        ({"payload": [1]}, "request.invalid", "/payload"),
    ],
)
async def test_amendment_that_is_none_changes_nothing(
    served: Served, body: dict[str, Any], code: str, pointer: str | None
) -> None:
    held = await hold(served)
    async with served.acting_as("east_operator", **SEEN) as operator:
        answer = await operator.post(f"/v1/exceptions/{held['exception_id']}:amend", json=body)
        found = await story(operator, held["exception_id"])
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert pointer is None or pointer in [each["pointer"] for each in answer.json()["errors"]]
    assert (found["state"], found["version"]) == ("open", 1)


async def test_override_lets_the_order_pass_for_a_stated_reason(served: Served) -> None:
    held = await hold(served)
    path = f"/v1/exceptions/{held['exception_id']}:override"
    async with served.acting_as("east_finance", **SEEN) as finance:
        nameless = await finance.post(path, json={"codes": ["price.below_list"]})
        other = await finance.post(path, json={"reason": "agreed by phone", "codes": ["credit.over_limit"]})
        transaction = (await finance.get(f"/v1/transactions/{held['transaction_id']}")).json()
    assert (nameless.status_code, nameless.json()["errors"][0]["pointer"]) == (422, "/reason")
    assert (other.status_code, other.json()["decision"]) == (200, "hold")
    assert transaction["intake"] == "held"
    async with served.acting_as("east_finance") as finance:
        queue = (await finance.get(f"/v1/exceptions?transaction_id={held['transaction_id']}")).json()["items"]
        tag = {"If-Match": f'"{queue[0]["version"]}"'}
        passed = await finance.post(
            f"/v1/exceptions/{queue[0]['id']}:override", json={"reason": "agreed by phone"}, headers=tag
        )
        transaction = (await finance.get(f"/v1/transactions/{held['transaction_id']}")).json()
    assert (passed.status_code, passed.json()["decision"]) == (200, "accept")
    assert (transaction["intake"], transaction["commitment"]) == ("accepted", "pending")
    assert ("exception.override", "east_finance", "agreed by phone") in await audited(served, queue[0]["id"])


async def test_dead_letter_is_not_overridden(served: Served) -> None:
    dead = await refuse(served)
    async with served.acting_as("east_operator", **SEEN) as operator:
        answer = await operator.post(f"/v1/exceptions/{dead.exception_id}:override", json={"reason": "never mind"})
    assert (answer.status_code, answer.json()["code"]) == (409, "exception.not_overridable")


async def test_rejected_order_goes_back_to_its_channel_with_the_reason(served: Served) -> None:
    held, dead = await hold(served), await refuse(served)
    async with served.acting_as("east_sales") as sales:
        for exception_id, transaction_id in (
            (held["exception_id"], held["transaction_id"]),
            (dead.exception_id, dead.transaction_id),
        ):
            answer = await sales.post(
                f"/v1/exceptions/{exception_id}:reject", json={"reason": "withdrawn"}, headers=SEEN
            )
            assert answer.json() == {"decision": "reject", "transaction_id": transaction_id}, answer.text
            assert (await sales.get(f"/v1/transactions/{transaction_id}")).json()["intake"] == "rejected"
            news = await served.pool.fetch(
                "select payload from messages where transaction_id = $1::uuid and stage = 'publication'", transaction_id
            )
            assert [
                each[0]["data"]["reason"] for each in news if each[0]["type"] == "tallystick.order.rejected.v1"
            ] == ["withdrawn"]
    assert await served.pool.fetchval("select count(*) from messages where id = $1::uuid", dead.message_id) == 0


async def test_resolving_needs_a_reason_and_a_root_cause_and_a_held_order_a_decision(served: Served) -> None:
    held, dead = await hold(served), await refuse(served)
    whole = {"reason": "booked by hand", "root_cause": "missing_api"}
    async with served.acting_as("east_operator", **SEEN) as operator:
        path = f"/v1/exceptions/{dead.exception_id}:resolve"
        causeless = await operator.post(path, json={"reason": "booked by hand"})
        other = await operator.post(path, json=whole | {"root_cause": "bad_luck"})
        wordless = await operator.post(path, json=whole | {"reason": "ok"})
        undecided = await operator.post(f"/v1/exceptions/{held['exception_id']}:resolve", json=whole)
        done = await operator.post(path, json=whole)
        found = await story(operator, dead.exception_id)
        late = await operator.post(
            f"/v1/exceptions/{dead.exception_id}:assign",
            json={"owner": "x"},
            headers={"If-Match": f'"{found["version"]}"'},
        )
    assert [each.json()["errors"][0]["pointer"] for each in (causeless, other, wordless)] == [
        "/root_cause",
        "/root_cause",
        "/reason",
    ]
    assert (undecided.status_code, undecided.json()["code"]) == (409, "exception.needs_decision")
    assert done.status_code == 200
    assert (found["resolution"], found["root_cause"], found["resolved_by"]) == (
        "resolved",
        "missing_api",
        "east_operator",
    )
    assert (late.status_code, late.json()["code"]) == (409, "exception.resolved")


async def test_unknown_exception_is_not_found_for_every_action(served: Served) -> None:
    async with served.acting_as("east_operator", **SEEN) as operator:
        for action, body in (("retry", {}), ("comment", {"text": "x"}), ("assign", {"owner": None})):
            answer = await operator.post(f"/v1/exceptions/{uuid4()}:{action}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await operator.get("/v1/exceptions/W-1")).json()["errors"][0]["parameter"] == "exception_id"
