"""An assessment of two exports: columns are recognised, rows are conserved, causes are found, and the report is safe to open."""

from __future__ import annotations

import datetime as dt
import html.parser
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tallystick.books.assessment.assessed import Assessment
from tallystick.books.assessment.assessment import assess
from tallystick.books.assessment.mapping import Mapping, read_mapping
from tallystick.books.assessment.names import name_score
from tallystick.books.sources import SourceError

TODAY = dt.date(2026, 11, 25)
NORTHWIND = Path(__file__).parents[4] / "shared" / "data" / "northwind"
Row = dict[str, Any]


def trade(rows: int = 240) -> list[Row]:
    return [
        {
            "no": number,
            "customer": f"C{1000 + number * 7 % 23}",
            "date": dt.date(2026, 6, 1) + dt.timedelta(days=number % 150),
            "sku": f"SKU-{number * 11 % 31}",
            "quantity": number % 9 + 2,
            "price": 500 + number * 37 % 9000,
            "channel": ("Webshop", "EDI", "Inside sales")[number % 3],
        }
        for number in range(1, rows + 1)
    ]


def amount(row: Row) -> int:
    return int(row.get("amount", row["quantity"] * row["price"]))


def english(path: Path, rows: list[Row]) -> Path:
    lines = ["order_number,customer,order_date,sku,quantity,unit_price,total,currency,channel"]
    lines += [
        f"SO-{row['no']:06d},{row['customer']},{row['date']},{row['sku']},{row['quantity']},{row['price'] / 100:.2f},"
        f"{amount(row) / 100:.2f},EUR,{row['channel']}"
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def german(path: Path, rows: list[Row]) -> Path:
    def money(cents: int) -> str:
        return f"{cents / 100:,.2f}".translate(str.maketrans(".,", ",."))

    lines = [
        "Rechnungsausgangsbuch;;;;;;;",
        "Auftragsnr;Debitor;Rechnungsdatum;Artikel;Menge;Einzelpreis;Nettobetrag;Währung",
    ]
    lines += [
        f"{row['no']:06d};{row['customer']};{row['date'] + dt.timedelta(days=2):%d.%m.%Y};{row['sku']};{row['quantity']};"
        f"{money(row['price'])};{money(amount(row))};EUR"
        for row in rows
    ]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp1252"))
    return path


def pair(folder: Path, change: Callable[[list[Row]], list[Row]] = lambda rows: rows) -> tuple[str, str]:
    return str(english(folder / "orders.csv", trade())), str(german(folder / "ledger.csv", change(trade())))


def seeded(rows: list[Row]) -> list[Row]:
    """Finance's side with breaks: 4 not there, 3 twice, 5 with half the goods, 6 a cent off, 2 with tax."""
    for row in rows[20:25]:
        row["quantity"] //= 2
    for row in rows[40:46]:
        row["amount"] = amount(row) + 1
    for row in rows[60:62]:
        row["amount"] = round(amount(row) * 1.19)
    return rows[:100] + rows[104:] + rows[150:153]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Assessment:
    folder = tmp_path_factory.mktemp("assessment")
    return assess(*pair(folder, seeded), folder / "out", today=TODAY)


def test_columns_are_recognised_across_two_languages(found: Assessment) -> None:
    named = {each.role: (each.sales, each.finance) for each in found.roles.proposed}
    assert named["key"] == (("order_number",), ("Auftragsnr",))
    assert named["amount"] == (("total",), ("Nettobetrag",))
    assert named["price"] == (("unit_price",), ("Einzelpreis",))
    assert named["quantity"] == (("quantity",), ("Menge",))
    assert named["party"] == (("customer",), ("Debitor",))
    assert named["product"] == (("sku",), ("Artikel",))
    assert named["date"] == (("order_date",), ("Rechnungsdatum",))
    assert named["currency"] == (("currency",), ("Währung",))
    assert named["channel"] == (("channel",), ())
    assert found.roles.mapping.matching.keys == "digits"


def test_every_row_is_matched_broken_or_quarantined(found: Assessment) -> None:
    for side in found.matched.sides:
        assert side.rows_in == side.matched + side.broken + side.quarantined
    assert [side.rows_in for side in found.matched.sides] == [240, 239]


def test_seeded_breaks_are_found_with_their_causes_and_money(found: Assessment) -> None:
    causes = {each.name: each for each in found.findings.causes}
    assert {name: each.breaks for name, each in causes.items()} == {
        "not handed over": 4,
        "sent twice": 3,
        "partial shipment not invoiced": 5,
        "rounding rule": 6,
        "tax jurisdiction": 2,
    }
    rows = trade()
    assert causes["rounding rule"].money_at_risk == 6
    assert causes["not handed over"].money_at_risk == sum(amount(row) for row in rows[100:104])
    assert causes["sent twice"].money_at_risk == sum(amount(row) for row in rows[150:153])
    assert sum(each.money_at_risk for each in causes.values()) == found.findings.at_risk["EUR"]
    assert causes["not handed over"].evidence.endswith("is not in finance")
    gone = [each.removes for each in found.findings.causes]
    assert gone == sorted(gone)
    assert gone[-1] == pytest.approx(1.0)


def test_breaks_are_summed_up_by_everything_that_is_known_of_them(found: Assessment) -> None:
    concentration = found.findings.concentration
    assert set(concentration) == {"stage", "class", "customer", "channel", "product", "month"}
    for name in ("stage", "class", "month"):
        assert sum(each.breaks for each in concentration[name]) == found.findings.breaks
    assert sum(each.breaks for each in found.findings.ageing) == found.findings.breaks
    assert [each.name for each in found.findings.ageing][-1] == "over 90 days"
    largest = found.findings.largest
    assert len(largest) == 10
    assert [each["money_at_risk"] for each in largest] == sorted(
        (each["money_at_risk"] for each in largest), reverse=True
    )
    missing = next(each for each in largest if each["class"] == "missing_right")
    assert missing["sales_file"] == "orders.csv"
    assert missing["key"] == f"SO-{missing['sales_row'] - 1:06d}"


def test_all_files_are_written_and_agree(found: Assessment) -> None:
    report, book, parquet, summary, mapping = found.files
    told = json.loads(summary.read_text("utf-8"))
    (breaks, money) = duckdb.execute(f"SELECT count(*), sum(money_at_risk) FROM '{parquet}'").fetchall()[0]
    assert breaks == told["breaks"] == found.findings.breaks == 20
    assert money == told["money_at_risk"]["EUR"]
    assert f"in <strong>{breaks}</strong> breaks" in report.read_text("utf-8")
    assert zipfile.is_zipfile(book)
    assert read_mapping(mapping) == found.roles.mapping
    assert not list(report.parent.glob(".writing-*"))


def test_a_mapping_that_is_given_back_gives_the_same_result(found: Assessment, tmp_path: Path) -> None:
    again = assess(*pair(tmp_path, seeded), tmp_path / "again", said=read_mapping(found.files[4]), today=TODAY)
    assert again.findings.causes == found.findings.causes
    assert again.matched.sides[0].matched == found.matched.sides[0].matched


def test_a_mapping_corrects_what_was_proposed(tmp_path: Path) -> None:
    said = Mapping.model_validate({"matching": {"compare": ["quantity"]}, "sales": {"channel": ""}})
    corrected = assess(*pair(tmp_path, seeded), tmp_path / "out", said=said, today=TODAY)
    assert {each.name for each in corrected.findings.concentration["class"]} == {
        "quantity",
        "missing_right",
        "duplicate",
    }
    assert "channel" not in corrected.findings.concentration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sales\n", "is no TOML"),
        ("[sales]\ncolour = 'x'\n", "sales.colour: extra inputs are not permitted"),
        ("[matching]\ncurrency = 'XYZ'\n", "matching.currency: value error"),
        ("[sales.read]\nheader = -1\n", "sales.read.header"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mapping.toml").write_text(text, "utf-8")
    with pytest.raises(SourceError, match=re.escape(message)):
        read_mapping(tmp_path / "mapping.toml")


def test_a_column_said_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = Mapping.model_validate({"sales": {"amount": "Total"}, "finance": {"amount": "Summe"}})
    with pytest.raises(SourceError, match="has no column 'Summe'; it has Auftragsnr, Debitor"):
        assess(*pair(tmp_path), tmp_path / "out", said=said)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("order_number,total\n", "has column names and no rows"),
        ("colour,weight\nred,1.5\nblue,2.5\n", "no column of .* shares values with one of"),
    ],
)
def test_sides_that_can_not_be_compared_are_refused_and_nothing_is_written(
    tmp_path: Path, content: str, message: str
) -> None:
    _, finance = pair(tmp_path)
    (tmp_path / "other.csv").write_text(content, "utf-8")
    with pytest.raises(SourceError, match=message):
        assess(str(tmp_path / "other.csv"), finance, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_days_are_compared_as_days_however_each_side_writes_them(tmp_path: Path) -> None:
    days = [dt.date(2026, 9, 1) + dt.timedelta(days=number) for number in range(30)]
    rows = [(f"SO-{number:03}", 1_000 + 7 * number, day) for number, day in enumerate(days)]
    sales = "".join(f"{key},{amount}.50,{day}\n" for key, amount, day in rows)
    ledger = "".join(f"{key};{amount},50;{day:%d.%m.%Y}\n" for key, amount, day in rows)
    (tmp_path / "sales.csv").write_text(f"order_no,amount,order_date\n{sales}")
    (tmp_path / "ledger.csv").write_text(f"Belegnr;Betrag;Buchungsdatum\n{ledger}")
    found = assess(str(tmp_path / "sales.csv"), str(tmp_path / "ledger.csv"), tmp_path / "out", today=TODAY)
    [date] = [each for each in found.roles.proposed if each.role == "date"]
    assert (date.sales, date.finance, date.evidence) == (
        ("order_date",),
        ("Buchungsdatum",),
        "100% of paired rows agree",
    )


def test_rows_without_key_date_or_amount_are_quarantined_and_counted(tmp_path: Path) -> None:
    sales, finance = pair(tmp_path)
    with Path(sales).open("a", encoding="utf-8") as file:
        file.write(
            ",C1001,2026-06-01,SKU-1,1,1.00,1.00,EUR,EDI\nSO-900001,C1001,2026-06-31,SKU-1,1,1.00,1.00,EUR,EDI\n"
        )
        file.write(
            "SO-900002,C1001,2026-06-01,SKU-1,1,1.00,,EUR,EDI\nSO-900003,C1001,2026-06-01,SKU-1,1,1.00,1.00,ABC,EDI\n"
        )
    result = assess(sales, finance, tmp_path / "out", today=TODAY)
    assert result.matched.sides[0].quarantined == 4
    assert result.matched.sides[0].matched == 240
    assert {each.row for each in result.matched.quarantined["sales"]} == {242, 243, 244, 245}
    assert "4 values that could not be read" in result.files[0].read_text("utf-8")


def test_money_of_two_currencies_is_never_added_up(tmp_path: Path) -> None:
    sales, finance = tmp_path / "a.csv", tmp_path / "b.csv"
    names = "invoice,customer,amount,currency\n"
    rows = [f"I{n},C{n % 5},{n * 10}.00,{'EUR' if n % 2 else 'USD'}" for n in range(1, 60)] + [
        f"Y{n},C1,{n},JPY" for n in range(9)
    ]
    sales.write_text(names + "\n".join(rows) + "\n", "utf-8")
    finance.write_text(names + "\n".join(rows[2:-1]) + "\n", "utf-8")
    result = assess(str(sales), str(finance), tmp_path / "out", today=TODAY)
    assert result.findings.at_risk == {"USD": 2000, "EUR": 1000, "JPY": 8}
    text = result.files[0].read_text("utf-8")
    assert "Besides, 10.00 EUR, 8 JPY are at risk; the charts show USD." in text


def test_a_currency_that_one_side_names_holds_for_the_other(tmp_path: Path) -> None:
    names = ("invoice,amount,currency,day", "Invoice,Amount,Posted")
    rows = [[f"I{n},{n}.00,EUR,2026-11-01" for n in range(1, 40)], [f"I{n},{n}.00,2026-11-02" for n in range(1, 39)]]
    for place, name in enumerate(("a", "b")):
        (tmp_path / f"{name}.csv").write_text("\n".join([names[place], *rows[place]]) + "\n", "utf-8")
    result = assess(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), tmp_path / "out", today=TODAY)
    assert result.findings.at_risk == {"EUR": 3900}
    assert result.matched.notes == ()
    assert result.roles.mapping.finance.date == "Posted"


def test_lines_of_an_order_are_compared_in_sum(tmp_path: Path) -> None:
    orders, lines = tmp_path / "orders.csv", tmp_path / "lines.csv"
    orders.write_text("order_no,total\n" + "".join(f"{n},{n * 3}.00\n" for n in range(100, 160)), "utf-8")
    split = [(n, part) for n in range(100, 160) for part in (1, 2)]
    lines.write_text(
        "Order No;Line;Net amount\n" + "".join(f"{n};{part};{n * part + (n == 130)}.00\n" for n, part in split), "utf-8"
    )
    result = assess(str(orders), str(lines), tmp_path / "out", today=TODAY)
    assert [side.matched for side in result.matched.sides] == [59, 118]
    assert result.findings.at_risk == {"USD": 200}


def test_a_line_id_that_names_every_row_is_the_whole_key(tmp_path: Path) -> None:
    text = "order_no,line_id,amount\n" + "".join(f"O{n // 4},L{n:05d},{n + 1}.00\n" for n in range(400))
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(text, "utf-8")
    result = assess(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), tmp_path / "out", today=TODAY)
    assert result.roles.proposed[0].sales == ("line_id",)
    assert result.matched.sides[0].matched == 400


EVIL = "</script><script>alert(1)</script>"


def test_nothing_that_a_file_says_becomes_part_of_the_page_or_a_formula(tmp_path: Path) -> None:
    def hostile(rows: list[Row]) -> list[Row]:
        for row in rows[:5]:
            row["customer"], row["quantity"] = '=HYPERLINK("http://evil.example")', 1
        for row in rows[5:10]:
            row["customer"], row["quantity"] = f'<img src=x onerror="alert(1)">{EVIL}', 1
        return rows

    sales = english(tmp_path / f"orders{EVIL.replace('/', '_')}.csv", hostile(trade()))
    with sales.open("a", encoding="utf-8") as file:
        file.write(f"SO-999999,C1001,{EVIL},SKU-1,1,1.00,1.00,EUR,EDI\n")
        file.write(f"{EVIL},+cmd|' /C calc'!A0,2026-06-01,@SUM(1),1,1.00,1.00,EUR,{EVIL}\n")
    finance = german(tmp_path / "ledger.csv", trade())
    result = assess(str(sales), str(finance), tmp_path / "out", today=TODAY)
    page = result.files[0].read_text("utf-8")
    parser = Tags()
    parser.feed(page)
    assert parser.tags.count("script") == 2
    assert "img" not in parser.tags
    assert not parser.handlers
    assert all(link.startswith("#") for link in parser.links)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", page)
    assert "default-src 'none'" in page
    with zipfile.ZipFile(result.files[1]) as book:
        sheets = "".join(book.read(name).decode() for name in book.namelist() if name.startswith("xl/worksheets/sheet"))
        assert "<f>" not in sheets
        assert "HYPERLINK" in sheets
        assert not any("hyperlink" in name for name in book.namelist())


class Tags(html.parser.HTMLParser):
    """The tags of a page, and what would run in them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]


@pytest.mark.parametrize(
    ("name", "role"),
    [("VBELN", "key"), ("Rechnungs-Nr.", "key"), ("CustomerID", "party"), ("KUNNR", "party"), ("Nettobetrag", "amount"),
     ("o_totalprice", "amount"), ("FKDAT", "date"), ("l_quantity", "quantity"), ("Einzelpreis", "price"), ("WAERS", "currency"),
     ("partner_id", "party"), ("InvoiceDate", "date"), ("Vertriebskanal", "channel"), ("MATNR", "product"),
     ("Fälligkeit", "due")],
)  # fmt: skip
def test_names_of_common_systems_are_known(name: str, role: Any) -> None:
    assert name_score(name, role) == 1.0


@pytest.mark.skipif(not NORTHWIND.exists(), reason="the shared Northwind data is not here")
def test_northwinds_rounding_rule_is_named_as_the_cause_of_its_27_cents(tmp_path: Path) -> None:
    engine = duckdb.connect()
    engine.execute(
        f"""CREATE TABLE lines AS SELECT *, UnitPrice::DECIMAL(18, 4) * Quantity::INTEGER * (1 - Discount::DECIMAL(9, 6)) AS net
        FROM read_csv('{NORTHWIND}/order_details.csv', all_varchar = true)
        AS l JOIN read_csv('{NORTHWIND}/orders.csv', all_varchar = true) AS o USING (OrderID)"""
    )
    shared = "OrderID, ProductID, CustomerID, OrderDate, UnitPrice, Quantity, Discount"
    even = "(net * 100) % 1 = 0.5 AND floor(net * 100)::BIGINT % 2 = 0"
    half_even = f"CASE WHEN {even} THEN floor(net * 100) / 100 ELSE round(net, 2) END"
    engine.execute(
        f"COPY (SELECT {shared}, round(net, 2)::DECIMAL(18, 2) AS LineTotal FROM lines) TO '{tmp_path}/sales.csv' (HEADER)"
    )
    engine.execute(
        f"""COPY (SELECT OrderID AS Belegnr, ProductID AS Artikelnr, CustomerID AS Debitor, Quantity AS Menge,
        replace(UnitPrice, '.', ',') AS Einzelpreis,
        replace(({half_even})::DECIMAL(18, 2)::VARCHAR, '.', ',') AS Betrag FROM lines)
        TO '{tmp_path}/finance.csv' (HEADER, DELIMITER ';')"""
    )
    result = assess(f"{tmp_path}/sales.csv", f"{tmp_path}/finance.csv", tmp_path / "out", today=TODAY)
    assert result.roles.proposed[0].sales == ("OrderID", "ProductID")
    assert [(each.name, each.breaks, each.money_at_risk) for each in result.findings.causes] == [
        ("rounding rule", 27, 27)
    ]
    assert result.matched.sides[0].matched == 2155 - 27
