"""`tallystick demo` as a newcomer runs it, on the sandbox's fast ERP."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(240)
async def test_the_demo_ties_out_and_ends_with_one_json_object() -> None:
    program = str(Path(sys.executable).with_name("tallystick"))
    process = await asyncio.create_subprocess_exec(
        program,
        *("demo", "--orders", "12", "--erp", "sandbox", "--seed", "2"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()[-2000:] + told.decode()[-4000:]
    summary = json.loads(told.decode().strip().splitlines()[-1])
    assert summary["orders_submitted"] == 12
    assert summary["committed"] + summary["held"] + summary["rejected"] == 12
    assert summary["rejected"] == 1
    assert (summary["unexplained_difference"], summary["duplicates_in_erp"], summary["dead_letters"]) == ("0.00", 0, 0)
    assert summary["invoices"] >= summary["committed"] > 0
    assert float(summary["sales_total"]) - float(summary["invoiced_total"]) == pytest.approx(
        float(summary["explained_difference"])
    )
