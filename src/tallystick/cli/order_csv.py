"""Orders from CSV: a row is an order line, the rows of an order stand together, decimal money becomes minor units exactly."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from tallystick.cli.failure import WrongUse
from tallystick.cli.order_source import FileOrder, Place, Read, Source, Unreadable
from tallystick.documents.money import minor_digits

_ORDER_TEXTS = (
    "entity",
    "channel",
    "order_number",
    "customer_id",
    "customer_po",
    "currency",
    "ordered_at",
    "requested_delivery",
    "requested_shipment",
    "cancel_after",
    "payment_terms",
    "rounding",
    "notes",
)
_SHIP_TO = ("id", "name", "street", "city", "postal_code", "region", "country")
_SHIP_TO_PREFIX = "ship_to_"
_ORDER_MONEY = ("tax_amount", "total_amount")
_LINE_TEXTS = ("product_id", "unit", "warehouse", "description")
_LINE_DECIMALS = ("quantity", "unit_price", "discount")
_LINE_DELIVERY = "line_requested_delivery"
_LINE_COLUMNS = {*_LINE_TEXTS, *_LINE_DECIMALS, "line_number", "line_amount", _LINE_DELIVERY}
_CHARGE = re.compile(r"(charge|allowance)_(.+)")

REQUIRED = ("order_number", "channel", "customer_id", "currency", "ordered_at", "product_id", "quantity", "unit_price")
OPTIONAL = tuple(
    name
    for name in (
        *_ORDER_TEXTS,
        *(_SHIP_TO_PREFIX + part for part in _SHIP_TO),
        *_ORDER_MONEY,
        "line_number",
        *_LINE_TEXTS,
        "discount",
        "line_amount",
        _LINE_DELIVERY,
    )
    if name not in REQUIRED
)
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")  # no more digits than decimal arithmetic keeps exactly
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_LINE = 1_000_000


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    values: Mapping[str, str]
    """What is not empty, by column."""


class _WrongValue(Exception):
    """A value that can't be in an order."""

    def __init__(self, row: _Row, column: str, message: str) -> None:
        super().__init__(f"line {row.line}, column {column}: {message} (got {row.values.get(column, '')!r})")


def check_csv(source: Source) -> int:
    """How many orders a CSV file holds. Raises WrongUse where rows can't be told to be orders; nothing is sent then.

    An order whose rows don't stand together would be sent in parts, and each part be taken for the whole.
    """
    begun: set[bytes] = set()
    for rows in _groups(source):
        first = rows[0]
        digest = hashlib.blake2b("\0".join(_key(first)).encode(), digest_size=8).digest()
        if digest in begun:
            raise WrongUse(
                f"{source.name} line {first.line}: order {first.values['order_number']!r} has rows further up, with other "
                "orders between; sort the rows by order_number"
            )
        begun.add(digest)
    return len(begun)


def read_csv(source: Source) -> Iterator[Read]:
    """An order for the rows that belong together. Raises WrongUse as `check_csv` does."""
    for rows in _groups(source):
        place = Place(source.name, rows[0].line, [row.line for row in rows], _columns_by_pointer(rows[0]))
        try:
            yield FileOrder(place, orjson.dumps(_order(rows)))
        except _WrongValue as error:
            yield Unreadable(place, str(error), rows[0].values["order_number"])


def _groups(source: Source) -> Iterator[list[_Row]]:
    group: list[_Row] = []
    for row in _rows(source):
        if group and not _belongs(row, group[0]):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _key(row: _Row) -> tuple[str, ...]:
    return tuple(row.values.get(name, "") for name in ("entity", "channel", "order_number"))


def _belongs(row: _Row, first: _Row) -> bool:
    """Further rows of an order may leave the order's own columns empty, but for its number."""
    return row.values["order_number"] == first.values["order_number"] and all(
        row.values.get(name, first.values.get(name)) == first.values.get(name) for name in ("entity", "channel")
    )


def _rows(source: Source) -> Iterator[_Row]:
    lines = _lines(source)
    header_line = next(lines, "")
    delimiter = max(",;\t", key=header_line.count)
    line = 1
    try:
        header = [name.strip() for name in next(csv.reader([header_line], delimiter=delimiter), [])]
        _check_header(source, header)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        line = 2
        for fields in reader:
            if any(fields):
                yield _row(source, line, header, fields)
            line = reader.line_num + 2  # it counts from the line behind the header, and this is the next row's
    except csv.Error as error:
        raise WrongUse(f"{source.name} line {line}: not valid CSV: {error}") from None


def _row(source: Source, line: int, header: list[str], fields: list[str]) -> _Row:
    if len(fields) != len(header):
        raise WrongUse(f"{source.name} line {line}: {len(fields)} fields, but the header has {len(header)}")
    values = {name: text.strip() for name, text in zip(header, fields, strict=True) if text.strip()}
    if "order_number" not in values:
        raise WrongUse(f"{source.name} line {line}, column order_number: empty, so the row belongs to no order")
    return _Row(line, values)


def _lines(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines(_LONGEST_LINE), start=1):
        if len(line) > _LONGEST_LINE:
            raise WrongUse(f"{source.name} line {number}: longer than {_LONGEST_LINE} bytes")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x}"
            raise WrongUse(f"{source.name} line {number}: {found} is not UTF-8; save the file as UTF-8") from None


def _check_header(source: Source, header: list[str]) -> None:
    known = {*REQUIRED, *OPTIONAL}
    for name in header:
        if name not in known and not _CHARGE.fullmatch(name):
            raise WrongUse(
                f"{source.name} line 1: unknown column {name!r}; known are {', '.join((*REQUIRED, *OPTIONAL))}, "
                "charge_CODE and allowance_CODE"
            )
        if header.count(name) > 1:
            raise WrongUse(f"{source.name} line 1: the column {name!r} is there twice")
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise WrongUse(f"{source.name} line 1: no column {', '.join(missing)}; the first line names the columns")


def _order(rows: list[_Row]) -> dict[str, Any]:
    first = rows[0]
    for row in rows[1:]:
        for column, text in row.values.items():
            if column not in _LINE_COLUMNS and text != first.values.get(column):
                raise _WrongValue(
                    row, column, f"differs from {first.values.get(column, '')!r} in line {first.line} of the same order"
                )
    order: dict[str, Any] = {name: first.values[name] for name in _ORDER_TEXTS if name in first.values}
    if _DATE.fullmatch(order.get("ordered_at", "")):
        order["ordered_at"] += "T00:00:00Z"
    ship_to = {
        part: first.values[_SHIP_TO_PREFIX + part] for part in _SHIP_TO if _SHIP_TO_PREFIX + part in first.values
    }
    if ship_to:
        order["ship_to"] = ship_to
    order |= {name: _minor(first, name) for name in _ORDER_MONEY if name in first.values}
    charges = [
        {"kind": found[1], "code": found[2], "amount": _minor(first, column)}
        for column, found in _charge_columns(first)
    ]
    if charges:
        order["charges"] = charges
    order["lines"] = [_line(row, number, first) for number, row in enumerate(rows, start=1)]
    return order


def _charge_columns(row: _Row) -> list[tuple[str, re.Match[str]]]:
    return [(column, found) for column in row.values if (found := _CHARGE.fullmatch(column))]


def _line(row: _Row, position: int, first: _Row) -> dict[str, Any]:
    values = row.values
    line: dict[str, Any] = {name: values[name] for name in _LINE_TEXTS if name in values}
    line["line_number"] = _whole(row, "line_number") if "line_number" in values else position
    for column in _LINE_DECIMALS:
        if column in values:
            line[column] = _decimal(row, column)
    if "line_amount" in values:
        line["amount"] = _minor(row, "line_amount", first.values.get("currency"))
    if _LINE_DELIVERY in values:
        line["requested_delivery"] = values[_LINE_DELIVERY]
    return line


def _whole(row: _Row, column: str) -> int:
    text = row.values[column]
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _WrongValue(row, column, "not a whole number")
    return int(text)


def _decimal(row: _Row, column: str) -> str:
    text = row.values[column]
    if not _DECIMAL.fullmatch(text):
        raise _WrongValue(row, column, "not a decimal number such as 1234.50, with a point and without separators")
    return text


def _minor(row: _Row, column: str, currency: str | None = None) -> int:
    """A decimal amount in whole minor units of the order's currency; one that has more digits is refused, never rounded."""
    code = currency or row.values.get("currency", "")
    try:
        digits = minor_digits(code)
    except ValueError as error:
        raise _WrongValue(row, "currency", str(error)) from None
    exact = Decimal(_decimal(row, column)).scaleb(digits)
    if exact != exact.to_integral_value():
        raise _WrongValue(row, column, f"{code} amounts have {digits} decimals")
    return int(exact)


def _columns_by_pointer(first: _Row) -> dict[str, str]:
    """Where the server's word on a value leads back to."""
    columns = {f"/{name}": name for name in (*_ORDER_TEXTS, *_ORDER_MONEY)}
    columns |= {f"/ship_to/{part}": _SHIP_TO_PREFIX + part for part in _SHIP_TO}
    for index, (column, _) in enumerate(_charge_columns(first)):
        columns |= {f"/charges/{index}/amount": column, f"/charges/{index}/code": column}
    columns |= {f"/lines/*/{name}": name for name in (*_LINE_TEXTS, *_LINE_DECIMALS, "line_number")}
    columns["/lines/*/amount"] = "line_amount"
    columns["/lines/*/requested_delivery"] = _LINE_DELIVERY
    return columns
