"""Reads open items from a file: CSV as an ERP's receivables list exports it, or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tallystick.books.cash.items import OpenItem
from tallystick.books.statements.reader import content_of, decoded
from tallystick.books.statements.statement import StatementError
from tallystick.books.statements.table import DelimitedTable, Row, read_table
from tallystick.documents.money import Currency, PositiveAmount
from tallystick.documents.values import Day, Identifier

_HEADINGS = {
    "number": ("number", "invoice", "invoice number", "invoice no", "document", "document number", "rechnung",
               "rechnungsnummer", "belegnummer", "facture", "item"),
    "customer": ("customer", "customer id", "customer number", "customer no", "account", "kunde", "kundennummer", "debitor",
                 "client", "party"),
    "currency": ("currency", "ccy", "währung", "waehrung", "devise"),
    "open amount": ("open amount", "open", "balance", "amount due", "outstanding", "amount", "offen", "offener betrag",
                    "betrag", "open balance", "residual"),
    "date": ("date", "invoice date", "issued on", "issued", "document date", "datum", "rechnungsdatum", "belegdatum"),
    "discount": ("discount", "discount amount", "cash discount", "skonto", "skontobetrag"),
    "discount until": ("discount until", "discount date", "discount due", "skonto bis", "skontofrist"),
    "payer account": ("payer account", "customer iban", "iban", "bank account"),
}  # fmt: skip


class _Item(BaseModel):
    """An item as JSON; amounts are minor units, as in the API."""

    model_config = ConfigDict(extra="ignore")

    number: Identifier
    customer_id: Identifier
    currency: Currency
    open_amount: PositiveAmount
    issued_on: Day
    discount: PositiveAmount = 0
    discount_until: Day | None = None
    payer_account: str | None = None


@dataclass(frozen=True, slots=True)
class OpenItems:
    """What is owed, whose the paying accounts are, and what of the file is no open item."""

    items: tuple[OpenItem, ...]
    customer_by_account: dict[str, str]
    quarantined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_open_items(path: Path, *, currency: str | None = None) -> OpenItems:
    """The open items of a file. What owes nothing or stands there twice is quarantined, and listed.

    Raises StatementError naming the file, the line and the value: nothing of it counts then.
    """
    try:
        content = content_of(path)
        if not content.strip():
            raise StatementError("it is empty")
        if content.lstrip()[:1] in (b"[", b"{"):
            return _sorted_out(_from_json(content), ())
        return _from_table(decoded(content), currency)
    except StatementError as error:
        raise StatementError(f"{path}: {error}") from None


def _from_json(content: bytes) -> list[tuple[str, OpenItem, str]]:
    try:
        found = orjson.loads(content)
        items = TypeAdapter(list[_Item]).validate_python(found.get("items") if isinstance(found, dict) else found)
    except orjson.JSONDecodeError as error:
        raise StatementError(f"it is not valid JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        raise StatementError(f"item {where}: {first['msg']} (got {str(first['input'])[:60]!r})") from None
    return [
        (
            f"item {place}",
            OpenItem(
                each.number,
                each.customer_id,
                each.currency,
                each.open_amount,
                each.issued_on,
                each.discount,
                each.discount_until,
            ),
            each.payer_account or "",
        )
        for place, each in enumerate(items)
    ]


def _from_table(text: str, currency: str | None) -> OpenItems:
    table = read_table(
        text,
        _HEADINGS,
        lambda fields: {"number", "customer", "open amount"} <= fields,
        amounts=("open amount", "discount"),
        days=("date", "discount until"),
    )
    return _sorted_out([_from_row(table, row, currency) for row in table.rows], table.notes)


def _from_row(table: DelimitedTable, row: Row, currency: str | None) -> tuple[str, OpenItem, str]:
    said = row.get("currency").upper() or currency
    number, customer = row.get("number"), row.get("customer")
    if not (said and number and customer):
        missing = "currency (say it by --currency)" if not said else "invoice number" if not number else "customer"
        raise StatementError(f"line {row.line}: it has no {missing}")
    amount = table.amount(row, "open amount", said)
    discount = table.amount(row, "discount", said) or 0
    if amount is None:
        raise StatementError(f"line {row.line}: it has no open amount; is the file cut short?")
    item = OpenItem(
        number=number,
        customer_id=customer,
        currency=said,
        open_amount=amount,
        issued_on=table.day(row, "date") or date.min,
        discount=discount,
        discount_until=table.day(row, "discount until"),
    )
    return f"line {row.line}", item, row.get("payer account")


def _sorted_out(found: list[tuple[str, OpenItem, str]], notes: tuple[str, ...]) -> OpenItems:
    items: dict[tuple[str, str], OpenItem] = {}
    accounts: dict[str, str] = {}
    quarantined = []
    for where, item, account in found:
        key = (item.customer_id, item.number)
        if key in items:
            quarantined.append(f"{where}: {item.number} of {item.customer_id} is there twice; the first counts")
        elif item.open_amount <= 0:
            quarantined.append(f"{where}: {item.number} of {item.customer_id} owes nothing")
        else:
            items[key] = item
        if account:
            accounts[account.replace(" ", "")] = item.customer_id
    return OpenItems(tuple(items.values()), accounts, tuple(quarantined), notes)
