"""`tallystick reconcile` as people and programs use it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.seeded import RULES, seed_breaks
from tests.integration.books.reconciling import rules_of
from typer.testing import CliRunner

from tallystick.cli.application import app
from tallystick.cli.program import COMMANDS

PROGRAM = Path(sys.executable).with_name("tallystick")
ORDERS = "order_number,customer_id,order_date,total_amount\nW-1,C1,2026-01-05,10.00\nW-2,C1,2026-01-05,20.00\n"
INVOICES = (
    "invoice_number,order_number,customer_id,invoice_date,total_amount\n"
    "I-1,w-1,C1,2026-01-06,10.00\nI-2,W-2,C1,2026-01-06,12.00\nI-3,W-2,C1,2026-01-07,7.00\n"
)


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, "reconcile", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_rule_set_runs_on_ones_own_files_and_explains_one_key(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "invoices.csv").write_text(INVOICES)
    done = run("orders-to-invoices", "orders.csv", "invoices.csv", "--out", "out", "--explain", "W-2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rule 1, one invoice for one order: not matched: amount did not agree" in done.stdout
    assert "rule 2, several invoices for one order: not matched: amount did not agree" in done.stdout
    assert "break 1: amount;" in done.stdout
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        "breaks.parquet",
        "break_rows.parquet",
        "quarantine.parquet",
        "summary.json",
    }
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["breaks"], summary["money_at_risk"]) == (1, {"USD": 100})


def test_json_is_all_that_stdout_has_and_a_passed_limit_has_its_own_exit_code(tmp_path: Path) -> None:
    (tmp_path / "left.csv").write_text("number,customer,day,amount\nA1,C1,2026-01-05,1.00\n")
    (tmp_path / "right.csv").write_text("number,customer,day,amount\nA1,C1,2026-01-05,1.10\n")
    limits = "[limits]\nbreaks = 0\nmoney_at_risk = 0.05\nunexplained = 0\n"
    (tmp_path / "rules.toml").write_text(rules_of('[[match]]\nname = "same number"\n' + limits))
    done = run("rules.toml", "--json", folder=tmp_path)
    assert done.returncode == 3
    assert json.loads(done.stdout)["limits_passed"] == [
        "1 breaks are more than 0",
        "0.10 USD at risk is more than 0.05",
        "1 breaks without a root cause are more than 0",
    ]
    assert "0.10 USD at risk is more than 0.05" in done.stderr


def test_wrong_rules_and_missing_files_end_with_2_and_a_line_for_each_mistake(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('name = "x"\n[left]\n[left.columns]\nkey = 1\n')
    done = run("rules.toml", folder=tmp_path)
    assert done.returncode == 2
    assert "rules.toml:4: left.columns.key" in done.stderr
    assert "rules.toml:1: right: is missing" in done.stderr


def test_the_rule_sets_are_listed_and_shown_to_be_copied() -> None:
    assert "reconcile" in COMMANDS
    from tallystick.cli import reconcile  # noqa: F401 - registers the command

    listed = CliRunner().invoke(app, ["reconcile", "--list", "--json"])
    assert {"prices", "customers", "payments-to-receivables"} <= {
        each["name"] for each in json.loads(listed.stdout)["rule_sets"]
    }
    shown = CliRunner().invoke(app, ["reconcile", "prices", "--show"])
    assert shown.stdout.startswith('name = "prices"')


def test_ctrl_c_ends_a_run_with_130_and_leaves_nothing_behind(tmp_path: Path) -> None:
    files = seed_breaks(tmp_path, 400_000, broken=0.3)
    sides = {"[left]\n": f'[left]\nsource = "{files.left}"\n', "[right]\n": f'[right]\nsource = "{files.right}"\n'}
    rules = RULES
    for old, new in sides.items():
        rules = rules.replace(old, new)
    (tmp_path / "rules.toml").write_text(rules)
    command = [str(PROGRAM), "reconcile", "rules.toml", "--out", "out", "--threads", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={"TMPDIR": str(tmp_path), "PATH": ""}
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("tallystick-reconcile-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # it takes a second or two
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out" / "summary.json").exists()
    assert list(tmp_path.glob("tallystick-reconcile-*")) == []
