"""Reconciliation of millions of lines, beside DuckDB's bare join of the keys, Polars by hand, and datacompy.

All read the same files and are processes of their own, in turn, round by round. Ours gives two figures: the whole process, and
the time without starting Python and loading libraries; the others are taken without as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.row import Beside, Place, Promise, Row
from bench.seeded import FATES, RULES, Seeded, seed_breaks
from bench.surroundings import PROGRAM

_SCRIPTS = Path(__file__).parent / "peers"
_PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
_CAUSES = (
    "not handed over",
    "entered outside the flow",
    "rounding rule",
    "tax jurisdiction",
    "partial shipment not invoiced",
    "price agreed outside the price list",
)
"""What is broken in the measured files: five classes, and no row twice."""
MOST_OF_THE_BARE_JOIN, MOST_MEGABYTES, LEAST_OF_DATACOMPY = 1.5, 1_500.0, 5.0
MOST_OF_CSV, MOST_OF_FIVE_MILLION = 2.5, 4.0


@dataclass(frozen=True, slots=True)
class Took:
    """One process: what it said of itself, and what the kernel counted."""

    said: dict[str, Any]
    whole_seconds: float
    megabytes: float

    @property
    def seconds(self) -> float:
        """Without starting Python and loading libraries."""
        told = self.said["seconds"]
        return float(told["all"] if isinstance(told, dict) else told)


async def row(place: Place) -> Row:
    """Five million lines against five million, from Parquet."""
    files = await asyncio.to_thread(_files, place, 5_000_000, "parquet")
    commands = {"ours": _ours(files), "bare join": _script("bare_join", "join", files)}
    if _PEERS_PYTHON.exists():
        commands |= {
            "Polars": _script("polars_books", None, files),
            "datacompy": _script("datacompy_books", None, files),
        }
    elif not place.smoke:
        raise RuntimeError("the peers are not installed; run the benchmark with 'make bench', which installs them")
    seen = await asyncio.to_thread(_rounds, commands, 1 if place.smoke else 3)
    ours, bare = _median(seen["ours"]), _median(seen["bare join"])
    matching = statistics.median(each.said["seconds"]["joining both sides"] for each in seen["ours"])
    promises = [
        Promise("times the bare join", ours / bare, most=MOST_OF_THE_BARE_JOIN),
        Promise("MB at most", max(each.megabytes for each in seen["ours"]), most=MOST_MEGABYTES),
    ]
    if "datacompy" in seen:
        promises.append(
            Promise("times as fast as datacompy", _median(seen["datacompy"]) / ours, least=LEAST_OF_DATACOMPY)
        )
    counted = seen["ours"][0].said
    return Row(
        name="books",
        what=f"{counted['sides']['left']['rows_in']:,} lines reconciled with {counted['sides']['right']['rows_in']:,}, Parquet",
        unit="s",
        ours=ours,
        promises=tuple(promises),
        beside=tuple(Beside(name, _median(each)) for name, each in seen.items() if name != "ours"),
        notes=(
            f"{counted['breaks']:,} breaks with class, cause and money at risk, written to files",
            f"the join that takes out what agrees: {matching:.2f} s, {matching / bare:.2f} times the bare join",
            f"whole process: {statistics.median(each.whole_seconds for each in seen['ours']):.2f} s",
            *(
                f"{name} found {each[0].said['breaks']:,}"
                for name, each in seen.items()
                if name in ("Polars", "datacompy")
            ),
        ),
        detail=_detail(seen),
    )


async def row_of_csv(place: Place) -> Row:
    """Two CSV files of 245 MB each."""
    lines = 3_150_000
    text = await asyncio.to_thread(_files, place, lines, "csv")
    parquet = await asyncio.to_thread(_files, place, lines, "parquet")
    commands = {
        "ours": _ours(text),
        "bare join": _script("bare_join", "join", parquet),
        "bare read": _script("bare_join", "csv", text),
    }
    seen = await asyncio.to_thread(_rounds, commands, 1 if place.smoke else 3)
    ours, limit = _median(seen["ours"]), _median(seen["bare join"]) + _median(seen["bare read"])
    megabytes = text.left.stat().st_size / 1_000_000
    return Row(
        name="books-csv",
        what=f"two CSV files of {megabytes:,.0f} MB reconciled",
        unit="s",
        ours=ours,
        promises=(Promise("times the bare join and DuckDB's own read", ours / limit, most=MOST_OF_CSV),),
        beside=(
            Beside("bare join, Parquet", _median(seen["bare join"])),
            Beside("bare read, CSV", _median(seen["bare read"])),
        ),
        notes=(
            f"{seen['ours'][0].said['breaks']:,} breaks; {max(each.megabytes for each in seen['ours']):,.0f} MB of memory",
        ),
        detail=_detail(seen),
    )


async def row_of_twenty_million(place: Place) -> Row:
    """Four times as much as the first row, in the same memory."""
    five = await asyncio.to_thread(_files, place, 5_000_000, "parquet")
    twenty = await asyncio.to_thread(_files, place, 20_000_000, "parquet")
    commands = {"five": _ours(five), "twenty": _ours(twenty)}
    seen = await asyncio.to_thread(_rounds, commands, 1)
    ratio = _median(seen["twenty"]) / _median(seen["five"])
    return Row(
        name="books-20m",
        what="twenty million lines with twenty million, beside five with five",
        unit="s",
        ours=_median(seen["twenty"]),
        promises=(Promise("times five million", ratio, most=MOST_OF_FIVE_MILLION),),
        beside=(Beside("five million", _median(seen["five"])),),
        notes=(f"{seen['twenty'][0].said['breaks']:,} breaks; {seen['twenty'][0].megabytes:,.0f} MB of memory",),
        detail=_detail(seen),
    )


def _files(place: Place, lines: int, form: str) -> Seeded:
    """The two sides with two percent of breaks, made once a run."""
    lines = 20_000 if place.smoke else lines
    folder = place.folder / f"books-{form}-{lines}"
    if not folder.exists():
        folder.mkdir()
        without = tuple(cause or "" for _, cause in FATES if cause not in _CAUSES)
        seed_breaks(folder, lines, broken=0.02, without=without, form=form)
        rules = RULES.replace("days = { before = 0, after = 5 }", 'compare = ["amount", "quantity", "price"]')
        for name in ("currency", "item", "status"):  # what the peers do not read either
            rules = "\n".join(line for line in rules.splitlines() if not line.startswith(f"{name} = "))
        for side in ("left", "right"):
            rules = rules.replace(f"[{side}]\n", f'[{side}]\nsource = "{side}.{form}"\n')
        (folder / "rules.toml").write_text(rules + "\n")
    return Seeded(folder / f"left.{form}", folder / f"right.{form}", folder / "truth.parquet")


def _ours(files: Seeded) -> list[str]:
    folder = files.left.parent
    return [PROGRAM, "reconcile", str(folder / "rules.toml"), "--out", str(folder / "out"), "--json"]


def _script(name: str, what: str | None, files: Seeded) -> list[str]:
    python = sys.executable if name == "bare_join" else str(_PEERS_PYTHON)
    out = [] if name == "bare_join" else [str(files.left.parent / f"{name}.parquet")]
    return [python, str(_SCRIPTS / f"{name}.py"), *([what] if what else []), str(files.left), str(files.right), *out]


def _rounds(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Took]]:
    """Each command in turn, so many times."""
    seen: dict[str, list[Took]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seen[name].append(_run(command))
    return seen


def _run(command: Sequence[str]) -> Took:
    """One process, with its peak of memory as the kernel counts it. Raises RuntimeError with its last words if it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        whole = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {errors.read().decode(errors='replace')[-1_000:]}")
        return Took(json.loads(out.read().splitlines()[-1]), whole, used.ru_maxrss * 1024 / 1_000_000)


def _median(seen: Sequence[Took]) -> float:
    return statistics.median(each.seconds for each in seen)


def _detail(seen: dict[str, list[Took]]) -> dict[str, Any]:
    return {
        name: [{"seconds": each.seconds, "whole": each.whole_seconds, "megabytes": each.megabytes} for each in rounds]
        for name, rounds in seen.items()
    }
