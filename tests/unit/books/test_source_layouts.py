"""How files are found out: encoding, delimiter, quotes, names, sheets; what can't be one is refused in words."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import xlsxwriter

from tallystick.books.sources import Choices, Loaded, SourceError, Wanted, examine, load, open_engine

ROWS = [("A1", "Müller", "1.234,56"), ("A2", "Groß", "7,00"), ("A3", "Søren", "-0,10")]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def delimited(
    rows: Sequence[tuple[str, ...]], delimiter: str = ";", names: tuple[str, ...] = ("No", "Name", "Betrag")
) -> str:
    return "\n".join(delimiter.join(row) for row in [names, *rows]) + "\n"


def read(
    path: Path, wanted: dict[str, Wanted] | None = None, said: Choices | None = None
) -> tuple[Loaded, list[Any], dict[str, Any]]:
    with examine(path, said or Choices()) as source, open_engine() as engine:
        loaded = load(engine, source, "t", wanted)
        rows = engine.execute("SELECT * EXCLUDE (source_file, source_id) FROM t ORDER BY source_row").fetchall()
        return loaded, rows, source.report()


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_every_encoding_gives_the_same_rows(tmp_path: Path, encoding: str, name: str) -> None:
    path = written(tmp_path / "a.csv", delimited(ROWS), encoding)
    loaded, rows, report = read(
        path, {"No": Wanted("text", required=True), "Name": Wanted("text"), "Betrag": Wanted("money")}
    )
    assert rows == [("A1", "Müller", 123456, 2), ("A2", "Groß", 700, 3), ("A3", "Søren", -10, 4)]
    assert (loaded.rows_in, loaded.quarantined) == (3, 0)
    found = report["files"][0]["encoding"]
    assert found["value"] == name
    assert found["confidence"] >= 0.9


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_delimiters_and_line_ends_are_found(tmp_path: Path, delimiter: str, ending: str) -> None:
    rows = [("1", "a b", "10.50"), ("2", "c", "11.25")]
    text = delimited(rows, delimiter).replace("\n", ending)
    _, found, report = read(written(tmp_path / "a.csv", text))
    assert [row[:3] for row in found] == rows
    assert report["files"][0]["delimiter"] == {
        "value": delimiter,
        "confidence": 1.0,
        "evidence": "3 of 3 rows have 3 fields",
    }


def test_a_decimal_comma_is_not_taken_for_a_delimiter(tmp_path: Path) -> None:
    text = "menge;preis\n" + "".join(f"{n},5;{n},25\n" for n in range(50))
    _, rows, _ = read(written(tmp_path / "a.csv", text), {"preis": Wanted("money")})
    assert rows[3][0] == 325


def test_quotes_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    text = 'no,name\n1,"a, ""b"""\n2,"two\nlines"\n3,plain\n'
    loaded, rows, _ = read(written(tmp_path / "a.csv", text))
    assert [row[1] for row in rows] == ['a, "b"', "two\nlines", "plain"]
    assert loaded.rows_in == 3
    assert "1 line breaks within fields" in loaded.notes[0]


def test_a_title_before_the_names_is_passed_over(tmp_path: Path) -> None:
    text = "Umsatzliste 2026\n\nNo;Name;Betrag\nA1;x;1,00\nA2;y;2,00\n"
    _, rows, report = read(written(tmp_path / "a.csv", text), {"Betrag": Wanted("money")})
    assert rows == [(100, 4), (200, 5)]
    assert report["files"][0]["header"]["value"] == 3


def test_a_file_without_names_gets_some_and_says_so(tmp_path: Path) -> None:
    loaded, rows, report = read(written(tmp_path / "a.csv", "1,2026-01-05,9.50\n2,2026-01-06,8.00\n"))
    assert loaded.rows_in == 2
    assert rows[0][:3] == ("1", "2026-01-05", "9.50")
    assert report["files"][0]["header"]["value"] == 0
    assert [each["column"] for each in report["columns"]] == ["column_1", "column_2", "column_3"]


def test_repeated_and_empty_names_are_numbered_and_told(tmp_path: Path) -> None:
    _, _, report = read(written(tmp_path / "a.csv", "No,Date,,no,Date\n1,x,y,z,w\n"))
    assert [each["column"] for each in report["columns"]] == ["No", "Date", "column_3", "no_2", "Date_2"]
    assert "repeated column names were numbered: no_2, Date_2" in report["files"][0]["notes"]


def test_three_hundred_columns_are_read(tmp_path: Path) -> None:
    names = tuple(f"c{place}" for place in range(300))
    text = delimited([tuple(str(row * place) for place in range(300)) for row in range(20)], ",", names)
    loaded, rows, _ = read(written(tmp_path / "a.csv", text))
    assert loaded.kept == 20
    assert rows[2][:3] == ("0", "2", "4")


def test_what_is_said_wins_over_what_is_sniffed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "a;b\n1;03/04/2026\n2;05/06/2026\n")
    _, rows, _ = read(path, {"b": Wanted("date")}, Choices(date_order="mdy"))
    assert rows[0][0] == dt.date(2026, 3, 4)
    _, rows, _ = read(path, None, Choices(delimiter="/"))
    assert rows[0][0] == "1;03"


def test_a_name_that_is_a_pattern_is_taken_as_it_stands(tmp_path: Path) -> None:
    written(tmp_path / "a[1].csv", "x,y\n1,2\n")
    _, rows, _ = read(tmp_path / "a[1].csv")
    assert rows[0][:2] == ("1", "2")


def test_files_of_a_pattern_are_one_source(tmp_path: Path) -> None:
    written(tmp_path / "b-1.csv", "no,amount\n1,1.00\n")
    written(tmp_path / "b-2.csv", "Amount;No\n2,00;2\n3,00;3\n")
    with examine(tmp_path / "b-*.csv") as source, open_engine() as engine:
        loaded = load(engine, source, "t", {"no": Wanted("text"), "amount": Wanted("money")})
        rows = engine.execute("SELECT no, amount, source_file, source_row FROM t ORDER BY 1").fetchall()
        (different,) = engine.execute("SELECT count(DISTINCT source_id) FROM t").fetchall()[0]
    assert rows == [("1", 100, "b-1.csv", 2), ("2", 200, "b-2.csv", 2), ("3", 300, "b-2.csv", 3)]
    assert (loaded.rows_in, different) == (3, 3)


def test_a_packed_file_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(delimited(ROWS).encode()))
    assert read(tmp_path / "a.csv.gz")[0].kept == 3


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Path:
    book = xlsxwriter.Workbook(str(path))
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for row, values in enumerate(rows):
            for place, value in enumerate(values):
                if isinstance(value, dt.date):
                    sheet.write_datetime(row, place, value, day)
                elif value == "#N/A":
                    sheet.write_formula(row, place, "=NA()", value="#N/A")
                elif value is not None:
                    sheet.write(row, place, value)
    book.close()
    return path


def test_a_workbook_has_dates_numbers_texts_and_errors(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        [None, "Export", None, None],
        ["No", "Date", "Amount", "Text"],
        ["007", dt.date(2026, 1, 5), 0.1 + 0.2, "12"],
        ["008", dt.date(2026, 1, 6), 1234.5, "13"],
        ["009", dt.date(2026, 1, 7), "#N/A", "14"],
    ]
    path = workbook(tmp_path / "a.xlsx", {"Notes": [["read me"]], "Data": rows})
    wanted = {"No": Wanted("text", required=True), "Date": Wanted("date"), "Amount": Wanted("money")}
    loaded, found, report = read(path, wanted)
    assert found == [("007", dt.date(2026, 1, 5), 30, 3), ("008", dt.date(2026, 1, 6), 123450, 4)]
    assert (loaded.rows_in, loaded.quarantined) == (3, 1)
    assert report["files"][0]["sheet"]["value"] == "Data"
    assert report["files"][0]["notes"] == ["sheets not read: Notes"]


def test_rows_of_a_sheet_that_begins_below_are_counted_from_its_top(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        [],
        [],
        [],
        [None, "No", "Amount"],
        [None, "1", 1.5],
        [None, "2", "#N/A"],
        [None, "3", 2.5],
    ]
    loaded, found, _ = read(
        workbook(tmp_path / "a.xlsx", {"A": rows}), {"No": Wanted("text"), "Amount": Wanted("money")}
    )
    assert found == [("1", 150, 5), ("3", 250, 7)]
    assert loaded.quarantined == 1


def test_serial_numbers_are_dates_where_the_name_says_so(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"A": [["No", "Order date"], [1, 46027], [2, 46028.75]]})
    _, rows, report = read(path, {"Order date": Wanted("date")})
    assert rows == [(dt.date(2026, 1, 5), 2), (dt.date(2026, 1, 6), 3)]
    assert report["columns"][1]["written_as"] == "spreadsheet serial"
    text = written(tmp_path / "a.csv", "No,Order date\n1,46027\n2,46028\n")
    assert read(text, {"Order date": Wanted("date")})[1][0][0] == dt.date(2026, 1, 5)


def test_a_sheet_can_be_said(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"One": [["a", "b"], [1, 2], [3, 4]], "Two": [["x"], [9]]})
    assert read(path, None, Choices(sheet="Two"))[1] == [("9", 2)]
    with pytest.raises(SourceError, match="has no sheet 'Three'; it has One, Two"):
        examine(path, Choices(sheet="Three"))


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.connect().execute(
        "COPY (SELECT 1 AS no, 12.345::DOUBLE AS fine, 12.34::DOUBLE AS amount, 5 AS whole, DATE '2026-01-05' AS day, "
        "7.0::DOUBLE AS id "
        f"UNION ALL SELECT 2, 1.0, 0.1 + 0.2, 6, NULL, 8.0) TO '{path}' (FORMAT parquet)"
    )
    wanted = {
        "amount": Wanted("money"),
        "whole": Wanted("money"),
        "day": Wanted("date"),
        "id": Wanted("text", required=True),
    }
    loaded, rows, _ = read(path, wanted)
    assert rows == [(1234, 500, dt.date(2026, 1, 5), "7", 1), (30, 600, None, "8", 2)]
    loaded, rows, _ = read(path, {"fine": Wanted("money")})
    assert (loaded.kept, loaded.quarantined) == (1, 1)
    assert loaded.reasons == {"more than 2 decimals": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\n  \n", "is empty"),
        ("a.csv", b"\xff\xfe", "is empty"),
        ("a.csv", b";;;\n;;;\n", "holds no values"),
        ("a.csv", b"PK\x03\x04\0\0\0\0", "is no text: it holds zero bytes"),
        ("a.parquet", b"no parquet", "can't be read"),
        ("a.parquet", b"", "is empty"),
        ("a.xlsx", b"no workbook", "is no workbook that can be read"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as refused:
        examine(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_missing_files_folders_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        examine(tmp_path / "none-*.csv")
    with pytest.raises(SourceError, match="is a folder"):
        examine(tmp_path)
    written(tmp_path / "a.csv", "x,y\n1,2\n")
    with pytest.raises(SourceError, match="has no column 'z'; it has x, y"):
        read(tmp_path / "a.csv", {"z": Wanted("text")})
    written(tmp_path / "b.csv", "x\n1\n")
    with pytest.raises(SourceError, match="has no column 'y'"):
        examine(tmp_path / "[ab].csv")
    with pytest.raises(SourceError, match="'klingon' is no encoding"):
        examine(tmp_path / "a.csv", Choices(encoding="klingon"))
