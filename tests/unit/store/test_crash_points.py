"""Crash points: known by name, where they say they are, and nothing at all until somebody arms one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

from tallystick.stages.flow import Flow
from tallystick.stages.worker import STAGES
from tallystick.store.crash_points import COMMITS, CRASH_POINTS, FOLDER_VARIABLE, WRITES, crash_point

_SOURCE = Path(__file__).parents[3] / "src" / "tallystick"
_WRITE_NOTHING_OUTSIDE = {"intake.check_again", "invoicing.record_invoice"}


def _pass_by(folder: Path, name: str) -> int:
    """The exit status of a process that comes by a point."""
    program = f"from tallystick.store.crash_points import crash_point; crash_point({name!r})"
    environment = {**os.environ, FOLDER_VARIABLE: str(folder)}
    return subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=60).returncode


def test_an_armed_point_ends_one_process_and_no_second_one(tmp_path: Path) -> None:
    (tmp_path / "intake.before_commit").write_text("SIGKILL")
    assert _pass_by(tmp_path, "intake.after_commit") == 0
    assert _pass_by(tmp_path, "intake.before_commit") == -signal.SIGKILL
    assert _pass_by(tmp_path, "intake.before_commit") == 0


def test_a_point_does_nothing_where_no_folder_is_named() -> None:
    assert FOLDER_VARIABLE not in os.environ
    for name in CRASH_POINTS:
        crash_point(name)


def test_every_commit_that_has_a_name_is_in_the_code() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in _SOURCE.rglob("*.py"))
    found = set(re.findall(r'committing\(connection, "(\w+)"\)', sources))
    found |= {
        name.partition(".")[0] for name in re.findall(r'crash_point\("(\w+\.(?:before|after)_commit)"\)', sources)
    }
    assert found == set(COMMITS)


def test_every_kind_of_message_that_writes_outside_is_named() -> None:
    stages = [make(cast(Flow, None)) for make in STAGES]
    kinds = {f"{stage.stage}.{kind}" for stage in stages for kind in stage._kinds}
    assert kinds - _WRITE_NOTHING_OUTSIDE == set(WRITES)
