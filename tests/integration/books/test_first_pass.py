"""What the first pass takes out at once is what the rules would have matched: with and without it a run says the same."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from tests.integration.books.reconciling import read, rules_of

from tallystick.books.reconciliation.rules_file import parse_rules
from tallystick.books.reconciliation.run import Options, reconcile

SEVERAL = '[[match]]\nname = "several"\nkind = "one_to_many"\ntolerance = { per_line = 0.02 }\n'
ONE = '[[match]]\nname = "same number"\n'


def make_sides(folder: Path, seed: int) -> None:
    """Keys from a small set, so that many come twice or more on either side, some are empty, and many amounts are equal."""
    with duckdb.connect() as connection:
        for name, more in (("left", 1), ("right", 2)):
            drawn = f"hash(i, {seed}, {more})"
            connection.execute(
                f"""copy (select case when {drawn} % 50 = 0 then null else 'K' || ({drawn} // 7 % 700) end as number,
                'C' || ({drawn} // 7 % 5) as customer, date '2026-01-01' + ({drawn} // 11 % 3)::int as day,
                case when {drawn} % 67 > 0 then (({drawn} // 7 % 700) % 9 + {drawn} // 13 % 2)::decimal(9, 2) end as amount
                from range(900) t(i)) to '{folder}/{name}.parquet'"""
            )


@pytest.mark.parametrize(
    "matches", [ONE, f"{ONE}tolerance = {{ absolute = 1 }}\ndays = {{ after = 1 }}\n", ONE + SEVERAL]
)
def test_a_run_says_the_same_with_and_without_the_first_pass(tmp_path: Path, matches: str) -> None:
    make_sides(tmp_path, seed=3)
    rules = rules_of(matches).replace(".csv", ".parquet")
    said = []
    for whole in ("false", "true"):
        folder = tmp_path / whole
        outcome = reconcile(
            parse_rules(f"{rules}[output]\nmatches = {whole}\n", "rules.toml"), Options(tmp_path, folder, threads=1)
        )
        breaks = [
            (row["class"], row["side"], row["left_key"], row["right_key"], row["money_at_risk"], row["cause"])
            for row in read(folder / "breaks.parquet")
        ]
        said.append((outcome.left, outcome.right, outcome.agreed, sorted(breaks, key=str)))
        assert outcome.left.matched > 100
        assert outcome.left.quarantined > 10
    assert said[0] == said[1]


@pytest.mark.timeout(60)
def test_a_key_that_tens_of_thousands_of_rows_share_does_not_make_all_of_them_meet(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        for name, different in (("left", 100), ("right", 101)):
            columns = (
                f"'K' as number, 'C' as customer, date '2026-01-01' as day, (i % {different})::decimal(9, 2) as amount"
            )
            connection.execute(f"copy (select {columns} from range(30000) t(i)) to '{tmp_path}/{name}.parquet'")
    rules = rules_of(ONE).replace(".csv", ".parquet")
    outcome = reconcile(parse_rules(rules, "rules.toml"), Options(tmp_path, threads=1))
    assert outcome.left.matched == outcome.right.matched > 29_000
    assert outcome.left.broken == 30_000 - outcome.left.matched
