"""Cash over HTTP: what is answered is as described, each line is there once, and only finance may touch it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, serve_settings, settings
from tests.unit.api.description import OPERATIONS, mistakes

from tallystick.systems.failure import Unavailable
from tallystick.systems.ports import Capabilities, Health, OpenReceivable, Operation, Role

OWED = [
    OpenReceivable("INV-1001", "C-1", "USD", 10_000, date(2026, 11, 1)),
    OpenReceivable("INV-1002", "C-1", "USD", 10_000, date(2026, 11, 2)),
    OpenReceivable("INV-2001", "C-2", "USD", 55_500, date(2026, 11, 3)),
    OpenReceivable("INV-3001", "C-3", "USD", 200_000, date(2026, 11, 4)),
]


class Owing:
    """An ERP that says what is owed, unless it is away."""

    name = "erp_east"
    capabilities = Capabilities(frozenset({Role.ERP}), frozenset({Operation.READ_OPEN_ITEMS, Operation.APPLY_CASH}))
    away = False

    async def check_health(self) -> Health:
        return Health(ok=True, latency_ms=1.0)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def read_open_items(self) -> Sequence[OpenReceivable]:
        if self.away:
            raise Unavailable("erp_east does not answer", system=self.name)
        return OWED


@pytest.fixture(scope="module")
async def owing() -> Owing:
    return Owing()


@pytest.fixture(scope="module")
async def served(make_database: MakeDatabase, owing: Owing) -> AsyncIterator[Served]:
    async with make_database() as url, serve_settings(url, settings(), {"erp_east": owing}) as installation:
        yield installation


def statement(account: str, *rows: tuple[str, str]) -> dict[str, str]:
    lines = "".join(f"{account},2026-11-25,{amount},USD,{text}\n" for amount, text in rows)
    content = f"account,date,amount,currency,description\n{lines}".encode()
    return {"name": "bank.csv", "content": b64encode(content).decode()}


async def apply(served: Served, *files: dict[str, str], by: str = "finance", **more: Any) -> Any:
    async with served.acting_as(by) as somebody:
        return await somebody.post(
            "/v1/cash/applications", json={"entity": "east", "files": list(files), "post": True, **more}
        )


def as_described(name: str, answer: Any) -> Any:
    described = OPERATIONS[name]["responses"][str(answer.status_code)]["content"][answer.headers["content-type"]]
    assert mistakes(described["schema"], answer.json(), strict=answer.is_success) == []
    assert answer.is_success, answer.text
    return answer.json()


async def test_every_answer_about_cash_is_as_described(served: Served) -> None:
    rows = (("555.00", "INV-2001"), ("100.00", "no word"), ("3.33", "what"))
    run = as_described("cash_apply_cash", await apply(served, statement("ACC-1", *rows)))
    assert [each["status"] for each in run["applications"]] == ["applied", "suggested", "unidentified"]
    _, suggested, unknown = (each["line_id"] for each in run["applications"])
    async with served.acting_as("finance", **{"If-Match": '"1"'}) as finance:
        page = as_described("cash_list_received", await finance.get("/v1/cash/lines?state=all&limit=2"))
        rest = as_described("cash_list_received", await finance.get(f"/v1/cash/lines?state=all&cursor={page['next']}"))
        assert [each["state"] for each in page["items"] + rest["items"]] == ["posting", "suggested", "unidentified"]
        as_described("cash_show", await finance.get(f"/v1/cash/lines/{suggested}"))
        as_described("cash_accept", await finance.post(f"/v1/cash/lines/{suggested}:accept", json={"choice": 2}))
        as_described("cash_refuse", await finance.post(f"/v1/cash/lines/{unknown}:refuse", json={"reason": "not ours"}))


async def test_many_at_once_with_the_same_statement_keep_each_line_once(served: Served) -> None:
    file = statement("ACC-2", ("1.11", "one"), ("2.22", "two"), ("2.22", "two"))
    answers = await asyncio.gather(*(apply(served, file) for _ in range(12)))  # more than the pool has
    assert sorted(len(each.json()["applications"]) for each in answers) == [*([0] * 11), 3]
    assert await served.pool.fetchval("select count(*) from cash_lines where account = 'ACC-2'") == 3
    assert await served.pool.fetchval("select count(*) from exceptions where context ->> 'account' = 'ACC-2'") == 3


async def test_an_invoice_that_is_being_paid_is_not_given_to_a_second_payment(served: Served) -> None:
    rows = [statement(f"ACC-3{number}", ("100.00", f"INV-1001 {number}")) for number in range(3)]
    answers = [(await apply(served, each)).json()["applications"][0]["status"] for each in rows]
    assert answers.count("applied") == 1


async def test_a_line_that_may_have_come_before_in_another_format_posts_nothing_by_itself(served: Served) -> None:
    booked = ":20:S\n:25:ACC-4\n:28C:1/1\n:60F:C261125USD0,00\n:61:2611251125C777,00NTRFNONREF\n:62F:C261125USD777,00\n"
    mt940 = {"name": "bank.sta", "content": b64encode(booked.encode()).decode()}
    [first] = (await apply(served, mt940)).json()["applications"]
    again = (await apply(served, statement("ACC-4", ("777.00", "INV-3001 and more")))).json()
    [doubtful] = again["applications"]
    assert (first["status"], doubtful["status"]) == ("unidentified", "suggested")
    assert "it may be the line of that amount and day in statement 1/1" in doubtful["proposals"][0]["evidence"]


async def test_only_who_may_for_the_entity_applies_and_decides(served: Served) -> None:
    file = statement("ACC-5", ("4.44", "x"))
    for name in ("sales", "operator", "auditor", "system"):
        assert (await apply(served, file, by=name)).status_code == 403, name
    assert (await apply(served, file, by="east_finance")).status_code == 200
    assert (await apply(served, file, by="east_finance", entity="west")).status_code == 403
    line = await served.pool.fetchval("select id from cash_lines where account = 'ACC-5'")
    await served.pool.execute("update cash_lines set entity = 'west' where id = $1", line)
    async with served.acting_as("east_finance", **{"If-Match": '"1"'}) as east:
        assert (await east.get(f"/v1/cash/lines/{line}")).status_code == 404
        assert (await east.post(f"/v1/cash/lines/{line}:refuse", json={"reason": "no no"})).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"entity": "north"}, 422, "entity.unknown"),
        ({"entity": "west"}, 409, "cash.not_supported"),
        ({"files": [{"name": "a", "content": "%%%"}]}, 422, "cash.not_encoded"),
        ({"files": []}, 422, "request.invalid"),
    ],
)
async def test_what_cannot_be_applied_is_refused(
    served: Served, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await apply(served, statement("ACC-6", ("1.00", "x")), **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_broken_file_is_trouble_and_the_others_count(served: Served) -> None:
    broken = {"name": "broken.csv", "content": b64encode(b"account,date,amount,currency\nA,2026-11-25,,USD\n").decode()}
    answer = (await apply(served, broken, statement("ACC-7", ("9.99", "y")))).json()
    assert answer["trouble"] == ["broken.csv: line 2: it has no amount; is the file cut short?"]
    assert answer["places"]["USD"]["unidentified"] == 999


async def test_an_erp_that_is_away_keeps_nothing(served: Served, owing: Owing) -> None:
    owing.away = True
    try:
        answer = await apply(served, statement("ACC-8", ("1.00", "x")))
    finally:
        owing.away = False
    assert (answer.status_code, answer.json()["code"]) == (503, "cash.erp_failed")
    assert await served.pool.fetchval("select count(*) from cash_lines where account = 'ACC-8'") == 0


async def test_a_decision_that_cannot_be_is_refused_and_the_work_item_is_not_closed_without_one(served: Served) -> None:
    [told] = (await apply(served, statement("ACC-9", ("12.34", "z")))).json()["applications"]
    rows = await served.pool.fetch("select id, exception_id from cash_lines where id = $1", told["line_id"])
    [line] = rows
    async with served.acting_as("finance", **{"If-Match": '"1"'}) as finance:
        for body, code in (
            ({}, "cash.no_way"),
            (
                {"choice": 1, "allocations": [{"customer_id": "C-1", "invoice_number": "I", "amount": 1}]},
                "cash.two_ways",
            ),
            ({"choice": 1}, "cash.no_such_choice"),
            (
                {"allocations": [{"customer_id": "C-1", "invoice_number": "INV-1001", "amount": 9_999}]},
                "cash.not_postable",
            ),
        ):
            answer = await finance.post(f"/v1/cash/lines/{line['id']}:accept", json=body)
            assert answer.json()["code"] == code, answer.text
        closing = {"reason": "by hand", "root_cause": "data_quality"}
        refused = await finance.post(f"/v1/exceptions/{line['exception_id']}:resolve", json=closing)
        assert (refused.status_code, refused.json()["code"]) == (409, "exception.needs_decision")
        on_account = await finance.post(f"/v1/cash/lines/{line['id']}:accept", json={"customer_id": "C-1"})
        assert on_account.status_code == 200
    payload = await served.pool.fetchval("select payload from messages where lane = $1", line["id"])
    [part] = payload["parts"]
    assert (part["customer_id"], part["amount"], part["shares"]) == ("C-1", 1_234, [])
