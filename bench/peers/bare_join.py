"""What DuckDB alone takes for the join under a reconciliation, and for reading CSV: the limit beside which ours is put.

python bench/peers/bare_join.py join LEFT RIGHT | csv LEFT RIGHT
"""

from __future__ import annotations

import json
import sys
import time

import duckdb

_KEY = "hash(order_number || '|' || line_number) as code"


def run(what: str, left: str, right: str) -> int:
    """A full join of both files' keys by their 64-bit hash; or every row of both CSV files read, and their amounts added up."""
    with duckdb.connect() as connection:
        if what == "join":
            sides = [f"(select {_KEY} from read_parquet('{path}'))" for path in (left, right)]
            query = f"select count(*) from {sides[0]} l full join {sides[1]} r using (code)"
        else:
            columns = "order_number, line_number, quantity, unit_price, amount"
            rows = " union all ".join(f"select {columns} from read_csv('{path}')" for path in (left, right))
            query = f"select count(*), count(order_number), sum(amount), sum(quantity), sum(unit_price) from ({rows})"
        return int(connection.execute(query).fetchall()[0][0])


if __name__ == "__main__":
    began = time.monotonic()
    print(json.dumps({"rows": run(*sys.argv[1:4]), "seconds": time.monotonic() - began}))
