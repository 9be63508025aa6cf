"""Runs are kept with their inputs, and breaks carry over: found again, closed by a match, come back, absent, lapsed."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import MakeDatabase
from tests.integration.books.keeping import Desk

from tallystick.books.runs.inputs import compare, file_input
from tallystick.books.runs.reading import find_run, list_findings, read_break
from tallystick.books.runs.refusal import RunChanged, RunNotPossible
from tallystick.books.runs.work import BreakWork, accept_break, assign_break, explain_break, reopen_break
from tallystick.control.access import Principal
from tallystick.control.audit import read_audit
from tallystick.control.exceptions import RootCause
from tallystick.store.pool import Pool, open_pool

ANA = Principal("ana", frozenset({"finance"}), frozenset({"*"}))
WEST = Principal("wes", frozenset({"finance"}), frozenset({"west"}))
LEFT = """
    1 A 2026-10-01 10.00
    2 A 2026-10-02 20.00
    3 B 2026-10-03 30.00
"""
RIGHT = """
    1 A 2026-10-01 10.00
    2 A 2026-10-02 21.00
    4 B 2026-10-04 44.00
"""


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path)


@pytest.fixture(scope="module")
async def kept(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One run on record, for tests that keep no other."""
    async with make_database() as url:
        desk = Desk(url, tmp_path_factory.mktemp("sides"))
        await desk.run(LEFT, RIGHT)
        yield desk


@pytest.fixture
async def kept_pool(kept: Desk) -> AsyncIterator[Pool]:
    pool = await open_pool(kept.url, size=2)
    yield pool
    await pool.close()


async def test_a_kept_run_says_who_ran_what_on_which_inputs(kept: Desk, kept_pool: Pool) -> None:
    made = kept.runs[0].id
    async with kept_pool.acquire() as connection:
        run = await find_run(connection, made, ["east"])
        assert await find_run(connection, made, ["west"]) is None
        audit = await read_audit(connection, ["east"], action="run.keep")
    assert run is not None
    assert (run["reconciliation"], run["number"], run["run_by"], run["breaks"]) == ("orders and invoices", 1, "ana", 3)
    assert run["rules_hash"] == hashlib.sha256(kept.rules.encode()).hexdigest()
    assert [(each["side"], each["name"], each["rows"]) for each in run["inputs"]] == [
        ("left", "left.csv", 3),
        ("right", "right.csv", 3),
    ]
    assert run["inputs"][0]["sha256"] == hashlib.sha256((kept.folder / "left.csv").read_bytes()).hexdigest()
    for side in run["summary"]["sides"].values():
        assert side["rows_in"] == side["matched"] + side["broken"] + side["quarantined"] + side["left_out"] == 3
    assert [each["object_id"] for each in audit] == [str(made)]


async def test_breaks_carry_over_three_runs_with_what_people_did(desk: Desk, pool: Pool) -> None:
    await desk.run(LEFT, RIGHT)
    first = await desk.breaks()
    assert {name: each["class"] for name, each in first.items()} == {
        "2": "amount",
        "3": "missing_right",
        "4": "missing_left",
    }
    two = first["2"]["id"]
    await assign_break(pool, BreakWork(two, ANA, 1), "ben")
    await explain_break(pool, BreakWork(two, ANA, 2), RootCause.DATA_QUALITY, "rounded twice")
    await accept_break(pool, BreakWork(two, ANA, 3), "small")

    # The second run: nothing is new of 2, the missing 3 has come, 4 is there still.
    second = await desk.run(LEFT, RIGHT + "3 B 2026-10-03 30.00")
    assert second.carried == {
        **{"again": 2, "come_back": 0, "lapsed": 0, "new": 0, "matched": 1, "differs_otherwise": 0, "absent": 0},
    }
    then = await desk.breaks()
    assert (then["3"]["state"], then["3"]["resolution"], then["3"]["closed_run_id"]) == ("closed", "matched", second.id)
    assert (then["2"]["state"], then["2"]["owner"], then["2"]["explanation"]) == ("accepted", "ben", "rounded twice")
    assert then["2"]["first_run_id"] == desk.runs[0].id
    assert then["2"]["last_run_id"] == second.id
    with pytest.raises(RunNotPossible) as refused:
        await accept_break(pool, BreakWork(then["3"]["id"], ANA, then["3"]["version"]), "why not")
    assert refused.value.code == "break.closed"

    # The third: 2 differs by more, so its acceptance lapses; 3 is gone from the right again; 4 has been matched.
    third = await desk.run(
        LEFT + "4 B 2026-10-04 44.00", "1 A 2026-10-01 10.00\n2 A 2026-10-02 22.00\n4 B 2026-10-04 44.00"
    )
    assert third.carried == {
        **{"again": 1, "come_back": 1, "lapsed": 1, "new": 0, "matched": 1, "differs_otherwise": 0, "absent": 0},
    }
    last = await desk.breaks()
    assert {name: each["state"] for name, each in last.items()} == {"2": "open", "3": "open", "4": "closed"}
    assert last["2"]["id"] == two
    assert (last["2"]["owner"], last["2"]["explanation"], last["2"]["accepted_by"]) == ("ben", "rounded twice", None)
    assert last["3"]["first_run_id"] == desk.runs[0].id
    async with pool.acquire() as connection:
        story = await read_break(connection, two, ["east"])
    assert story is not None
    assert [each["action"] for each in story["notes"]] == ["assign", "explain", "accept", "acceptance_lapsed"]
    assert story["lapsed"]["accepted_by"] == "ana"
    assert [(each["number"], each["found"], each["money_at_risk"]) for each in story["runs"]] == [
        (3, "again", 200),
        (2, "again", 100),
        (1, "new", 100),
    ]


async def test_a_break_is_closed_only_by_a_match_that_the_run_knows_of(desk: Desk) -> None:
    await desk.run(LEFT, RIGHT)
    # Another month's files have no row of 3 and 4; the one of 2 is in quarantine, which is no match either.
    absent = await desk.run("2 A 2026-10-02 none\n9 C 2026-11-01 5.00", "9 C 2026-11-01 5.00")
    assert (absent.carried["absent"], absent.carried["matched"], absent.carried["new"]) == (3, 0, 0)
    assert {each["absent_since"] for each in (await desk.breaks("open")).values()} == {absent.id}
    # Then 4 is there again, 3 is matched, and 2 differs in another way.
    last = await desk.run(
        LEFT, "2 A 2026-10-02 20.00\n2 A 2026-10-02 20.00\n3 B 2026-10-03 30.00\n4 B 2026-10-04 44.00"
    )
    assert (last.carried["again"], last.carried["matched"], last.carried["differs_otherwise"]) == (1, 1, 1)
    four = (await desk.breaks("open"))["4"]
    assert (four["absent_since"], four["first_run_id"]) == (None, desk.runs[0].id)


async def test_groups_are_known_by_what_the_rules_group_by(desk: Desk) -> None:
    grouped = 'name = "sums"\nkind = "one_to_many"\non = "party"\ncompare = ["amount"]'
    desk.rules = desk.rules.replace('name = "number"', grouped)
    left = "1 A 2026-10-01 10.00\n2 B 2026-10-01 5.00\n3 C 2026-10-01 5.00"
    await desk.run(left, "7 A 2026-10-01 9.00\n8 B 2026-10-01 5.00\n9 C 2026-10-01 2.00")
    kept = await desk.run(left, "6 A 2026-10-01 1.00\n7 A 2026-10-01 9.00\n8 B 2026-10-01 5.00\n5 C 2026-10-01 4.00")
    assert (kept.carried["matched"], kept.carried["again"], kept.carried["new"]) == (1, 1, 0)
    found = await desk.breaks()
    assert {name: (each["state"], each["money_at_risk"]) for name, each in found.items()} == {
        "A": ("closed", 100),
        "C": ("open", 100),
    }


async def test_of_several_breaks_of_one_key_each_keeps_its_own_story(desk: Desk, pool: Pool) -> None:
    twice = "5 A 2026-10-01 10.00\n5 A 2026-10-01 70.00\n5 A 2026-10-01 90.00"
    await desk.run("1 A 2026-10-01 1.00\n" + twice, "1 A 2026-10-01 1.00")
    async with pool.acquire() as connection:
        rows = await connection.fetch("select id, money_at_risk from reconciliation_breaks where name = '5'")
    seventy = next(row["id"] for row in rows if row["money_at_risk"] == 7_000)
    await assign_break(pool, BreakWork(seventy, ANA, 1), "ben")
    fewer = "\n".join(line for line in twice.splitlines() if not line.endswith("90.00"))
    await desk.run("1 A 2026-10-01 1.00\n" + fewer, "1 A 2026-10-01 1.00")
    async with pool.acquire() as connection:
        row = await connection.fetchrow("select * from reconciliation_breaks where id = $1", seventy)
    assert row is not None
    assert (row["money_at_risk"], row["owner"], row["state"], row["last_run_id"]) == (
        7_000,
        "ben",
        "open",
        desk.runs[1].id,
    )


async def test_work_on_a_break_is_audited_and_overwrites_nobody(kept: Desk, kept_pool: Pool) -> None:
    two = await kept.identifier("2")
    done = await accept_break(kept_pool, BreakWork(two, ANA, 1), "within the bound")
    assert done is not None
    assert (done["state"], done["version"]) == ("accepted", 2)
    with pytest.raises(RunChanged, match="version 2"):
        await assign_break(kept_pool, BreakWork(two, ANA, 1), "ben")
    with pytest.raises(RunNotPossible, match="accepted") as refused:
        await accept_break(kept_pool, BreakWork(two, ANA, 2), "again")
    assert refused.value.code == "break.not_open"
    done = await reopen_break(kept_pool, BreakWork(two, ANA, 2), "it is not small")
    assert done is not None
    assert (done["state"], done["accepted_by"]) == ("open", None)
    assert await assign_break(kept_pool, BreakWork(two, WEST, 3), "wes") is None
    async with kept_pool.acquire() as connection:
        trail = await read_audit(connection, None, object_id=str(two))
    assert [(each["action"], each["reason"]) for each in trail] == [
        ("break.reopen", "it is not small"),
        ("break.accept", "within the bound"),
    ]


async def test_two_runs_of_one_reconciliation_at_once_are_kept_one_after_the_other(desk: Desk) -> None:
    await asyncio.to_thread(desk.sides, LEFT, RIGHT)
    began = datetime.now(UTC)
    kept = await asyncio.gather(desk.again("ana", began), desk.again("ben", began))
    assert sorted(each.number for each in kept) == [1, 2]
    first, second = sorted(kept, key=lambda each: each.number)
    assert (first.carried["new"], second.carried["new"], second.carried["again"]) == (3, 0, 3)
    assert len(await desk.breaks()) == 3


async def test_an_older_run_does_not_replace_a_newer_one(kept: Desk) -> None:
    for path in kept.folder.glob("*.csv"):
        os.utime(path, (0, 0))
    with pytest.raises(RunNotPossible, match="begun later by ana") as refused:
        await kept.again("ben", datetime.now(UTC) - timedelta(hours=1))
    assert refused.value.code == "run.overtaken"


def test_a_file_that_changed_while_it_was_read_is_not_put_on_record(tmp_path: Path) -> None:
    path = tmp_path / "left.csv"
    path.write_text("number\n")
    assert file_input("left", path, 0, datetime.now(UTC) + timedelta(seconds=1)).size == 7
    with pytest.raises(RunNotPossible, match="changed while it was read"):
        file_input("left", path, 0, datetime.now(UTC) - timedelta(minutes=1))


async def test_each_file_of_a_pattern_is_an_input_of_its_own(desk: Desk, pool: Pool) -> None:
    desk.rules = desk.rules.replace('"left.csv"', '"left*.csv"')
    desk.sides(LEFT, RIGHT)
    (desk.folder / "left2.csv").write_text("number,customer,day,amount\n7,A,2026-10-01,1.00\n8,A,2026-10-01,none\n")
    kept = await desk.again()
    async with pool.acquire() as connection:
        run = await find_run(connection, kept.id, None)
    assert run is not None
    assert [(each["name"], each["rows"]) for each in run["inputs"]] == [
        ("left.csv", 3),
        ("left2.csv", 2),
        ("right.csv", 3),
    ]
    (desk.folder / "left.csv").write_text("number,customer,day,amount\n1,A,2026-10-01,10.01\n")
    other = desk.folder / "else.csv"
    other.write_text("nothing")
    told = compare(run["inputs"], [*desk.folder.glob("*.csv")])
    assert {each.name: each.verdict for each in told} == {
        "left.csv": "changed",
        "left2.csv": "same",
        "right.csv": "same",
        str(other): "unknown",
    }
    assert compare(run["inputs"], [desk.folder / "left2.csv"])[-1].verdict == "missing"
    assert [each.verdict for each in compare([{"side": "left", "name": "hub: orders", "sha256": None}], [])] == [
        "unhashed"
    ]


@pytest.mark.timeout(400)
async def test_a_hundred_thousand_breaks_are_kept_in_seconds(desk: Desk, pool: Pool) -> None:
    count = 100_000
    rows = "".join(f"K{index},A,2026-10-01,{index % 997}.10\n" for index in range(count))
    (desk.folder / "left.csv").write_text("number,customer,day,amount\n" + rows)
    (desk.folder / "right.csv").write_text("number,customer,day,amount\n" + rows.replace(".10\n", ".11\n"))
    kept = await desk.again(times=2)
    assert (desk.runs[0].carried["new"], kept.carried["again"]) == (count, count)
    assert max(desk.seconds) < 120, desk.seconds  # seconds; hours if anything went row by row
    async with pool.acquire() as connection:
        run = await find_run(connection, kept.id, None)
        assert run is not None
        page = await list_findings(connection, run, limit=3)
        assert await connection.fetchval("select count(*) from reconciliation_breaks") == count
    assert [each["money_at_risk"] for each in page] == [1, 1, 1]
