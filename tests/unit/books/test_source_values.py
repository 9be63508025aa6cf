"""How values are read: numbers and dates in any writing, exactly, and what is in doubt is decided by the whole column."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.books.sources import Choices, Loaded, Source, Wanted, examine, load, open_engine
from tallystick.books.sources.dates import read_date_format
from tallystick.books.sources.numbers import read_number_format


def column(path: Path, values: list[str], wanted: Wanted, name: str = "v") -> tuple[list[Any], Loaded, Source]:
    """One column, as it is read; None for what was set aside or empty."""
    path.write_text(f"no|{name}\n" + "".join(f"{row}|{value}\n" for row, value in enumerate(values)), "utf-8")
    with examine(path, Choices(delimiter="|", header=1)) as source, open_engine() as engine:
        loaded = load(engine, source, "t", {"no": Wanted("text"), name: wanted})
        rows = dict(engine.execute(f'SELECT no::INTEGER, "{name}" FROM t').fetchall())
        assert loaded.rows_in == len(values) == loaded.kept + loaded.quarantined
        return [rows.get(row) for row in range(len(values))], loaded, source


@pytest.mark.parametrize(
    ("values", "cents"),
    [
        (["1234.56", "1,234.56", "-1,234.56", "0.5", ".5", "7"], [123456, 123456, -123456, 50, 50, 700]),
        (
            ["1234,56", "1.234,56", "1.234,56-", "0,5", "7", "1.000.000,00"],
            [123456, 123456, -123456, 50, 700, 100000000],
        ),
        (["(12.50)", "12.50", "+3.00", "12.50-", "−4.25"], [-1250, 1250, 300, -1250, -425]),
        (["€ 1.234,50", "€ -2,00", "3,75 €"], [123450, -200, 375]),
        (["EUR 10.00", "EUR 11.50", "12.25 EUR"], [1000, 1150, 1225]),
        (["1 234,50", "1\u00a0234,50", "1\u202f234,50"], [123450, 123450, 123450]),
        (["1'234.50", "1’234.50"], [123450, 123450]),
        (["12.3400", "5.000000"], [1234, 500]),
        (["4.640000000000001", "2.1399999999999997", "1.50"], [464, 214, 150]),
    ],
)
def test_money_is_exact_however_it_is_written(tmp_path: Path, values: list[str], cents: list[int]) -> None:
    found, loaded, _ = column(tmp_path / "a.csv", values, Wanted("money"))
    assert found == cents, loaded.reasons


@pytest.mark.parametrize(
    "value",
    ["12.345", "1.2E+3", "n/a", "#N/A", "12..5", "1,23.4", "--5", "99999999999999.00", "5 USD", "Infinity", "nan"],
)
def test_what_is_no_exact_money_is_set_aside(tmp_path: Path, value: str) -> None:
    found, loaded, _ = column(tmp_path / "a.csv", ["1.50 €", *["2.25"] * 40, value], Wanted("money"))
    assert found[-1] is None
    assert loaded.quarantined == 1
    assert found[0] == 150


def test_finer_money_is_rounded_where_that_is_wanted(tmp_path: Path) -> None:
    found, _, _ = column(tmp_path / "a.csv", ["1.005", "-1.005", "2.004"], Wanted("money", round_finer=True))
    assert found == [101, -101, 200]


def test_each_currency_has_its_own_minor_units(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,c\n10.50,EUR\n1200,JPY\n1.234,KWD\n5,XXX\n6.00,\n7.00,usd\n8.50,JPY\n9.00,€\n", "utf-8")
    with examine(path) as source, open_engine() as engine:
        loaded = load(engine, source, "t", {"a": Wanted("money", currency_column="c"), "c": Wanted("currency")})
        rows = engine.execute("SELECT a, c FROM t ORDER BY source_row").fetchall()
    assert rows == [(1050, "EUR"), (1200, "JPY"), (1234, "KWD"), (700, "USD"), (900, "EUR")]
    assert loaded.reasons == {"no currency of ISO 4217 beside it": 2, "finer than the currency's minor unit": 1}


@given(
    cents=st.lists(st.integers(-(10**12), 10**12), min_size=3, max_size=20),
    comma=st.booleans(),
    grouped=st.booleans(),
    style=st.sampled_from(["-{}", "{}-", "({})"]),
)
@settings(max_examples=12, deadline=None)
def test_any_amount_in_any_writing_comes_back(
    cents: list[int], comma: bool, grouped: bool, style: str, tmp_path_factory: Any
) -> None:
    values = []
    for each in [*cents, 123456]:  # one that tells the decimal sign
        text = f"{abs(each) / 100:,.2f}" if grouped else f"{abs(each) // 100}.{abs(each) % 100:02d}"
        text = f"{Decimal(abs(each)).scaleb(-2):,.2f}" if grouped else text
        text = text.translate(str.maketrans(".,", ",.")) if comma else text
        values.append(style.format(text) if each < 0 else text)
    found, _, _ = column(tmp_path_factory.mktemp("m") / "a.csv", values, Wanted("money"))
    assert found == [*cents, 123456]


@pytest.mark.parametrize(
    ("values", "days"),
    [
        (["2026-01-05", "2026-1-6", "2026-01-07 10:30:00", "2026-01-08T10:30:00"], [5, 6, 7, 8]),
        (["05.01.2026", "6.1.2026", "31.01.2026"], [5, 6, 31]),
        (["05/01/2026", "31/01/2026"], [5, 31]),
        (["01/05/2026", "01/31/2026", "01/06/2026 10:15 AM"], [5, 31, 6]),
        (["20260105", "20260106"], [5, 6]),
        (["05-Jan-2026", "06-Jan-2026"], [5, 6]),
        (["05.01.26", "31.01.26"], [5, 31]),
    ],
)
def test_dates_in_any_writing(tmp_path: Path, values: list[str], days: list[int]) -> None:
    found, loaded, _ = column(tmp_path / "a.csv", values, Wanted("date"), "order date")
    assert found == [dt.date(2026, 1, day) for day in days], loaded.reasons


def test_the_order_of_dates_is_decided_by_the_whole_column(tmp_path: Path) -> None:
    """The sample could be read both ways; one value far below it can't."""
    values = ["01/02/2026"] * 6000 + ["02/25/2026"]
    found, _, source = column(tmp_path / "a.csv", values, Wanted("date"), "date")
    assert found[0] == dt.date(2026, 1, 2)
    assert found[-1] == dt.date(2026, 2, 25)
    assert source.column("date").date.evidence == "0 values only read day first, 1 only month first"  # type: ignore[union-attr]


def test_dates_that_nothing_decides_are_told_to_be_in_doubt(tmp_path: Path) -> None:
    _, _, source = column(tmp_path / "a.csv", ["01/02/2026", "03/04/2026"], Wanted("date"), "date")
    assert source.column("date").confidence == 0.5


def test_dates_of_the_other_order_are_set_aside(tmp_path: Path) -> None:
    found, loaded, _ = column(
        tmp_path / "a.csv", ["13.01.2026"] * 30 + ["01.13.2026", "31.02.2026"], Wanted("date"), "date"
    )
    assert found[-2:] == [None, None]
    assert loaded.reasons == {"no date as d.m.Y": 2}


def test_the_decimal_sign_is_decided_by_the_whole_column_and_by_its_neighbours(tmp_path: Path) -> None:
    found, _, _ = column(tmp_path / "a.csv", ["1.234"] * 5000 + ["0,5"], Wanted("money", round_finer=True))
    assert (found[0], found[-1]) == (123400, 50)
    path = tmp_path / "b.csv"
    path.write_text("a;b\n1.234;0,50\n5.678;1,25\n", "utf-8")
    with examine(path) as source:
        assert source.column("a").number.decimal == ","  # type: ignore[union-attr]


def test_leading_zeros_and_article_codes_are_no_numbers() -> None:
    assert read_number_format(["SKU123", "SKU124"]) is None
    found = read_number_format(["00123", "00124"])
    assert found is not None
    assert found.like_numbers_only
    assert read_date_format("id", ["20260105", "20260106"]) is None


def test_keys_are_trimmed_and_empty_ones_are_set_aside(tmp_path: Path) -> None:
    found, loaded, _ = column(tmp_path / "a.csv", [" A1 ", "00012", "  ", ""], Wanted("text", required=True))
    assert found == ["A1", "00012", None, None]
    assert loaded.reasons == {"empty": 2}
