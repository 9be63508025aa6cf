"""Targets: files that people write, as the command line reads them, and values inside them."""

from __future__ import annotations

import io
import json
import tempfile
from decimal import Decimal
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fuzz.target import Target, text_of
from tallystick.api.examples import ORDER
from tallystick.cli.failure import WrongUse
from tallystick.cli.order_csv import check_csv, read_csv
from tallystick.cli.order_json import read_json, read_ndjson
from tallystick.cli.order_source import FileOrder, Read, Source
from tallystick.documents.money import MINOR_DIGITS, Rounding, format_minor, from_minor, to_minor
from tallystick.documents.values import Fraction, Quantity, StockQuantity, UnitPrice
from tallystick.settings import SettingsError, load_settings

_DECIMALS = [TypeAdapter[Decimal](kind) for kind in (Quantity, UnitPrice, Fraction, StockQuantity)]
_CSV = (
    b"order_number,channel,customer_id,currency,ordered_at,product_id,quantity,unit_price,line_amount,charge_FREIGHT\n"
)
_ROW = b'W-1,shop,C-1,USD,2026-11-24,P-1,2,"1.50",3.00,0.5\n'
_TOML = b'[systems.erp]\nkind = "sandbox_erp"\nurl = "http://127.0.0.1:9"\n[entities.default]\nerp = "erp"\n'


def _source(data: bytes) -> Source:
    return Source(io.BytesIO(data), "orders", len(data))


def _in_one_line(refusal: Exception) -> None:
    assert str(refusal)
    assert "\n" not in str(refusal)


def _each(read: Read) -> None:
    if isinstance(read, FileOrder):
        assert b"\n" not in read.body  # it is sent as a line
    str(read.place)


def _json(data: bytes) -> None:
    for read in read_json(_source(data)):
        _each(read)
        if isinstance(read, FileOrder):
            assert isinstance(json.loads(read.body), dict)


def _ndjson(data: bytes) -> None:
    for read in read_ndjson(_source(data)):
        _each(read)


def _csv(data: bytes) -> None:
    for begin in (b"", _CSV):
        try:
            count = check_csv(_source(begin + data))
            reads = list(read_csv(_source(begin + data)))
        except WrongUse as refusal:
            _in_one_line(refusal)
            continue
        assert len(reads) == count
        for read in reads:
            _each(read)
            if isinstance(read, FileOrder):
                for line in json.loads(read.body)["lines"]:
                    assert all(line.get(name, "").isascii() for name in ("quantity", "unit_price"))


def _settings(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        try:
            load_settings(Path(file.name))
        except SettingsError as refusal:
            _in_one_line(refusal)


def _decimal(data: bytes) -> None:
    for kind in _DECIMALS:
        try:
            value = kind.validate_python(text_of(data))
        except ValidationError:
            continue
        assert value.is_finite()
        assert kind.validate_python(str(value)) == value


def _money(data: bytes) -> None:
    """An amount, a digit and a currency's place in the list: whole minor units, and back to the same."""
    amount = int.from_bytes(data[2:9], signed=True)
    code = sorted(MINOR_DIGITS)[int.from_bytes(data[:2]) % len(MINOR_DIGITS)]
    assert to_minor(from_minor(amount, code), code) == amount
    assert to_minor(Decimal(format_minor(amount, code)), code, Rounding.HALF_EVEN) == amount


TARGETS = (
    Target(
        "json_file", _json, (json.dumps(ORDER, indent=1).encode(), b"[{},{}]", b"\xef\xbb\xbf{} {}", b'[{"a": 1e5},')
    ),
    Target("ndjson_file", _ndjson, (b"\xef\xbb\xbf{}\n\n{}", json.dumps(ORDER).encode() + b"\r\n")),
    Target(
        "csv_file",
        _csv,
        (
            _CSV + _ROW,
            _ROW * 2,
            _ROW.replace(b",2,", ",\u0662,".encode()),
            b'a;"b\n";c',
            _CSV.replace(b",", b";"),
            b'"a\rb",\n',
        ),
    ),
    Target(
        "settings",
        _settings,
        (
            _TOML,
            b"a = 1979-05-27",
            b"a = " + b"[" * 5_000,
            b"a = " + b"9" * 5_000,
            b'x = {env = "HOME"}',
            b"[database]\nurl='postgresql://x'",
        ),
    ),
    Target("decimal", _decimal, (b"12.50", b" +1e2 ", b"1_000", b"NaN", b"-0", b".5", b"1e-9")),
    Target("money", _money, (b"\x00\x01\x00\x00\x00\x00\x00\x00\x65", b"\xff" * 9)),
)
