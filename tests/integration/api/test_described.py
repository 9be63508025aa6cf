"""What the API really answers is what its description says, field for field: each operation's success, and its problems."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.integration.api.installation import Served, held_order, order
from tests.integration.api.test_events import STRUCTURED, shipped, signature
from tests.integration.api.work import hold, refuse, submit
from tests.unit.api.description import OPERATIONS, mistakes

UNKNOWN = "00000000-0000-7000-8000-000000000000"

CALLS: list[tuple[str, str, str, Any]] = [
    ("orders_create_order", "POST", "/v1/orders", "order"),
    ("orders_validate_order", "POST", "/v1/orders:validate", "order"),
    ("orders_replace_order", "PUT", "/v1/orders/{held}", "amended"),
    ("orders_cancel", "POST", "/v1/orders/{held}:cancel", {"reason": "typed twice"}),
    ("transactions_list_transactions", "GET", "/v1/transactions?limit=2", None),
    ("transactions_show_transaction", "GET", "/v1/transactions/{held}", None),
    ("transactions_show_lineage", "GET", "/v1/transactions/{dead}/lineage", None),
    ("transactions_show_documents", "GET", "/v1/transactions/{dead}/documents", None),
    ("exceptions_list_queue", "GET", "/v1/exceptions?limit=200", None),
    ("exceptions_show", "GET", "/v1/exceptions/{exception}", None),
    ("exceptions_show", "GET", "/v1/exceptions/{burial}", None),
    ("exceptions_assign", "POST", "/v1/exceptions/{exception}:assign", {"owner": "ana"}),
    ("exceptions_comment", "POST", "/v1/exceptions/{exception}:comment", {"text": "asked"}),
    ("exceptions_retry", "POST", "/v1/exceptions/{exception}:retry", None),
    ("exceptions_retry", "POST", "/v1/exceptions/{burial}:retry", None),
    ("exceptions_amend", "POST", "/v1/exceptions/{exception}:amend", "amendment"),
    ("exceptions_override", "POST", "/v1/exceptions/{exception}:override", {"reason": "agreed"}),
    ("exceptions_reject", "POST", "/v1/exceptions/{exception}:reject", {"reason": "withdrawn"}),
    (
        "exceptions_resolve",
        "POST",
        "/v1/exceptions/{burial}:resolve",
        {"reason": "by hand", "root_cause": "missing_api"},
    ),
    ("messages_list_live", "GET", "/v1/messages?limit=200", None),
    ("messages_depths", "GET", "/v1/messages:depths", None),
    ("messages_show", "GET", "/v1/messages/{message}", None),
    ("messages_replay", "POST", "/v1/messages/{message}:replay", {}),
    ("messages_replay_many", "POST", "/v1/messages:replay", {"kind": "none", "dry_run": True}),
    ("messages_replay_many", "POST", "/v1/messages:replay", {"kind": "none"}),
    ("messages_discard", "POST", "/v1/messages/{message}:discard", {"reason": "by hand"}),
    ("systems_list_systems", "GET", "/v1/systems", None),
    ("systems_pause", "POST", "/v1/systems/wms_west:pause", {"reason": "month end"}),
    ("systems_show", "GET", "/v1/systems/wms_west", None),
    ("systems_resume", "POST", "/v1/systems/wms_west:resume", None),
    ("audit_read_trail", "GET", "/v1/audit?limit=200", None),
    ("keys_list_all", "GET", "/v1/keys", None),
    ("keys_make", "POST", "/v1/keys", {"name": "shop", "roles": ["sales"], "entities": ["east"]}),
    ("keys_rotate", "POST", "/v1/keys/{key}:rotate", {"overlap_seconds": 60}),
    ("keys_revoke", "POST", "/v1/keys/{key}:revoke", None),
    ("schemas_list_schemas", "GET", "/v1/schemas", None),
    ("schemas_show_schema", "GET", "/v1/schemas/order", None),
    ("events_take_events", "POST", "/v1/events", "event"),
    ("operations_live", "GET", "/health/live", None),
    ("operations_ready", "GET", "/health/ready", None),
]
# Lines, Prometheus text, what needs an ERP, and what needs a run on record: in test files of their own.
ELSEWHERE = {
    *("orders_create_orders", "operations_show_metrics"),
    *("cash_apply_cash", "cash_list_received", "cash_show", "cash_accept", "cash_refuse"),
    *(
        "reconciliations_list_kept",
        "reconciliations_show_run",
        "reconciliations_show_findings",
        "reconciliations_prepare",
    ),
    *(
        "reconciliations_sign",
        "reconciliations_reopen_run",
        "reconciliations_list_standing",
        "reconciliations_show_break",
    ),
    *("reconciliations_assign", "reconciliations_explain", "reconciliations_accept", "reconciliations_reopen_one"),
    *("reconciliations_explain_all", "reconciliations_accept_all"),
}


def test_every_operation_is_tried_here_or_elsewhere() -> None:
    assert {name for name, *_ in CALLS} | ELSEWHERE == set(OPERATIONS)


async def _scene(served: Served) -> tuple[dict[str, str], dict[str, Any]]:
    """A held order and a refused one with what belongs to them, and bodies that need them."""
    data = held_order()
    held, dead = await hold(served, **data), await refuse(served)
    async with served.acting_as("admin") as admin:
        made = await admin.post("/v1/keys", json={"name": "clerk", "roles": ["sales"], "entities": ["east"]})
    ids = {
        "held": held["transaction_id"],
        "exception": held["exception_id"],
        "dead": dead.transaction_id,
        "message": dead.message_id,
        "burial": dead.exception_id,
        "key": made.json()["id"],
    }
    right = data | {"lines": order()["lines"]}
    event = shipped((await submit(served))["transaction_id"])
    return ids, {"order": order(), "amended": right, "amendment": {"order": right}, "event": event}


@pytest.mark.parametrize(("name", "method", "path", "body"), CALLS)
async def test_answer_is_as_described(served: Served, name: str, method: str, path: str, body: Any) -> None:
    ids, bodies = await _scene(served)
    data = bodies.get(body) if isinstance(body, str) else body
    async with served.acting_as("admin", **{"If-Match": '"1"'}) as admin:
        request = admin.build_request(method, path.format(**ids), json=data)
        if name == "events_take_events":
            request = admin.build_request(
                method, path, content=request.content, headers={"Content-Type": STRUCTURED} | signature(request.content)
            )
        answer = await admin.send(request)
    assert answer.is_success, answer.text
    _as_described(name, answer)


def _as_described(name: str, answer: httpx.Response) -> None:
    described = OPERATIONS[name]["responses"][str(answer.status_code)]
    media_type = answer.headers["content-type"]
    assert mistakes(described["content"][media_type]["schema"], answer.json(), strict=answer.is_success) == []
    for header in described.get("headers", ()):
        assert header == "Idempotency-Replayed" or header in answer.headers


@pytest.mark.parametrize(
    ("name", "method", "path", "headers", "status"),
    [
        ("orders_create_order", "POST", "/v1/orders", {}, 400),
        ("orders_replace_order", "PUT", f"/v1/orders/{UNKNOWN}", {}, 428),
        ("orders_cancel", "POST", f"/v1/orders/{UNKNOWN}:cancel", {"If-Match": '"1"'}, 404),
        ("exceptions_show", "GET", f"/v1/exceptions/{UNKNOWN}", {}, 404),
        ("exceptions_show", "GET", "/v1/exceptions/1", {}, 422),
        ("keys_list_all", "GET", "/v1/keys", {"Authorization": "Bearer tsk_a_b"}, 401),
        ("messages_discard", "POST", f"/v1/messages/{UNKNOWN}:discard", {}, 422),
        ("events_take_events", "POST", "/v1/events", {"Content-Type": "text/plain"}, 401),
    ],
)
async def test_problem_is_as_described(
    served: Served, name: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with served.acting_as("admin", **headers) as admin:
        answer = await admin.request(method, path)
    assert answer.status_code == status, answer.text
    _as_described(name, answer)


async def test_described_name_of_every_schema_leads_to_it(served: Served) -> None:
    async with served.acting_as("auditor") as auditor:
        names = (await auditor.get("/v1/schemas")).json()["items"]
        for name in names:
            schema = (await auditor.get(f"/v1/schemas/{name}")).json()
            assert schema["$id"] == f"urn:tallystick:schema:{name}"
        missing = await auditor.get("/v1/schemas/dream")
    assert "order" in names
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert "customer" in missing.json()["detail"]
