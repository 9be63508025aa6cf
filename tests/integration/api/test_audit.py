"""The audit trail over HTTP: everything that somebody does, newest first, of the own entities, found by who, what and when."""

from __future__ import annotations

from typing import Any

from tests.integration.api.installation import Served
from tests.integration.api.work import hold, refuse


async def test_trail_tells_who_did_what_and_why_page_by_page(served: Served) -> None:
    held, dead = await hold(served), await refuse(served)
    async with served.acting_as("east_operator", **{"If-Match": '"1"'}) as operator:
        await operator.post(f"/v1/exceptions/{held['exception_id']}:assign", json={"owner": "ana"})
        await operator.post(f"/v1/exceptions/{held['exception_id']}:comment", json={"text": "asked the customer"})
        await operator.post(f"/v1/orders/{held['transaction_id']}:cancel", json={"reason": "typed twice"})
        await operator.post(f"/v1/messages/{dead.message_id}:replay", json={"reason": "try again"})
        await operator.post("/v1/systems/erp_east:pause", json={"reason": "month end"})
        await operator.post("/v1/systems/erp_east:resume")
    async with served.acting_as("auditor") as auditor:

        async def read(query: str) -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = []
            cursor: str | None = ""
            while cursor is not None:
                following = f"&cursor={cursor}" if cursor else ""
                page = (await auditor.get(f"/v1/audit?limit=2&{query}{following}")).json()
                items += page["items"]
                cursor = page["next"]
            return items

        done = await read("by=east_operator")
        of_transaction = await read(f"transaction_id={held['transaction_id']}")
        comments = await read("by=east_operator&action=exception.comment")
        of_message = await read(f"object_id={dead.message_id}")
    assert [each["action"] for each in done] == [
        "system.resume",
        "system.pause",
        "message.replay",
        "order.cancel",
        "exception.comment",
        "exception.assign",
    ]
    assert [each["action"] for each in of_transaction] == [
        "order.cancel",
        "exception.comment",
        "exception.assign",
        "order.submit",
    ]
    assert [(each["reason"], each["entity"]) for each in comments] == [("asked the customer", "east")]
    assert [(each["object_type"], each["reason"]) for each in of_message] == [("message", "try again")]


async def test_refused_action_leaves_no_trace_of_having_been_done(served: Served) -> None:
    held = await hold(served)
    async with served.acting_as("east_system") as system, served.acting_as("auditor") as auditor:
        refused = await system.post(f"/v1/exceptions/{held['exception_id']}:comment", json={"text": "mine"})
        trail = (await auditor.get(f"/v1/audit?object_id={held['exception_id']}")).json()["items"]
    assert refused.status_code == 403
    assert trail == []
