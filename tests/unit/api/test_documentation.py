"""docs/api.md and docs/events.md tell every code that the API answers with, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
_MADE = re.compile(r'(?:Problem|EventAnswer)\(\s*([45]\d\d),\s*"([\w.]+)"|NotPossible\(\s*(?:\w+=)?"([\w.]+)"')
# These are put together at run time, or are the answer of intake.
_BUILT = {
    *((422, f"order.change_{word}") for word in ("held", "rejected")),
    *((409, f"order.{field}_changed") for field in ("entity", "channel", "order_number", "customer_id", "currency")),
    *((409, code) for code in ("idempotency.key_reused", "order.duplicate_number")),
    *((409, f"break.not_{state}") for state in ("open", "accepted")),
}
# A run is kept by the command line alone.
_BY_COMMAND = {(409, f"run.{code}") for code in ("waited", "overtaken", "input_changed")}


def answered() -> set[tuple[int, str]]:
    """Status and code of every problem in the source."""
    found = set(_BUILT)
    for folder in ("api", "stages", "books/cash", "books/runs"):
        for file in (ROOT / "src/tallystick" / folder).glob("*.py"):
            for status, code, impossible in _MADE.findall(file.read_text()):
                found.add((409, impossible) if impossible else (int(status), code))
    return found - _BY_COMMAND


def told(document: str) -> set[tuple[int, str]]:
    """Status and code in the rows of a document's tables of statuses."""
    rows = re.findall(r"^\| (\d{3}) \|(.+)\|$", (ROOT / "docs" / document).read_text(), flags=re.MULTILINE)
    return {(int(status), code) for status, row in rows for code in re.findall(r"`([a-z_]+\.[a-z_.]+|[a-z_]+)`", row)}


def test_every_code_is_told_and_every_told_code_exists() -> None:
    words = {(status, code) for status, code in told("api.md") if "." in code or code in ("not_found", "internal")}
    assert words == answered()


def test_codes_of_events_are_told_where_events_are() -> None:
    assert {each for each in answered() if each[1].startswith("event")} <= told("events.md")
