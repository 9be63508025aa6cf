"""Every route for every role: denied unless the table of roles says otherwise, and nothing of other entities is ever seen."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.routing import APIRouter
from tests.integration.api.installation import Served, held_order, order

from tallystick.api.app import RESOURCES
from tallystick.api.authentication import GuardedRoute, allowed
from tallystick.control.access import ALL_PERMISSIONS, PERMISSIONS

# Events are admitted by their signature, health and metrics by nothing: machines watch them.
OPEN = {"/v1/events", "/health/live", "/health/ready", "/metrics"}
ROUTES = [("POST", "/v1/orders", "orders.create")] + [
    (method, f"/v1{route.path}", route.permission)
    for resource in RESOURCES
    for route in resource.router.routes
    if isinstance(route, GuardedRoute)
    for method in sorted(route.methods or ())
]


def _filled(path: str) -> str:
    for name in ("transaction_id", "exception_id", "message_id", "key_id", "line_id", "run_id", "break_id"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    return path.replace("{name}", "erp_nowhere")


def test_every_route_of_the_description_is_guarded_or_known_to_be_open(served: Served) -> None:
    described = {
        (method.upper(), path): operation.get("x-permission")
        for path, operations in served.app.openapi()["paths"].items()
        for method, operation in operations.items()
    }
    assert {key for key, permission in described.items() if permission is None} == {
        (method, path) for method, path in described if path in OPEN
    }
    assert {key: permission for key, permission in described.items() if permission} == {
        (method, path): permission for method, path, permission in ROUTES
    }


def test_route_without_a_permission_cannot_be_made() -> None:
    with pytest.raises(LookupError, match="name its permission"):
        APIRouter(route_class=GuardedRoute).add_api_route("/open", lambda: None)


def test_unknown_permission_cannot_be_asked_for() -> None:
    with pytest.raises(LookupError, match=r"orders\.destroy"):
        allowed("orders.destroy")


@pytest.mark.parametrize(("method", "path", "permission"), ROUTES)
async def test_nobody_is_let_in_without_a_key(served: Served, method: str, path: str, permission: str) -> None:
    async with served.acting_as() as nobody:
        answer = await nobody.request(method, _filled(path), content=b"not even JSON")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", sorted(PERMISSIONS))
@pytest.mark.parametrize(("method", "path", "permission"), ROUTES)
async def test_roles_may_what_the_table_says_and_nothing_else(
    served: Served, method: str, path: str, permission: str, role: str
) -> None:
    async with served.acting_as(role) as somebody:
        answer = await somebody.request(method, _filled(path), content=b"not even JSON")
    if permission in PERMISSIONS[role]:
        assert answer.status_code not in (401, 403, 500), answer.text
    else:
        assert answer.status_code == 403
        assert answer.json()["permission"] == permission


def test_only_the_admin_manages_keys_and_only_people_override() -> None:
    assert [role for role in PERMISSIONS if "keys.manage" in PERMISSIONS[role]] == ["admin"]
    assert "exceptions.override" not in PERMISSIONS["sales"] | PERMISSIONS["system"] | PERMISSIONS["auditor"]
    assert not {each for each in PERMISSIONS["auditor"] if each.split(".")[1] not in ("read", "validate")}
    assert frozenset().union(*PERMISSIONS.values()) == ALL_PERMISSIONS


async def _held_in_the_west(served: Served) -> dict[str, Any]:
    async with served.acting_as("sales") as sales:
        answer = await sales.post("/v1/orders", json=held_order(entity="west"))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert body["decision"] == "hold"
    return body


async def test_objects_of_another_entity_look_as_if_they_were_not_there(served: Served) -> None:
    west = await _held_in_the_west(served)
    message: UUID = await served.pool.fetchval("select id from messages where entity = 'west' limit 1")
    await served.pool.execute("update messages set state = 'dead' where id = $1", message)
    ids = {"transaction_id": west["transaction_id"], "exception_id": west["exception_id"], "message_id": str(message)}
    bodies: dict[str, dict[str, Any]] = {
        ":assign": {"owner": "me"},
        ":comment": {"text": "mine"},
        ":override": {"reason": "because"},
        ":reject": {"reason": "because"},
        ":discard": {"reason": "because"},
        ":amend": {"payload": {}},
        ":resolve": {"reason": "because", "root_cause": "data_quality"},
    }
    asked = 0
    async with served.acting_as("east_admin", **{"If-Match": '"1"'}) as stranger, served.acting_as("admin") as admin:
        for method, path, _ in ROUTES:
            name = next((each for each in ids if f"{{{each}}}" in path), None)
            if name is None:
                continue
            asked += 1
            address = path.replace(f"{{{name}}}", ids[name])
            body = order() if method == "PUT" else bodies.get(f":{path.rpartition(':')[2]}", {})
            answer = await stranger.request(method, address, json=None if method == "GET" else body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert west["order_number"] not in answer.text
            if method == "GET":
                assert (await admin.get(address)).status_code == 200
    assert asked >= 15


async def test_lists_and_searches_hold_only_the_own_entities(served: Served) -> None:
    west = await _held_in_the_west(served)
    async with served.acting_as("east_admin") as stranger:
        for address in (
            f"/v1/transactions?search={west['order_number']}",
            f"/v1/transactions?search={west['transaction_id']}",
            f"/v1/exceptions?transaction_id={west['transaction_id']}",
            f"/v1/messages?transaction_id={west['transaction_id']}",
            f"/v1/audit?transaction_id={west['transaction_id']}",
        ):
            answer = await stranger.get(address)
            assert answer.status_code == 200, answer.text
            assert answer.json()["items"] == [], address
        systems = {each["name"] for each in (await stranger.get("/v1/systems")).json()["items"]}
        keys = {each["principal"] for each in (await stranger.get("/v1/keys")).json()["items"]}
    assert systems == {"erp_east", "wms_east", "shared"}
    assert all(each.startswith("east_") for each in keys)


async def test_order_for_another_entity_is_refused_as_for_one_that_is_not_set_up(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        foreign = await sales.post("/v1/orders", json=order(entity="west"))
        missing = await sales.post("/v1/orders", json=order(entity="north"))
    assert foreign.status_code == missing.status_code == 403
    assert foreign.json()["detail"].replace("west", "north") == missing.json()["detail"]


async def test_change_cannot_carry_an_order_into_another_entity(served: Served) -> None:
    async with served.acting_as("sales") as sales:
        mine = order()
        made = (await sales.post("/v1/orders", json=mine)).json()
        answer = await sales.put(
            f"/v1/orders/{made['transaction_id']}", json=mine | {"entity": "west"}, headers={"If-Match": '"1"'}
        )
    assert answer.status_code == 409
    assert answer.json()["code"] == "order.entity_changed"


async def test_shared_system_is_paused_only_by_who_acts_for_all_that_use_it(served: Served) -> None:
    async with served.acting_as("east_operator") as east, served.acting_as("operator") as everywhere:
        own = await east.post("/v1/systems/erp_east:pause", json={"reason": "month end"})
        shared = await east.post("/v1/systems/shared:pause", json={"reason": "month end"})
        foreign = await east.post("/v1/systems/erp_west:pause", json={"reason": "month end"})
        allowed_ = await everywhere.post("/v1/systems/shared:pause", json={"reason": "month end"})
        await everywhere.post("/v1/systems/shared:resume")
        await east.post("/v1/systems/erp_east:resume")
    assert (own.status_code, shared.status_code, foreign.status_code, allowed_.status_code) == (200, 403, 404, 200)


async def test_unknown_fields_are_refused_so_that_nothing_is_assigned_that_was_not_meant(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        answer = await sales.post("/v1/orders", json=order() | {"intake": "accepted", "version": 7})
    assert answer.status_code == 422
    assert {each["pointer"] for each in answer.json()["errors"]} == {"/intake", "/version"}
