"""The connector that docs/how-to/new-connector.md builds works as it stands there: it is found, and passes its kit."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

HOWTO = Path(__file__).parents[3] / "docs" / "how-to" / "new-connector.md"
# A line with nothing but a file's name and a colon, and the indented block below it.
FILE = re.compile(r"^`(?P<name>[\w./]+)`:\n\n(?P<text>(?:(?: {4}.*)?\n)+)", re.MULTILINE)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package with all files of the how-to, and beside it what an installer makes of its pyproject.toml."""
    for found in FILE.finditer(HOWTO.read_text(encoding="utf-8")):
        file = tmp_path / found["name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(found["text"]).strip() + "\n", encoding="utf-8")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    metadata = tmp_path / "src" / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (
        (f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()))
        for group, entries in project["entry-points"].items()
    )
    (metadata / "entry_points.txt").write_text("\n".join(line for group in groups for line in group) + "\n")
    return tmp_path


async def test_the_connector_of_the_howto_is_found_by_its_kind_and_passes_the_kit(package: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"),
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package / "src")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert re.search(r"^\d+ passed in", output, re.MULTILINE), f"nothing skipped, no warnings: {output}"
