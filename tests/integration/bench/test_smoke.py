"""The benchmark runs, and its exit code says what its rows say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def test_tiny_run_measures_both_rows_and_its_exit_code_says_whether_every_target_is_met() -> None:
    command = [sys.executable, "-m", "bench", "--smoke", "--json"]
    run = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert run.returncode in (0, 1), run.stderr
    data = json.loads(run.stdout)
    assert [row["name"] for row in data["rows"]] == ["intake", "mailbox"]
    for row in data["rows"]:
        assert row["ours"] > 0, row
        assert row["bare"] > 0, row
        assert row["met"] == (row["ours"] / row["bare"] >= row["target"]), row
    assert run.returncode == (0 if all(row["met"] for row in data["rows"]) else 1)
    assert data["surroundings"]["cores"] >= 1
