"""docs/guarantees.md names a test for each promise; each is there, and the campaign's own promises all stand in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from faults.campaign import TITLES

_ROOT = Path(__file__).parents[3]
_PAGE = (_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
_ROWS = [line for line in _PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| Promise", "|--"))]


@pytest.mark.parametrize("row", _ROWS)
def test_every_promise_names_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row)
    assert named, f"no test proves: {row}"
    for file, test in named:
        assert re.search(rf"^\s*(?:async )?def {test}\(", (_ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (
            test
        )


def test_what_the_campaign_checks_is_what_is_promised() -> None:
    promised = {title.lower() for title in re.findall(r"^\| \*\*(.+?)\*\*", _PAGE, re.MULTILINE)}
    assert promised == {title.lower() for title in TITLES}
