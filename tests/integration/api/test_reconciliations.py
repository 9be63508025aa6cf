"""Kept reconciliations over HTTP: answers are as described, breaks are worked, and a period that two people closed is frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, serve
from tests.integration.books.keeping import Desk
from tests.unit.api.description import OPERATIONS, mistakes

from tallystick.control.access import PERMISSIONS
from tallystick.control.keys import create_key

LEFT = "1 A 2026-10-01 10.00\n2 A 2026-10-02 20.00\n3 B 2026-10-03 30.00"
RIGHT = "1 A 2026-10-01 10.00\n2 A 2026-10-02 21.00\n4 B 2026-10-04 44.00"
BREAKS = "/v1/reconciliations/breaks"
RUNS = "/v1/reconciliations/runs"


@pytest.fixture(scope="module")
async def installation(
    make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Served, Desk]]:
    """An installation with a second person of finance, and one run on record in the east."""
    folder: Path = tmp_path_factory.mktemp("sides")
    async with make_database() as url, serve(url) as served:
        async with served.pool.acquire() as connection:
            keys = {**served.keys, "second": (await create_key(connection, "second", ["finance"], ["east"])).secret}
        desk = Desk(url, folder)
        await desk.run(LEFT, RIGHT)
        yield Served(served.app, served.flow, keys), desk


@pytest.fixture
def served(installation: tuple[Served, Desk]) -> Served:
    return installation[0]


@pytest.fixture
def desk(installation: tuple[Served, Desk]) -> Desk:
    return installation[1]


def as_described(name: str, answer: Any) -> Any:
    described = OPERATIONS[name]["responses"][str(answer.status_code)]["content"][answer.headers["content-type"]]
    assert mistakes(described["schema"], answer.json(), strict=answer.is_success) == []
    assert answer.is_success, answer.text
    return answer.json()


async def act(served: Served, path: str, body: dict[str, Any], by: str = "finance", version: int | None = None) -> Any:
    """Ask for an action on what is at a path, at the version that it has."""
    async with served.acting_as(by) as somebody:
        if version is None:
            shown = await somebody.get(path.rpartition(":")[0])
            version = shown.json().get("version", 1)
        return await somebody.post(path, json=body, headers={"If-Match": f'"{version}"'})


async def test_every_answer_is_as_described(served: Served, desk: Desk) -> None:
    one = f"{BREAKS}/{await desk.identifier('3')}"
    run = f"{RUNS}/{desk.runs[-1].id}"
    async with served.acting_as("auditor") as auditor:
        runs = as_described("reconciliations_list_kept", await auditor.get(RUNS))
        assert [each["number"] for each in runs["items"]] == [1]
        as_described("reconciliations_show_run", await auditor.get(run))
        findings = as_described("reconciliations_show_findings", await auditor.get(f"{run}/breaks"))
        assert [each["name"] for each in findings["items"]] == ["4", "3", "2"]
        as_described("reconciliations_list_standing", await auditor.get(BREAKS))
        as_described("reconciliations_show_break", await auditor.get(one))
    as_described("reconciliations_assign", await act(served, f"{one}:assign", {"owner": "ana"}))
    explained = {"root_cause": "data_quality", "text": "typed twice"}
    as_described("reconciliations_explain", await act(served, f"{one}:explain", explained))
    as_described("reconciliations_accept", await act(served, f"{one}:accept", {"reason": "agreed"}))
    as_described("reconciliations_reopen_one", await act(served, f"{one}:reopen", {"reason": "not agreed"}))
    async with served.acting_as("auditor") as auditor:
        story = as_described("reconciliations_show_break", await auditor.get(one))
    assert [each["action"] for each in story["notes"]] == ["assign", "explain", "accept", "reopen"]


async def test_breaks_are_found_by_filters_and_pages(served: Served) -> None:
    async def names(**query: Any) -> list[str]:
        query.setdefault("reconciliation", "orders and invoices")
        async with served.acting_as("finance") as somebody:
            found, cursor = [], None
            while True:
                answer = await somebody.get(
                    BREAKS, params={**query, "limit": 1, **({"cursor": cursor} if cursor else {})}
                )
                assert answer.status_code == 200, answer.text
                found += [each["name"] for each in answer.json()["items"]]
                cursor = answer.json()["next"]
                if cursor is None:
                    return found

    assert await names() == ["4", "3", "2"]
    assert sorted(await names(sort="age")) == ["2", "3", "4"]
    assert await names(**{"class": "amount"}) == ["2"]
    assert await names(money_at_least=3_000) == ["4", "3"]
    assert await names(owner="ana") == ["3"]
    assert await names(root_cause="data_quality", money_at_least=1_000) == ["3"]
    assert await names(age_days=1) == []
    assert await names(age_days=0) == ["4", "3", "2"]
    assert await names(state="closed") == []
    assert await names(reconciliation="another") == []


async def test_others_have_no_breaks_and_who_may_only_read_changes_nothing(served: Served, desk: Desk) -> None:
    one = f"{BREAKS}/{await desk.identifier('2')}"
    async with served.acting_as("sales") as sales:
        assert (await sales.get(BREAKS)).status_code == 403
    for role in ("auditor", "operator", "sales", "system"):
        assert "runs.work" not in PERMISSIONS[role]
        assert "runs.sign_off" not in PERMISSIONS[role]
        answer = await act(served, f"{one}:assign", {"owner": "me"}, role, version=1)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission.denied")
    assert (await act(served, f"{BREAKS}/{uuid4()}:accept", {"reason": "agreed"})).status_code == 404
    changed = await act(served, f"{one}:assign", {"owner": "me"}, version=99)
    assert (changed.status_code, changed.json()["code"]) == (412, "version.changed")


async def test_one_word_for_many_breaks_is_on_record_with_each(served: Served, desk: Desk, tmp_path: Path) -> None:
    many = Desk(desk.url, tmp_path, rules=desk.rules.replace("orders and invoices", "many at once"))
    rows = [f"{number} A 2026-10-01 {number}.00" for number in range(1, 9)]
    await many.run("\n".join(rows), "\n".join(row.replace(".00", ".02" if row[0] < "6" else ".90") for row in rows))
    named = {"entity": "east", "reconciliation": "many at once"}
    cents = {**named, "money_at_most": 2, "currency": "USD", "reason": "cents"}
    words = {**named, "class": "amount", "root_cause": "data_quality", "text": "typed wrong"}

    async def said(action: str, body: dict[str, Any], by: str = "finance") -> tuple[int, Any]:
        async with served.acting_as(by) as somebody:
            answer = await somebody.post(f"{BREAKS}:{action}", json=body)
        return answer.status_code, answer.json()

    assert await said("accept", {**cents, "dry_run": True}) == (200, {"would_be_accepted": 5})
    assert await said("accept", cents) == (200, {"accepted": 5})
    assert await said("accept", cents) == (200, {"accepted": 0})
    assert await said("explain", {**words, "owner": "ben"}) == (200, {"explained": 0})
    assert await said("explain", {**words, "dry_run": True}) == (200, {"would_be_explained": 3})
    assert await said("explain", words, "east_finance") == (200, {"explained": 3})
    assert (await said("explain", words, "auditor"))[0] == 403
    assert (await said("explain", {**words, "entity": "west"}, "east_finance"))[0] == 403
    async with served.pool.acquire() as connection:
        stood = await connection.fetch(
            """
            select b.state, b.explanation, b.version, n.action, n.principal
            from reconciliation_breaks b join reconciliation_break_notes n on n.break_id = b.id
            where b.reconciliation = 'many at once' order by b.name
            """
        )
    assert [tuple(row) for row in stood] == [
        *[("accepted", None, 2, "accept", "finance")] * 5,
        *[("open", "typed wrong", 2, "explain", "east_finance")] * 3,
    ]
    run = many.runs[0].id
    assert await close(served, run, "prepare", {"period": "2026-10"}, "finance") == (200, "prepared")
    assert await close(served, run, "sign-off", {}, "second") == (200, "signed_off")
    assert (await said("explain", words))[1]["code"] == "period.signed_off"
    async with served.acting_as("auditor") as auditor:
        trail = (await auditor.get("/v1/audit", params={"object_id": "many at once"})).json()["items"]
    assert [(each["action"], each["detail"]["breaks"]) for each in trail] == [
        ("breaks.explain", 3),
        ("breaks.explain", 0),
        ("breaks.accept", 0),
        ("breaks.accept", 5),
    ]


async def close(served: Served, run: UUID, action: str, body: dict[str, Any], by: str) -> tuple[int, Any]:
    answer = await act(served, f"{RUNS}/{run}:{action}", body, by)
    return answer.status_code, answer.json().get("code") or answer.json()["state"]


async def test_two_people_close_a_period_and_it_is_frozen_then(served: Served, desk: Desk) -> None:
    run = desk.runs[-1].id
    assert await close(served, run, "sign-off", {}, "second") == (409, "period.not_prepared")
    assert await close(served, run, "prepare", {"period": "2026-10"}, "finance") == (409, "period.unexplained")
    bounded = {"period": "2026-10", "most_money": 4_399}
    assert await close(served, run, "prepare", bounded, "finance") == (409, "period.unexplained")
    explained = {"root_cause": "process_design", "text": "the invoice was not booked"}
    await act(served, f"{BREAKS}/{await desk.identifier('4')}:explain", explained)
    await act(served, f"{BREAKS}/{await desk.identifier('2')}:accept", {"reason": "a cent a piece"})
    # The one that is left was explained before.
    answer = await act(served, f"{RUNS}/{run}:prepare", {"period": "2026-10"}, "finance")
    prepared = as_described("reconciliations_prepare", answer)
    assert (prepared["prepared_by"], prepared["unexplained"]) == ("finance", {"breaks": 0, "money": {}})

    assert await close(served, run, "sign-off", {}, "finance") == (403, "period.same_person")
    await act(served, f"{BREAKS}/{await desk.identifier('4')}:assign", {"owner": "ben"})
    assert await close(served, run, "sign-off", {}, "second") == (409, "period.changed")
    assert await close(served, run, "prepare", {"period": "2026-10"}, "finance") == (200, "prepared")
    answer = await act(served, f"{RUNS}/{run}:sign-off", {"reason": "seen"}, "second")
    assert as_described("reconciliations_sign", answer)["signed_by"] == "second"

    # Frozen: no work on its breaks, no other preparation, and no other run for the period.
    two = f"{BREAKS}/{await desk.identifier('2')}"
    for action, body in (
        ("assign", {"owner": "me"}),
        ("explain", {"root_cause": "data_quality", "text": "late"}),
        ("reopen", {"reason": "late"}),
    ):
        refused = await act(served, f"{two}:{action}", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "period.signed_off")
    assert await close(served, run, "prepare", {"period": "2026-11"}, "finance") == (409, "period.signed_off")

    # The next run takes the breaks on; what was signed stays as it was.
    later = await desk.run(LEFT, RIGHT.replace("21.00", "25.00"))
    assert later.carried["lapsed"] == 1
    assert await close(served, later.id, "prepare", {"period": "2026-10"}, "finance") == (409, "period.signed_off")
    assert (await act(served, f"{two}:assign", {"owner": "ben"})).status_code == 200
    async with served.acting_as("auditor") as auditor:
        signed = (await auditor.get(f"{RUNS}/{run}/breaks")).json()["items"]
    assert [(each["name"], each["state"], each["money_at_risk"], each["owner"]) for each in signed] == [
        ("4", "open", 4_400, "ben"),
        ("3", "open", 3_000, "ana"),
        ("2", "accepted", 100, None),
    ]

    assert await close(served, run, "reopen", {"reason": "a late invoice"}, "second") == (403, "permission.denied")
    answer = await act(served, f"{RUNS}/{run}:reopen", {"reason": "a late invoice"}, "admin")
    reopened = as_described("reconciliations_reopen_run", answer)
    assert (reopened["state"], reopened["reopened_by"], reopened["period"]) == ("kept", "admin", None)
    assert await close(served, run, "reopen", {"reason": "a late invoice"}, "admin") == (409, "period.not_signed_off")
    bounded = {"period": "2026-10", "most_breaks": 9}
    assert await close(served, run, "prepare", bounded, "finance") == (200, "prepared")
    # The later run takes the period over from the one that was merely prepared.
    assert await close(served, later.id, "prepare", bounded, "finance") == (200, "prepared")
    async with served.acting_as("auditor") as auditor:
        assert (await auditor.get(f"{RUNS}/{run}")).json()["state"] == "kept"
        trail = (await auditor.get("/v1/audit", params={"object_id": str(run)})).json()["items"]
    assert [each["action"] for each in reversed(trail)] == [
        *("run.keep", "run.prepare", "run.prepare", "run.sign_off", "run.reopen", "run.prepare", "run.give_way"),
    ]
