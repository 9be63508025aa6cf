"""The same two files compared by datacompy on Polars, which counts what differs and does not classify. In the peers' environment.

python bench/peers/datacompy_books.py LEFT RIGHT OUT
"""

from __future__ import annotations

import json
import sys
import time

import datacompy
import polars


def compare(left: str, right: str) -> int:
    """How many rows differ or are on one side only."""
    columns = ["order_number", "line_number", "quantity", "unit_price", "amount"]
    sides = [polars.read_parquet(path, columns=columns) for path in (left, right)]
    compared = datacompy.PolarsCompare(*sides, join_columns=["order_number", "line_number"])
    missing: int = len(compared.df1_unq_rows) + len(compared.df2_unq_rows)
    differing: int = len(compared.intersect_rows) - compared.count_matching_rows()
    return missing + differing


if __name__ == "__main__":
    began = time.monotonic()
    print(json.dumps({"breaks": compare(*sys.argv[1:3]), "seconds": time.monotonic() - began}))
