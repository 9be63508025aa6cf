"""Reads remittance advices from delimited text: a row an invoice, grouped to payments by their trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tallystick.books.statements.reader import content_of, decoded
from tallystick.books.statements.statement import StatementError
from tallystick.books.statements.table import DelimitedTable, Row, read_table
from tallystick.documents.remittance import Remittance

_HEADINGS = {
    "trace": ("trace", "trace number", "payment reference", "payment number", "payment id", "check number", "cheque number",
              "eft number", "payment", "zahlungsreferenz"),
    "payer": ("payer", "payer name", "customer name", "from"),
    "payee": ("payee", "payee name", "to", "vendor"),
    "customer": ("customer", "customer id", "customer number", "kundennummer"),
    "amount": ("payment amount", "total", "check amount", "amount paid", "total amount", "zahlbetrag"),
    "date": ("payment date", "date", "paid on", "check date", "zahlungsdatum"),
    "currency": ("currency", "ccy", "währung", "waehrung"),
    "invoice": ("invoice", "invoice number", "invoice no", "reference", "document", "rechnung", "rechnungsnummer"),
    "gross": ("gross", "gross amount", "invoice amount", "brutto"),
    "discount": ("discount", "discount amount", "skonto"),
    "adjustment": ("adjustment", "adjustment amount", "deduction", "abzug"),
    "reason": ("reason", "reason code", "adjustment reason", "deduction reason", "adjustment code", "grund"),
    "net": ("net", "net amount", "paid", "paid amount", "netto"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remittances:
    """The advices of a file, and what of it is none and why."""

    advices: tuple[Remittance, ...]
    quarantined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_remittances(path: Path, *, currency: str | None = None) -> Remittances:
    """A file's advices; one that does not add up is quarantined. Raises StatementError where it can't be read at all."""
    try:
        return remittances_of(content_of(path), currency=currency)
    except StatementError as error:
        raise StatementError(f"{path}: {error}") from None


def remittances_of(content: bytes, *, currency: str | None = None) -> Remittances:
    """The same of a file's bytes."""
    if not content.strip():
        raise StatementError("it is empty")
    table = read_table(
        decoded(content),
        _HEADINGS,
        lambda fields: {"trace", "invoice", "date"} <= fields and bool(fields & {"net", "gross"}),
        amounts=("amount", "gross", "discount", "adjustment", "net"),
        days=("date",),
    )
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((row.get("customer") or row.get("payer"), row.get("trace")), []).append(row)
    advices, quarantined = [], []
    for rows in groups.values():
        try:
            advices.append(_advice(table, rows, currency))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            said = first["msg"].removeprefix("Value error, ")
            quarantined.append(f"line {rows[0].line}: advice {rows[0].get('trace')!r}: {said}")
    return Remittances(tuple(advices), tuple(quarantined), table.notes)


def _advice(table: DelimitedTable, rows: Sequence[Row], currency: str | None) -> Remittance:
    head = rows[0]
    said = head.get("currency").upper() or currency
    if not said:
        raise StatementError("it names no currency; say which it is (--currency)")
    lines = [_line(table, row, said) for row in rows]
    amount = table.amount(head, "amount", said)
    return Remittance.model_validate(
        {
            "payer": head.get("payer") or None,
            "payee": head.get("payee") or None,
            "customer_id": head.get("customer") or None,
            "trace": head.get("trace"),
            "currency": said,
            "amount": sum(each["net_amount"] for each in lines) if amount is None else amount,
            "paid_on": table.day(head, "date"),
            "lines": lines,
        }
    )


def _line(table: DelimitedTable, row: Row, currency: str) -> dict[str, Any]:
    gross, net = table.amount(row, "gross", currency), table.amount(row, "net", currency)
    discount = abs(table.amount(row, "discount", currency) or 0)
    adjustment = table.amount(row, "adjustment", currency) or 0
    if gross is None and net is None:
        raise StatementError(f"line {row.line}: it has neither a gross nor a net amount")
    if gross is not None and net is not None and gross - discount + adjustment == net:
        adjustment = -adjustment  # written as what it does to the payment
    if gross is None:
        gross = (net or 0) + discount + adjustment
    return {
        "invoice_number": row.get("invoice"),
        "gross_amount": gross,
        "discount_amount": discount,
        "adjustment_amount": adjustment,
        "adjustment_reason": row.get("reason") or None,
        "net_amount": gross - discount - adjustment if net is None else net,
    }
