"""The benchmark runs, and says of each promise what was seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def test_tiny_run_measures_what_it_is_asked_to_and_judges_nothing() -> None:
    command = [sys.executable, "-m", "bench", "--smoke", "--json", "--rows", "intake", "mailbox"]
    run = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert run.returncode == 0, run.stderr
    data = json.loads(run.stdout)
    assert [row["name"] for row in data["rows"]] == ["intake", "mailbox"]
    for row in data["rows"]:
        assert row["ours"] > 0, row
        assert all(each["seen"] > 0 for each in row["beside"]), row
        assert all(each["seen"] > 0 and each["met"] is None for each in row["promises"]), row
    assert data["surroundings"]["cores"] >= 1
