"""`make faults` in a few seconds: everything starts, something breaks, all books are compared, nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
async def test_a_short_campaign_holds_every_promise_and_leaves_nothing() -> None:
    arguments = ("--minutes", "0.03", "--seed", "1", "--erp", "sandbox", "--rate", "2", "--only")
    kinds = ("process killed with -9", "connection cut, work done")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faults", *arguments, *kinds),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()[-2000:] + told.decode()[-4000:]
    summary = json.loads(told.decode().strip().splitlines()[-1])
    assert summary["held"] is True
    assert summary["faults"] >= 2
    assert summary["orders_acknowledged"] >= 4
    folder = Path(trouble.decode().split("Everything runs in ", 1)[1].split(";", 1)[0].strip())
    assert not folder.exists()  # noqa: ASYNC240 - nothing else runs here
