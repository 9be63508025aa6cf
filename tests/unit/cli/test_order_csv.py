"""Orders from CSV: rows to orders, decimal money to minor units exactly, and every mistake named by line, column and value."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.failure import WrongUse
from tallystick.cli.order_csv import check_csv, read_csv
from tallystick.cli.order_source import FileOrder, Source, Unreadable
from tallystick.documents.money import minor_digits
from tallystick.documents.order import Order

HEADER = "channel,order_number,customer_id,currency,ordered_at,product_id,quantity,unit_price"
ROW = "webshop,W-1,C-1,USD,2026-11-24T09:30:00+01:00,P-1,2,10.00"


def source(text: str | bytes) -> Source:
    data = text.encode() if isinstance(text, str) else text
    return Source(io.BytesIO(data), "orders.csv", len(data))


def read(text: str | bytes) -> list[FileOrder | Unreadable]:
    return list(read_csv(source(text)))


def orders(text: str | bytes) -> list[dict[str, Any]]:
    found = read(text)
    assert all(isinstance(each, FileOrder) for each in found), found
    return [orjson.loads(each.body) for each in found if isinstance(each, FileOrder)]


def refusal(text: str) -> str:
    [found] = [each for each in read(text) if isinstance(each, Unreadable)]
    return found.detail


def test_rows_of_one_order_become_its_lines() -> None:
    found = orders(f"{HEADER}\n{ROW}\nwebshop,W-1,,,,P-2,3.5,0.125\nedi,W-1,C-2,USD,2026-11-24,P-1,1,1\n")
    assert [(each["channel"], each["order_number"]) for each in found] == [("webshop", "W-1"), ("edi", "W-1")]
    assert found[0]["lines"] == [
        {"line_number": 1, "product_id": "P-1", "quantity": "2", "unit_price": "10.00"},
        {"line_number": 2, "product_id": "P-2", "quantity": "3.5", "unit_price": "0.125"},
    ]
    assert found[1]["ordered_at"] == "2026-11-24T00:00:00Z"


def test_every_column_becomes_a_field_of_a_valid_order() -> None:
    header = (
        f"{HEADER},entity,customer_po,requested_delivery,payment_terms,rounding,notes,ship_to_id,ship_to_name,ship_to_street,"
        "ship_to_city,ship_to_postal_code,ship_to_region,ship_to_country,tax_amount,total_amount,line_number,unit,warehouse,"
        "description,discount,line_amount,charge_FREIGHT,allowance_VOLUME,requested_shipment,cancel_after,"
        "line_requested_delivery"
    )
    values = (
        "east,PO-1,2026-12-01,NET30,half_even,call first,S-1,Best Bolts,1 Main St,Fresno,93650,CA,US,1.30,33.30,10,EA,MAIN,"
        '"Bolt, M8",0.1,18.00,15.00,1.00,2026-11-28,2026-12-09,2026-12-02'
    )
    [found] = orders(f"{header}\n{ROW},{values}\n")
    order = Order.model_validate_json(orjson.dumps(found))
    assert (order.entity, order.tax_amount, order.total_amount) == ("east", 130, 3330)
    assert [(each.kind.value, each.code, each.amount) for each in order.charges] == [
        ("charge", "FREIGHT", 1500),
        ("allowance", "VOLUME", 100),
    ]
    assert (order.lines[0].line_number, order.lines[0].amount, order.lines[0].description) == (10, 1800, "Bolt, M8")
    assert [str(each) for each in (order.requested_shipment, order.requested_delivery, order.cancel_after)] == [
        "2026-11-28",
        "2026-12-01",
        "2026-12-09",
    ]
    assert str(order.lines[0].requested_delivery) == "2026-12-02"
    assert order.ship_to is not None
    assert (order.ship_to.id, order.ship_to.region) == ("S-1", "CA")


@pytest.mark.parametrize(
    ("currency", "text", "minor"), [("USD", "1234.5", 123450), ("JPY", "12", 12), ("KWD", "0.001", 1)]
)
def test_money_becomes_minor_units_of_its_currency(currency: str, text: str, minor: int) -> None:
    [found] = orders(f"{HEADER},tax_amount\n{ROW.replace('USD', currency)},{text}\n")
    assert found["tax_amount"] == minor


@given(minor=st.integers(0, 10**14), currency=st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_no_amount_is_ever_rounded(minor: int, currency: str) -> None:
    text = f"{Decimal(minor).scaleb(-minor_digits(currency)):f}"
    [found] = orders(f"{HEADER},total_amount\n{ROW.replace('USD', currency)},{text}\n")
    assert found["total_amount"] == minor


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("tax_amount", "1.005", "line 2, column tax_amount: USD amounts have 2 decimals (got '1.005')"),
        ("tax_amount", "1,234.50", "column tax_amount: not a decimal number"),
        ("quantity", "1e3", "line 2, column quantity: not a decimal number"),
        ("unit_price", "NaN", "column unit_price: not a decimal number"),
        ("line_number", "1.5", "column line_number: not a whole number (got '1.5')"),
        ("line_amount", "20.001", "column line_amount: USD amounts have 2 decimals (got '20.001')"),
        ("charge_FREIGHT", "€15", "column charge_FREIGHT: not a decimal number"),
    ],
)
def test_wrong_value_is_named_by_line_column_and_value(column: str, value: str, said: str) -> None:
    columns, values = HEADER.split(","), ROW.split(",")
    if column in columns:
        values[columns.index(column)] = value
    else:
        columns, values = [*columns, column], [*values, value]
    quoted = ",".join(f'"{each}"' for each in values)
    assert said in refusal(f"{','.join(columns)}\n{quoted}\n")


def test_unknown_currency_is_named_where_an_amount_needs_it() -> None:
    assert "line 2, column currency" in refusal(f"{HEADER},tax_amount\n{ROW.replace('USD', 'XXZ')},1.00\n")


def test_mistake_in_one_order_lets_the_others_go_on() -> None:
    other = ROW.replace("W-1", "W-2").replace(",2,", ",two,")
    found = read(f"{HEADER}\n{ROW}\n{other}\n{ROW.replace('W-1', 'W-3')}\n")
    assert [type(each) for each in found] == [FileOrder, Unreadable, FileOrder]


def test_values_of_the_order_must_not_differ_between_its_rows() -> None:
    second = ROW.replace("C-1", "C-2")
    assert "line 3, column customer_id: differs from 'C-1' in line 2 of the same order (got 'C-2')" in refusal(
        f"{HEADER}\n{ROW}\n{second}\n"
    )


def test_orders_whose_rows_do_not_stand_together_are_refused_before_anything_is_sent() -> None:
    text = f"{HEADER}\n{ROW}\n{ROW.replace('W-1', 'W-2')}\n{ROW}\n"
    with pytest.raises(WrongUse, match=r"orders.csv line 4: order 'W-1' has rows further up"):
        check_csv(source(text))
    assert check_csv(source(f"{HEADER}\n{ROW}\n{ROW}\n{ROW.replace('W-1', 'W-2')}\n")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column order_number"),
        (f"{HEADER},colour\n{ROW},red\n", "line 1: unknown column 'colour'; known are order_number, channel"),
        (f"{HEADER},currency\n{ROW},USD\n", "line 1: the column 'currency' is there twice"),
        (HEADER.replace(",currency", "") + "\n", "line 1: no column currency"),
        (f"{HEADER}\n{ROW},more\n", "line 2: 9 fields, but the header has 8"),
        (f"{HEADER}\n{ROW.replace('W-1', '')}\n", "line 2, column order_number: empty"),
        (f'{HEADER}\n{ROW}\nweb"shop,"W-2" x,C-1,USD,2026-11-24,P-1,2,1\n', "line 3: not valid CSV"),
    ],
)
def test_file_that_is_no_table_of_orders_is_refused_whole(text: str, said: str) -> None:
    with pytest.raises(WrongUse) as refused:
        check_csv(source(text))
    assert str(refused.value).startswith("orders.csv ")
    assert said in str(refused.value)


def test_bytes_that_are_not_utf8_are_named() -> None:
    with pytest.raises(WrongUse, match="line 2: byte 0xe9 is not UTF-8"):
        check_csv(source(f"{HEADER}\n".encode() + ROW.replace("P-1", "é").encode("latin-1")))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_byte_order_mark_and_other_delimiters_are_understood(delimiter: str) -> None:
    text = "\ufeff" + f"{HEADER}\r\n{ROW}\r\n".replace(",", delimiter)
    assert orders(text)[0]["order_number"] == "W-1"


def test_place_leads_from_the_servers_words_back_to_line_and_column() -> None:
    text = (
        f"{HEADER},description,charge_FREIGHT,ship_to_region\n{ROW},,1.00,CA\n"
        + ROW
        + ',"two\nlines",,\n'
        + ROW
        + ",,,\n"
    )
    [found] = read(text)
    assert isinstance(found, FileOrder)
    place = found.place
    assert place.of("/lines/0/quantity") == "orders.csv line 2, column quantity"
    assert place.of("/lines/1/unit_price") == "orders.csv line 3, column unit_price"
    assert place.of("lines[2].unit_price") == "orders.csv line 5, column unit_price"
    assert place.of("/lines/1/amount") == "orders.csv line 3, column line_amount"
    assert place.of("/charges/0/amount") == "orders.csv line 2, column charge_FREIGHT"
    assert place.of("/ship_to/region") == "orders.csv line 2, column ship_to_region"
    assert place.of("customer_id") == "orders.csv line 2, column customer_id"
    assert place.of(None) == "orders.csv line 2"
    assert place.of("/lines/7/quantity") == "orders.csv line 2, column quantity"
