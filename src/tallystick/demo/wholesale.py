"""A wholesale supplier's own data to trade with: TPC-H's customers, parts, stock and orders, made offline by tpchgen-cli."""

from __future__ import annotations

import csv
import math
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tallystick.demo.failure import DemoError

_ORDERS_OF_SCALE_ONE = 1_500_000
_SMALLEST_SCALE = 0.01
_TABLES = "customer,part,partsupp,orders,lineitem"


@dataclass(frozen=True, slots=True)
class SoldLine:
    """One line of an order: `discount` is a fraction of the part's retail price."""

    number: int
    part: int
    quantity: Decimal
    discount: Decimal


@dataclass(slots=True)
class SoldOrder:
    """One order with its lines."""

    key: int
    customer: int
    clerk: str
    lines: list[SoldLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A customer; `nation` is TPC-H's number from 0 to 24."""

    key: int
    name: str
    nation: int


@dataclass(frozen=True, slots=True)
class Part:
    """A product with its retail price in dollars and the quantity that all suppliers together have of it."""

    key: int
    name: str
    retail_price: Decimal
    available: int


@dataclass(frozen=True, slots=True)
class Wholesale:
    """The orders, and only the customers and parts that they need."""

    orders: tuple[SoldOrder, ...]
    buyers: Mapping[int, Buyer]
    parts: Mapping[int, Part]


def make_wholesale(folder: Path, count: int, seed: int) -> Wholesale:
    """Make TPC-H data in `folder` and draw `count` orders from it, the same for the same seed.

    Raises DemoError when tpchgen-cli is not installed or fails.
    """
    scale = max(_SMALLEST_SCALE, math.ceil(100 * count / _ORDERS_OF_SCALE_ONE) / 100)
    _generate(folder, scale)
    keys = [int(row["o_orderkey"]) for row in _rows(folder, "orders")]
    drawn = set(random.Random(seed).sample(keys, count))  # noqa: S311 - a reproducible draw, no secret
    orders = {
        int(row["o_orderkey"]): SoldOrder(int(row["o_orderkey"]), int(row["o_custkey"]), row["o_clerk"])
        for row in _rows(folder, "orders")
        if int(row["o_orderkey"]) in drawn
    }
    for row in _rows(folder, "lineitem"):
        order = orders.get(int(row["l_orderkey"]))
        if order is not None:
            order.lines.append(
                SoldLine(
                    int(row["l_linenumber"]),
                    int(row["l_partkey"]),
                    Decimal(row["l_quantity"]),
                    Decimal(row["l_discount"]),
                )
            )
    buyers = {order.customer for order in orders.values()}
    parts = {line.part for order in orders.values() for line in order.lines}
    return Wholesale(tuple(orders.values()), _buyers(folder, buyers), _parts(folder, parts))


def _generate(folder: Path, scale: float) -> None:
    program = Path(sys.executable).with_name("tpchgen-cli")
    if not program.exists():
        raise DemoError("tpchgen-cli is not installed; install tallystick[demo]")
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), "csv", "-s", str(scale), "-T", _TABLES, "-o", str(folder), "--overwrite"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - arguments of our own
    if done.returncode:
        raise DemoError(f"tpchgen-cli failed: {done.stderr.strip()[-500:]}")


def _rows(folder: Path, table: str) -> Iterator[dict[str, str]]:
    with (folder / f"{table}.csv").open(newline="", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def _buyers(folder: Path, wanted: set[int]) -> dict[int, Buyer]:
    return {
        int(row["c_custkey"]): Buyer(int(row["c_custkey"]), row["c_name"], int(row["c_nationkey"]))
        for row in _rows(folder, "customer")
        if int(row["c_custkey"]) in wanted
    }


def _parts(folder: Path, wanted: set[int]) -> dict[int, Part]:
    available = dict.fromkeys(wanted, 0)
    for row in _rows(folder, "partsupp"):
        if int(row["ps_partkey"]) in available:
            available[int(row["ps_partkey"])] += int(row["ps_availqty"])
    return {
        int(row["p_partkey"]): Part(
            int(row["p_partkey"]), row["p_name"], Decimal(row["p_retailprice"]), available[int(row["p_partkey"])]
        )
        for row in _rows(folder, "part")
        if int(row["p_partkey"]) in wanted
    }
