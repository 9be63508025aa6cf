"""Every operation of our own description, tried by schemathesis with data that fits it and data that does not: no check fails.

Longer, and otherwise each time: TALLYSTICK_FUZZ="--max-time 300 --seed 7" before `make test TEST_ARGS=<this file>`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import EVENT_SECRET, configuration, seed_replicas, serve_settings
from tests.integration.api.serving import listening
from tests.integration.api.work import hold, refuse, submit
from tests.integration.books.keeping import Desk
from tests.unit.api.description import OPERATIONS

from tallystick.control.access import PERMISSIONS
from tallystick.settings import parse_settings

ROOT = Path(__file__).parents[3]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
LONGER = shlex.split(os.environ.get("TALLYSTICK_FUZZ", ""))
SHORT = ("--seed", "1", "--max-examples", "4", "--phases", "examples,coverage,fuzzing,stateful")


@dataclass(frozen=True, slots=True)
class Target:
    """A server to try, the keys to it, and the ids of what is there."""

    url: str
    keys: dict[str, str]
    ids: dict[str, list[str]]
    folder: Path
    """For what schemathesis leaves lying about."""


@pytest.fixture(scope="module")
async def target(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """An installation in which the description's examples are true, with held, refused and accepted orders."""
    wanted = configuration()
    wanted["systems"] |= {
        "erp": {"kind": "sandbox_erp"},
        "payments": {"kind": "sandbox_payments", "event_source": "/systems/payments", "event_secret": EVENT_SECRET},
    }
    wanted["entities"]["default"] = {"erp": "erp", "payments": "payments", "crm": "shared"}
    ids: dict[str, list[str]] = {"transaction_id": [], "exception_id": [], "message_id": [], "name": ["erp", "order"]}
    async with (
        make_database() as database,
        serve_settings(database, parse_settings(wanted)) as installation,
        listening(installation) as url,
    ):
        await seed_replicas(installation.pool, "erp", "C-100", "19.99")
        desk = Desk(database, tmp_path_factory.mktemp("sides"))
        ids["run_id"] = [str((await desk.run("1 A 2026-10-01 1.00\n2 A 2026-10-01 2.00", "1 A 2026-10-01 1.10")).id)]
        ids["break_id"] = [str(each["id"]) for each in (await desk.breaks()).values()]
        for _ in range(10):
            held, dead, accepted = await hold(installation), await refuse(installation), await submit(installation)
            ids["transaction_id"] += [held["transaction_id"], dead.transaction_id, accepted["transaction_id"]]
            ids["exception_id"] += [held["exception_id"], dead.exception_id]
            ids["message_id"].append(dead.message_id)
        yield Target(url, dict(installation.keys), ids, tmp_path_factory.mktemp("schemathesis"))


async def campaign(target: Target, role: str, *arguments: str) -> str:
    """What schemathesis says of a run with this role's key; a failure of any check, or an error, fails the test."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TALLYSTICK_FUZZ_KEY": target.keys[role],
        "TALLYSTICK_FUZZ_IDS": json.dumps(target.ids),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
        *("run", f"{target.url}/openapi.json", *arguments),
        env=environment,
        cwd=target.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    text = said.decode()
    assert process.returncode == 0, text
    return text


@pytest.mark.timeout(3_600 if LONGER else 240)
async def test_whatever_is_sent_to_any_operation_shows_no_fault(target: Target) -> None:
    said = await campaign(target, "admin", *(LONGER or SHORT))
    assert f"Tested: {len(OPERATIONS)}\n" in said
    tried = re.search(r"(\d+) generated, (\d+) passed", said)
    assert tried, said
    assert int(tried[2]) > 1_000


@pytest.mark.timeout(3_600)
@pytest.mark.skipif(not LONGER, reason="the long campaign is run by hand: set TALLYSTICK_FUZZ")
@pytest.mark.parametrize("role", sorted(set(PERMISSIONS) - {"admin"}))
async def test_no_role_finds_a_fault_either(target: Target, role: str) -> None:
    await campaign(target, role, *LONGER)
