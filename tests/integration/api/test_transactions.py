"""Transactions over HTTP: found by any number that anybody has for them, shown with their versions, documents and lineage."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from tests.integration.api.installation import Served
from tests.integration.api.work import hold, submit

from tallystick.stages.references import order_reference


async def test_transaction_is_found_by_every_number_it_has(served: Served) -> None:
    tail = uuid4().hex[:8]
    mine = await submit(served, order_number=f"W {tail}", customer_po=f"PO/{tail}?&", customer_id="C-1")
    other = await submit(served)
    transaction_id = UUID(mine["transaction_id"])
    await served.pool.execute("update transactions set erp_reference = $2 where id = $1", transaction_id, f"SO-{tail}")
    await served.pool.execute(
        """
        insert into cross_references (system, kind, reference, entity, transaction_id, our_number)
        values ('wms_east', 'shipment', $2, 'east', $1, 'S-1')
        """,
        transaction_id,
        f"WS-{tail}",
    )
    async with served.acting_as("east_sales") as sales:

        async def found(search: str) -> list[str]:
            answer = await sales.get(f"/v1/transactions?limit=200&search={quote(search, safe='')}")
            assert answer.status_code == 200, answer.text
            return [each["id"] for each in answer.json()["items"]]

        for number in (
            str(transaction_id),
            order_reference(transaction_id),
            f"W {tail}",
            f"PO/{tail}?&",
            f"SO-{tail}",
            f"WS-{tail}",
        ):
            assert await found(number) == [mine["transaction_id"]], number
        assert {mine["transaction_id"], other["transaction_id"]} <= set(await found("C-1"))
        assert await found(f"SO-{tail}-2") == []
        assert await found("%") == await found("' or 1=1 --") == []


async def test_transactions_are_filtered_by_their_states(served: Served) -> None:
    accepted, held = await submit(served), await hold(served)
    async with served.acting_as("east_sales") as sales:

        async def ids(query: str) -> set[str]:
            answer = await sales.get(f"/v1/transactions?limit=200&{query}")
            return {each["id"] for each in answer.json()["items"]}

        assert accepted["transaction_id"] in await ids("intake=accepted&commitment=pending&customer_id=C-1")
        assert accepted["transaction_id"] not in await ids("intake=held")
        assert held["transaction_id"] in await ids("intake=held&commitment=none")
        assert await ids("customer_id=C-2") == set()
        wrong = await sales.get("/v1/transactions?intake=acepted")
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["parameter"] == "intake"
    assert "'accepted', 'held', 'rejected' or 'cancelled'" in wrong.json()["detail"]


async def test_pages_go_from_the_newest_to_the_oldest_while_orders_come_in(served: Served) -> None:
    made = [(await submit(served))["transaction_id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    async with served.acting_as("east_sales") as sales:
        while cursor is not None and len(seen) < 5:
            page = (await sales.get("/v1/transactions?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json()
            seen += [each["id"] for each in page["items"]]
            cursor = page["next"]
            await submit(served)
    assert seen[:5] == made[::-1]


async def test_transaction_is_shown_with_the_version_that_a_change_must_name(served: Served) -> None:
    mine = await hold(served)
    path = f"/v1/transactions/{mine['transaction_id']}"
    async with served.acting_as("east_sales") as sales:
        shown = await sales.get(path)
        assert (shown.headers["etag"], shown.json()["version"]) == ('"1"', 1)
        tag = {"If-Match": shown.headers["etag"]}
        cancelled = await sales.post(f"/v1/orders/{mine['transaction_id']}:cancel", json={}, headers=tag)
        assert cancelled.status_code == 202
        after = await sales.get(path)
        stale = await sales.post(f"/v1/orders/{mine['transaction_id']}:cancel", json={}, headers=tag)
    assert after.headers["etag"] == '"2"'
    assert stale.status_code == 412
    assert (after.json()["intake"], after.json()["commitment"]) == ("cancelled", "none")


async def test_lineage_tells_every_fact_in_order_with_its_time(served: Served) -> None:
    mine = await hold(served)
    async with served.acting_as("east_sales") as sales:
        await sales.post(
            f"/v1/orders/{mine['transaction_id']}:cancel", json={"reason": "typed twice"}, headers={"If-Match": '"1"'}
        )
        facts: list[dict[str, Any]] = (await sales.get(f"/v1/transactions/{mine['transaction_id']}/lineage")).json()[
            "items"
        ]
    assert [each["fact"] for each in facts] == ["received", "held", "cancelled"]
    assert [each["actor"] for each in facts] == ["sales", None, "east_sales"]
    assert facts[1]["detail"]["reasons"] == ["price.below_list"]
    assert facts[2]["detail"] == {"reason": "typed twice"}
    times = [datetime.fromisoformat(each["at"]) for each in facts]
    assert times == sorted(times)
    gap = (times[2] - times[1]).total_seconds()
    assert facts[2]["seconds_since_previous"] == pytest.approx(gap)
    assert facts[0]["seconds_since_previous"] is None


async def test_documents_hold_the_order_as_it_was_sent(served: Served) -> None:
    mine = await submit(served, notes="leave at the gate\nring twice")
    async with served.acting_as("auditor") as auditor:
        found = (await auditor.get(f"/v1/transactions/{mine['transaction_id']}/documents")).json()
    assert found["cross_references"] == []
    (document,) = found["documents"]
    assert (document["type"], document["number"], document["system"]) == ("order", mine["order_number"], "webshop")
    assert document["body"]["notes"] == "leave at the gate\nring twice"
    assert document["body"]["lines"][0]["quantity"] == "2"


async def test_unknown_transaction_is_not_found(served: Served) -> None:
    async with served.acting_as("east_sales") as sales:
        for tail in ("", "/lineage", "/documents"):
            assert (await sales.get(f"/v1/transactions/{uuid4()}{tail}")).status_code == 404
            wrong = await sales.get(f"/v1/transactions/W-1{tail}")
            assert (wrong.status_code, wrong.json()["errors"][0]["parameter"]) == (422, "transaction_id")
