"""A period closed from a terminal, on a whole installation: kept by one person, prepared, signed off by another, proved later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.books.keeping import HEAD, RULES
from tests.integration.cli.conftest import Command, Installation
from tests.integration.cli.installations import run

LEFT = "1,A,2026-10-01,10.00\n2,A,2026-10-02,20.00\n3,B,2026-10-03,30.00\n"
RIGHT = "1,A,2026-10-01,10.00\n2,A,2026-10-02,21.00\n3,B,2026-10-03,30.00\n"


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """A folder with rules and two sides that differ in one row."""
    (tmp_path / "rules.toml").write_text(RULES.replace('"orders and invoices"', '"from a terminal"'))
    (tmp_path / "left.csv").write_text(HEAD + LEFT)
    (tmp_path / "right.csv").write_text(HEAD + RIGHT)
    return tmp_path


def test_two_people_close_a_period(tallystick: Command, installation: Installation, sides: Path) -> None:
    def key_of(name: str, role: str) -> dict[str, str]:
        made = run(installation.folder, "keys", "create", name, "--role", role, variables=installation.variables)
        return {"TALLYSTICK_KEY": made.out.strip()}

    ana, ben, auditor = key_of("ana", "finance"), key_of("ben", "finance"), key_of("otto", "auditor")

    def told(*arguments: str, by: dict[str, str], code: int = 0) -> Any:
        done = tallystick("runs", *arguments, "--json", **by)
        assert done.code == code, done.err
        return done.lines[0] if done.out else done.err

    refused = tallystick("reconcile", str(sides / "rules.toml"), "--keep", **auditor)
    assert refused.code == 1
    assert "lacks the permission 'runs.keep'" in refused.err
    kept = tallystick("reconcile", str(sides / "rules.toml"), "--keep", **ana)
    assert kept.code == 0, kept.err
    assert "breaks: 1 new" in kept.err

    run_id = told("list", "--reconciliation", "from a terminal", by=auditor)["items"][0]["id"]
    assert [each["name"] for each in told("found", run_id, by=auditor)["items"]] == ["2"]
    (open_break,) = told("breaks", "list", "--reconciliation", "from a terminal", by=ana)["items"]
    assert "period.unexplained" in told("prepare", run_id, "--period", "2026-10", by=ana, code=1)
    cause = ("--root-cause", "data_quality")
    meant = ("--reconciliation", "from a terminal", "--money-at-most", "100", "--dry-run")
    assert told("breaks", "explain-all", "typed wrong", *cause, *meant, by=ana) == {"would_be_explained": 1}
    assert told("breaks", "accept-all", "--reason", "a unit", *meant, by=ana) == {"would_be_accepted": 1}
    assert told("breaks", "explain", open_break["id"], "typed wrong", *cause, by=ana)["explained_by"] == "ana"
    assert told("breaks", "assign", open_break["id"], "ben", by=ana)["owner"] == "ben"
    assert told("breaks", "accept", open_break["id"], "--reason", "a unit", by=ana)["state"] == "accepted"
    assert told("breaks", "reopen", open_break["id"], "--reason", "not so", by=ana)["state"] == "open"
    assert told("prepare", run_id, "--period", "2026-10", by=ana)["state"] == "prepared"
    assert "period.same_person" in told("sign-off", run_id, by=ana, code=1)
    assert told("sign-off", run_id, by=ben)["signed_by"] == "ben"
    assert "period.signed_off" in told("breaks", "assign", open_break["id"], "ana", by=ana, code=1)

    files = [str(sides / "left.csv"), str(sides / "right.csv")]
    assert told("verify", run_id, *files, by=auditor)["verified"] is True
    (sides / "right.csv").write_text(HEAD + LEFT)
    verdicts = told("verify", run_id, *files, by=auditor, code=1)["inputs"]
    assert [each["verdict"] for each in verdicts] == ["same", "changed"]

    shown = tallystick("runs", "show", run_id, **auditor)
    assert "signed off" in shown.out
    assert "2026-10" in shown.out
    assert "carried over" in shown.out
    story = tallystick("runs", "breaks", "show", open_break["id"], **auditor)
    assert "typed wrong" in story.out
    admin = told("reopen", run_id, "--reason", "a late invoice", by={})
    assert (admin["state"], admin["reopened_by"]) == ("kept", "me")
