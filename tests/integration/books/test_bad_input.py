"""Whatever is wrong with the input is refused in words or set aside, counted and listed; no row disappears."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from tests.integration.books.reconciling import read, reconciled, rules_of

from tallystick.books.reconciliation.outcome import NotConserved, SideCount
from tallystick.books.reconciliation.rules_file import parse_rules
from tallystick.books.reconciliation.run import Options, reconcile
from tallystick.books.sources.failure import SourceError

ONE = '[[match]]\nname = "same number"\n'
PARQUET = rules_of(ONE, 'currency = "money"', 'currency = "money"').replace(".csv", ".parquet")


def test_rows_that_can_not_take_part_are_set_aside_with_column_value_and_reason(tmp_path: Path) -> None:
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(ONE, 'currency = "money"', 'currency = "money"'),
        """A1,C1,2026-01-05,10.00,USD
        ,C1,2026-01-05,1.00,USD
        A3,C1,2026-01-05,ten,USD
        A4,C1,2026-01-05,,USD
        A5,C1,2026-13-45,5.00,USD
        A6,C1,2026-01-05,6.005,USD
        A7,C1,2026-01-05,7.00,XXX
        A8,C1,2026-01-05,8.00,
        A9,C1,2026-01-05,1.234,KWD
        A10,C1,2026-01-05,1200,JPY""",
        "A1,C1,2026-01-05,10.00,USD\nA9,C1,2026-01-05,1.234,KWD\nA10,C1,2026-01-05,1200,JPY\nB1,C1,2026-01-05,1.00,USD",
        columns="number,customer,day,amount,money",
    )
    assert (outcome.left.rows_in, outcome.left.matched, outcome.left.quarantined, outcome.left.broken) == (10, 3, 7, 0)
    assert [row["left_key"] or row["right_key"] for row in breaks] == ["B1"]
    assert {(each.currency, each.left_amount) for each in outcome.agreed} == {
        ("JPY", 1200),
        ("KWD", 1234),
        ("USD", 1000),
    }
    listed = read(tmp_path / "out" / "quarantine.parquet")
    assert len({row["row"] for row in listed}) == 7
    found = {(row["column"], row["value"]) for row in listed}
    assert {("amount", "ten"), ("day", "2026-13-45"), ("money", "XXX")} <= found
    assert all(row["side"] == "left" and row["file"] == "left.csv" and row["reason"] for row in listed)
    assert sum(outcome.quarantine_reasons.values()) == len(listed)


def test_nulls_in_keys_of_typed_files_never_meet_each_other(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        for name in ("left", "right"):
            connection.execute(
                f"""copy (select * from (values ('A1', 'C1', date '2026-01-05', 1.00::decimal(9, 2), 'USD'),
                (null, 'C1', date '2026-01-05', 2.00, 'USD'), ('', 'C1', date '2026-01-05', 2.00, 'USD'),
                ('A4', 'C1', date '2026-01-05', null, 'USD')) t(number, customer, day, amount, money))
                to '{tmp_path}/{name}.parquet'"""
            )
    outcome = reconcile(parse_rules(PARQUET, "rules.toml"), Options(tmp_path))
    assert (outcome.left.matched, outcome.left.quarantined, outcome.right.quarantined, outcome.breaks) == (1, 3, 3, 0)


def test_the_row_numbers_of_several_files_are_those_in_each_file(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        columns = "'C1' as customer, date '2026-01-05' as day, 1.00::decimal(9, 2) as amount, 'USD' as money"
        for name, numbers in (("left-1", "'A1', 'A2'"), ("left-2", "'A3', 'A4'"), ("right", "'A1', 'A2', 'A3'")):
            values = f"select unnest([{numbers}]) as number, {columns}"
            connection.execute(f"copy ({values}) to '{tmp_path}/{name}.parquet'")
    rules = PARQUET.replace("left.parquet", "left-*.parquet")
    reconcile(parse_rules(rules, "rules.toml"), Options(tmp_path, tmp_path / "out"))
    (row,) = read(tmp_path / "out" / "breaks.parquet")
    assert (row["class"], row["left_key"], row["left_row"], Path(row["left_file"]).name) == (
        "missing_right",
        "A4",
        2,
        "left-2.parquet",
    )


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (None, "there is no file"),
        ("", "is empty"),
        ("number,customer,day\nA1,C1,2026-01-05\n", "has no column 'amount'; it has number, customer, day"),
    ],
)
def test_a_source_that_is_not_there_or_lacks_a_column_is_refused(tmp_path: Path, left: str | None, told: str) -> None:
    if left is not None:
        (tmp_path / "left.csv").write_text(left)
    (tmp_path / "right.csv").write_text("number,customer,day,amount\nA1,C1,2026-01-05,1.00\n")
    with pytest.raises(SourceError, match=told):
        reconcile(parse_rules(rules_of(ONE), "rules.toml"), Options(tmp_path))


def test_one_side_without_rows_leaves_the_other_missing_there(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        row = "select 'A1' as number, 'C1' as customer, date '2026-01-05' as day, 1.00::decimal(9, 2) as amount, 'USD' as money"
        connection.execute(f"copy ({row}) to '{tmp_path}/left.parquet'")
        connection.execute(f"copy ({row} where false) to '{tmp_path}/right.parquet'")
    outcome = reconcile(parse_rules(PARQUET, "rules.toml"), Options(tmp_path))
    assert (outcome.left.broken, outcome.right.rows_in, [each.name for each in outcome.classes]) == (
        1,
        0,
        ["missing_right"],
    )


def test_rows_that_get_lost_stop_the_run() -> None:
    SideCount("left", "a.csv", rows_in=10, left_out=1, quarantined=2, matched=3, broken=4).check()
    with pytest.raises(NotConserved, match="10 rows came in, and 9 are accounted for"):
        SideCount("left", "a.csv", rows_in=10, left_out=1, quarantined=2, matched=3, broken=3).check()
