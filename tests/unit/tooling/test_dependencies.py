"""The locks can be trusted and installed anywhere, and every direct dependency has its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ("requirements.lock", "requirements-fuzz.lock", "requirements-peers.lock", "requirements-uv.lock")


def direct_dependencies() -> set[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    requirements = [project["project"]["dependencies"], *extras, *groups]
    return {re.split(r"[^\w.-]", each)[0] for group in requirements for each in group}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(lock: str) -> dict[str, str]:
    """Each pinned package of a lock with the lines that belong to it."""
    entries = re.split(r"^(?=[a-zA-Z])", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return {normalised(entry.split("==")[0]): entry for entry in entries if "==" in entry}


def test_every_direct_dependency_has_its_reason() -> None:
    rows = re.findall(r"^\| ([\w.-]+) \| .{10,} \|$", (ROOT / "docs/dependencies.md").read_text(), flags=re.MULTILINE)
    reasons = [name for name in rows if name != "package"]
    assert sorted(reasons) == sorted({*direct_dependencies(), "uv"})


def test_every_direct_dependency_is_locked() -> None:
    locked = {name for lock in LOCKS for name in pinned(lock)}
    assert {normalised(name) for name in direct_dependencies()} <= locked
    assert "atheris" not in pinned("requirements.lock")  # no wheel for every machine: set-up must not need it


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    entries = pinned(lock)
    assert entries
    assert [name for name, entry in entries.items() if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_locks_name_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r"\S*://\S*|--\S*index\S*|--find-links\S*", text) == []
