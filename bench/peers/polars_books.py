"""The same two files reconciled by hand on Polars, streaming: full join, five classes, money at risk. In the peers' environment.

python bench/peers/polars_books.py LEFT RIGHT OUT
"""

from __future__ import annotations

import json
import sys
import time

import polars


def reconcile(left: str, right: str, out: str) -> dict[str, int]:
    """Breaks by class, written to `out`."""
    key, values = ["order_number", "line_number"], ["quantity", "unit_price", "amount"]
    sides = [polars.scan_parquet(path).select(*key, *values, here=polars.lit(True)) for path in (left, right)]
    joined = sides[0].join(sides[1], on=key, how="full", coalesce=True, suffix="_right")
    kind = (
        polars.when(polars.col("here_right").is_null())
        .then(polars.lit("missing_right"))
        .when(polars.col("here").is_null())
        .then(polars.lit("missing_left"))
        .when(polars.col("quantity") != polars.col("quantity_right"))
        .then(polars.lit("quantity"))
        .when(polars.col("unit_price") != polars.col("unit_price_right"))
        .then(polars.lit("price"))
        .when(polars.col("amount") != polars.col("amount_right"))
        .then(polars.lit("amount"))
    )
    risk = (polars.col("amount").fill_null(0) - polars.col("amount_right").fill_null(0)).abs()
    breaks = joined.with_columns(kind=kind, money_at_risk=risk).filter(polars.col("kind").is_not_null())
    breaks.sink_parquet(out, engine="streaming")
    counted = polars.read_parquet(out, columns=["kind"]).group_by("kind").len()
    return {str(name): int(number) for name, number in counted.iter_rows()}


if __name__ == "__main__":
    began = time.monotonic()
    found = reconcile(*sys.argv[1:4])
    print(json.dumps({"breaks": sum(found.values()), "classes": found, "seconds": time.monotonic() - began}))
