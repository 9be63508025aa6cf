"""Data with known answers: Northwind's rounding, and TPC-H, whose order totals tie to their lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from tests.integration.books.reconciling import read

from tallystick.books.reconciliation.rules_file import parse_rules
from tallystick.books.reconciliation.run import Options, reconcile

NORTHWIND = Path(__file__).parents[4] / "shared" / "data" / "northwind"
TPCHGEN = Path(sys.executable).with_name("tpchgen-cli")
there = pytest.mark.skipif(
    not NORTHWIND.is_dir(), reason=f"the Northwind data is not beside this repository ({NORTHWIND})"
)

ROUNDED_APART = """
name = "Northwind's lines, rounded half up by sales and half to even by finance"
[left]
source = "order_details.csv"
[left.columns]
key = ["OrderID", "ProductID"]
quantity = "Quantity"
price = "UnitPrice"
amount = { price = "UnitPrice", quantity = "Quantity", discount = "Discount", rounding = "half_up" }
[right]
source = "order_details.csv"
[right.columns]
key = ["OrderID", "ProductID"]
quantity = "Quantity"
price = "UnitPrice"
amount = { price = "UnitPrice", quantity = "Quantity", discount = "Discount", rounding = "half_even" }
[[match]]
name = "same line"
"""
ORDERS_TO_LINES = """
name = "Northwind's orders to their lines"
[left]
source = "orders.parquet"
[left.columns]
key = "OrderID"
amount = { column = "amount", minor = true }
[right]
source = "order_details.csv"
[right.columns]
key = "OrderID"
item = "ProductID"
amount = { price = "UnitPrice", quantity = "Quantity", discount = "Discount" }
[[match]]
name = "the sum of its lines"
kind = "one_to_many"
"""
TPCH = """
name = "TPC-H's order totals to their lines"
[left]
source = "orders.parquet"
[left.columns]
key = "o_orderkey"
amount = "o_totalprice"
[right]
source = "lines.parquet"
[right.columns]
key = "l_orderkey"
amount = { column = "amount", minor = true }
[[match]]
name = "the sum of its lines"
kind = "one_to_many"
"""


@there
def test_northwinds_two_roundings_are_found_and_named_as_the_cause_of_27_cents(tmp_path: Path) -> None:
    outcome = reconcile(parse_rules(ROUNDED_APART, "northwind.toml"), Options(NORTHWIND, tmp_path))
    (agreed,) = outcome.agreed
    (rounding,) = outcome.causes
    assert (rounding.name, rounding.kind, rounding.amount_difference, rounding.money_at_risk) == (
        "rounding rule",
        "process_design",
        27,
        rounding.breaks,
    )
    differing = read(tmp_path / "breaks.parquet")
    left = agreed.left_amount + sum(row["left_amount"] for row in differing)
    right = agreed.right_amount + sum(row["right_amount"] for row in differing)
    assert (left, right) == (126579329, 126579302)


@there
def test_northwinds_orders_tie_to_their_lines(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"""copy (select OrderID, sum(cast(floor(UnitPrice::decimal(18, 4) * Quantity * (100 - (Discount * 100)::int) + 0.5)
            as bigint)) as amount from '{NORTHWIND}/order_details.csv' group by 1) to '{tmp_path}/orders.parquet'"""
        )
    rules = ORDERS_TO_LINES.replace("order_details.csv", str(NORTHWIND / "order_details.csv"))
    outcome = reconcile(parse_rules(rules, "northwind.toml"), Options(tmp_path, tmp_path))
    assert (outcome.left.matched, outcome.right.matched, outcome.breaks) == (830, 2155, 0)


@pytest.mark.skipif(not TPCHGEN.exists(), reason="tpchgen-cli is not installed")
def test_tpchs_order_totals_tie_to_their_lines_and_a_changed_one_does_not(tmp_path: Path) -> None:
    for table in ("orders", "lineitem"):
        command = [str(TPCHGEN), "parquet", "-s", "0.01", "--tables", table, "--output-dir", str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    with duckdb.connect() as connection:
        connection.execute(  # as the generator adds them up: in whole cents, each step rounded down
            f"""copy (select l_orderkey, (l_extendedprice * 100)::bigint * (100 - (l_discount * 100)::bigint) // 100
            * (100 + (l_tax * 100)::bigint) // 100 as amount from '{tmp_path}/lineitem.parquet') to '{tmp_path}/lines.parquet'"""
        )
        total = "case when o_orderkey = 7 then o_totalprice + 0.01 else o_totalprice end as o_totalprice"
        changed = f"select * replace ({total}) from '{tmp_path}/orders.parquet'"
        connection.execute(f"copy ({changed}) to '{tmp_path}/changed.parquet'")
    rules = TPCH.replace("orders.parquet", "changed.parquet")
    outcome = reconcile(parse_rules(rules, "tpch.toml"), Options(tmp_path, tmp_path / "out"))
    (broken,) = read(tmp_path / "out" / "breaks.parquet")
    assert (outcome.left.rows_in, outcome.left.matched, outcome.right.rows_in) == (15_000, 14_999, 60_175)
    assert (broken["class"], broken["left_key"], broken["money_at_risk"]) == ("amount", "7", 1)
