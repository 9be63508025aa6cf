"""No row is lost: what comes in is kept or set aside, counted, and listed with its file, row, column, value and reason."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.books.sources import Choices, Loaded, QuarantinedValue, SourceError, Wanted, examine, load, open_engine


def read(
    path: Path, wanted: dict[str, Wanted] | None = None, said: Choices | None = None
) -> tuple[Loaded, list[Any], list[QuarantinedValue]]:
    with examine(path, said or Choices()) as source, open_engine() as engine:
        loaded = load(engine, source, "t", wanted)
        assert loaded.rows_in == loaded.kept + loaded.quarantined
        rows = engine.execute("SELECT * EXCLUDE (source_file, source_id) FROM t ORDER BY source_row").fetchall()
        assert len(rows) == loaded.kept
        return loaded, rows, loaded.listed(engine)


def test_lines_that_are_broken_are_listed_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'no,name,amount\n1,a,1.00\n2,b,c,2.00\n3,d\n4,e,4.00\n5,"x"y,5.00\n6,f,6.00\n')
    loaded, rows, listed = read(path, {"no": Wanted("text"), "amount": Wanted("money")})
    assert rows == [("1", 100, 2), ("4", 400, 5), ("6", 600, 7)]
    assert [(each.row, each.value, each.reason) for each in listed] == [
        (3, "2,b,c,2.00", "more fields than columns"),
        (4, "3,d", "fewer fields than columns"),
        (6, '5,"x"y,5.00', "a quote that does not end"),
    ]
    assert loaded.rows_in == 6


def test_a_quote_that_never_ends_sets_aside_every_line_that_it_swallows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('no,name\n1,a\n2,"b\n3,c\n4,d\n', "utf-8")
    loaded, rows, listed = read(path)
    assert [row[0] for row in rows] == ["1"]
    assert [each.row for each in listed] == [3, 4, 5]
    assert loaded.rows_in == 4


def test_mis_encoded_lines_of_a_utf8_file_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = "".join(f"{n},Müller {n}\n" for n in range(30)).encode()
    path.write_bytes(b"no,name\n" + good + b"98,M\xfcller\n99,fine\n")
    loaded, rows, listed = read(path)
    assert loaded.quarantined == 1
    assert (listed[0].row, listed[0].column, listed[0].reason) == (32, "name", "not in the file's encoding")
    assert rows[-1][:2] == ("99", "fine")


def test_text_that_was_encoded_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("no,name\n1,MÃ¼ller\n2,GroÃŸ\n", "utf-8")
    with examine(path) as source:
        assert "2 letters look as if they had been encoded twice" in source.files[0].notes[0]


def test_one_row_with_two_faults_is_one_quarantined_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "no,day,amount\n1,2026-01-05,1.00\n,2026-02-31,x\n3,2026-01-07,3.00\n" + "4,2026-01-08,4.00\n" * 40, "utf-8"
    )
    wanted = {"no": Wanted("text", required=True), "day": Wanted("date"), "amount": Wanted("money")}
    loaded, _, listed = read(path, wanted, Choices(decimal="."))
    assert loaded.quarantined == 1
    assert [(each.row, each.column, each.value, each.reason) for each in listed] == [
        (3, "amount", "x", "no number with '.' before its decimals, or one too long"),
        (3, "day", "2026-02-31", "no date as Y-m-d"),
        (3, "no", None, "empty"),
    ]


def test_columns_without_a_role_set_nothing_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("no,amount\n1,1.00\n2,n/a\n", "utf-8")
    assert read(path, {"no": Wanted("text", required=True)})[0].quarantined == 0


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff"), max_size=12)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 10**6), TEXTS | st.sampled_from(['a"b', "x;y", "two\nlines", "", "  ", "1,5"])),
        min_size=1,
        max_size=30,
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
@settings(max_examples=15, deadline=None)
def test_whatever_a_csv_writer_writes_comes_back(
    rows: list[tuple[int, str]], delimiter: str, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("number", "some text"), *rows])
    path.write_text(text.getvalue(), "utf-8")
    loaded, found, _ = read(path, None, Choices(delimiter=delimiter, quote='"', header=1))
    assert loaded.rows_in == len(rows)
    assert loaded.quarantined == 0
    assert [row[:2] for row in found] == [(str(number), value.strip(" ") or None) for number, value in rows]


@given(
    lines=st.lists(
        st.sampled_from(
            [
                b"1,a,1.00",
                b"2,b,x",
                b"3,c",
                b"4,d,4.00,5",
                b'5,"e,5.00',
                b"6,\xfcber,6.00",
                b",g,7.00",
                b"8,h,8.005",
                b'9,"i",9.00',
            ]
        ),
        min_size=1,
        max_size=25,
    ),
    tail=st.sampled_from([b"", b"\n"]),
)
@settings(max_examples=25, deadline=None)
def test_broken_lines_in_any_order_are_all_accounted_for(
    lines: list[bytes], tail: bytes, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("broken") / "a.csv"
    path.write_bytes(b"no,name,amount\n" + b"\n".join([b"0,\xc3\xbc\xc3\xbc,0.50", *lines]) + tail)
    said = Choices(delimiter=",", quote='"', header=1, encoding="utf-8", decimal=".")
    try:
        loaded, found, _ = read(path, {"no": Wanted("text", required=True), "amount": Wanted("money")}, said)
    except SourceError:
        raise AssertionError("a broken line must not break the file") from None
    # A quote that was opened may hold the lines up to the next quote: then they are parts of one row, and said to be.
    assert loaded.rows_in == len(lines) + 1 or (b'5,"e,5.00' in lines and loaded.rows_in <= len(lines) + 1)
    assert {row[0] for row in found} <= {str(number) for number in range(10)}
