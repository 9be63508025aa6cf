"""Reads bank statements that are delimited text: every bank has its own columns, known here by their headings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallystick.books.statements.statement import Balance, BankEntry, BankStatement, StatementError
from tallystick.books.statements.table import DelimitedTable, Row, read_table
from tallystick.documents.money import MINOR_DIGITS, format_minor

# English, German, French, Dutch and Spanish headings of statements that banks let people download.
_HEADINGS = {
    "account": ("account", "account number", "account no", "iban", "auftragskonto", "konto", "kontonummer", "compte",
                "rekening", "rekeningnummer", "cuenta", "iban bban", "our account"),
    "date": ("date", "booking date", "posting date", "post date", "transaction date", "booked", "buchungstag",
             "buchungsdatum", "buchung", "datum", "date operation", "date comptable", "boekdatum", "fecha"),
    "value date": ("value date", "valuta", "valutadatum", "wertstellung", "date valeur", "rentedatum", "fecha valor"),
    "amount": ("amount", "betrag", "umsatz", "montant", "bedrag", "importe", "transaction amount", "betrag eur", "net"),
    "credit": ("credit", "credit amount", "paid in", "money in", "deposits", "deposit", "haben", "credits", "gutschrift"),
    "debit": ("debit", "debit amount", "paid out", "money out", "withdrawals", "withdrawal", "soll", "debits", "lastschrift"),
    "sign": ("dr cr", "cr dr", "credit debit", "debit credit", "d c", "c d", "soll haben", "sh", "af bij", "sens"),
    "balance": ("balance", "running balance", "saldo", "saldo nach buchung", "solde", "saldo na trn", "closing balance"),
    "currency": ("currency", "ccy", "waehrung", "währung", "devise", "munt", "muntsoort", "divisa", "currency code"),
    "bank reference": ("transaction id", "bank reference", "transaction reference", "bank ref", "entry reference",
                       "volgnr", "transaktionsid"),
    "payer reference": ("reference", "customer reference", "end to end id", "payment reference", "ref", "kundenreferenz",
                        "end to end referenz", "payer reference", "trace", "trace number", "check number", "cheque number"),
    "remittance": ("description", "details", "remittance", "remittance information", "narrative", "memo", "text",
                   "verwendungszweck", "buchungstext verwendungszweck", "libelle", "omschrijving", "concepto", "purpose",
                   "omschrijving 1", "particulars", "message"),
    "counterparty": ("name", "counterparty", "payer", "payee", "beguenstigter zahlungspflichtiger", "auftraggeber",
                     "auftraggeber empfaenger", "naam tegenpartij", "from", "payer name", "counterparty name",
                     "name zahlungsbeteiligter", "beneficiary"),
    "counterparty account": ("counterparty account", "payer account", "from account", "kontonummer iban", "tegenrekening",
                             "tegenrekening iban bban", "iban zahlungsbeteiligter", "counterparty iban", "payer iban"),
    "kind": ("type", "transaction type", "buchungstext", "code"),
}  # fmt: skip
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b")
_OUT = frozenset({"d", "dr", "debit", "s", "soll", "af", "out", "debet", "dbit", "-"})


def read_delimited(text: str, *, account: str | None = None, currency: str | None = None) -> list[BankStatement]:
    """One statement for each account in the file. `account` and `currency` count where the file says none.

    Raises StatementError naming line and column. A balance column that the amounts do not lead along is a problem of it.
    """
    table = read_table(
        text, _HEADINGS, _enough, amounts=("amount", "credit", "debit", "balance"), days=("date", "value date")
    )
    above = _IBAN.search(re.sub(r"(?<=\w) (?=\w)", "", " ".join(table.preamble)))
    account = account or (above[0] if above else None)
    if not table.rows:
        raise StatementError("there is no entry below its heading")
    by_account: dict[str, list[tuple[Row, BankEntry]]] = {}
    for row in table.rows:
        entry = _entry(table, row, currency)
        name = row.get("account").replace(" ", "") or account
        if not name:
            raise StatementError(f"line {row.line}: it names no account; say which it is (--account)")
        by_account.setdefault(name, []).append((row, entry))
    return [_statement(table, name, entries) for name, entries in by_account.items()]


def looks_delimited(text: str) -> bool:
    """Whether some heading in it is a statement's."""
    try:
        read_table(text, _HEADINGS, _enough, amounts=(), days=())
    except StatementError:
        return False
    return True


def _enough(fields: set[str]) -> bool:
    return "date" in fields and ("amount" in fields or bool(fields & {"credit", "debit"}))


def _entry(table: DelimitedTable, row: Row, currency: str | None) -> BankEntry:
    booked_on = table.day(row, "date")
    if booked_on is None:
        raise StatementError(f"line {row.line}: it has no date; is the file cut short?")
    if not any(row.get(each) for each in ("amount", "credit", "debit")):
        raise StatementError(f"line {row.line}: it has no amount; is the file cut short?")
    said = row.get("currency").upper() or currency
    if not said:
        raise StatementError(f"line {row.line}: it names no currency; say which it is (--currency)")
    if said not in MINOR_DIGITS:
        raise StatementError(f"line {row.line}: {said[:10]!r} is no active ISO 4217 currency")
    return BankEntry(
        amount=_signed(table, row, said),
        currency=said,
        booked_on=booked_on,
        value_on=table.day(row, "value date"),
        bank_reference=row.get("bank reference") or None,
        payer_reference=row.get("payer reference") or None,
        remittance=" ".join(row.get("remittance").split()),
        counterparty=row.get("counterparty") or None,
        counterparty_account=row.get("counterparty account").replace(" ", "") or None,
        kind=row.get("kind") or None,
    )


def _signed(table: DelimitedTable, row: Row, currency: str) -> int:
    amount = table.amount(row, "amount", currency)
    if amount is not None:
        return -abs(amount) if row.get("sign").lower() in _OUT else amount
    came, went = table.amount(row, "credit", currency), table.amount(row, "debit", currency)
    return abs(came or 0) - abs(went or 0)


def _statement(table: DelimitedTable, account: str, rows: Sequence[tuple[Row, BankEntry]]) -> BankStatement:
    entries = [entry for _, entry in rows]
    opening = closing = None
    problems: tuple[str, ...] = ()
    balances = [table.amount(row, "balance", entry.currency) for row, entry in rows]
    if len({each.currency for each in entries}) == 1 and all(each is not None for each in balances):
        known = [each or 0 for each in balances]
        order, broken = _order(entries, known)
        first, last = (0, -1) if order > 0 else (-1, 0)
        currency = entries[0].currency
        opening = Balance(known[first] - entries[first].amount, currency, entries[first].booked_on)
        closing = Balance(known[last], currency, entries[last].booked_on)
        if broken is not None:
            said = format_minor(known[broken], currency)
            problems = (
                f"line {rows[broken][0].line}: its balance {said} {currency} does not follow from the rows around it",
            )
    days = sorted({entries[0].booked_on, entries[-1].booked_on})
    return BankStatement(
        account=account,
        number="/".join(each.isoformat() for each in days),
        entries=tuple(entries),
        opening=opening,
        closing=closing,
        problems=problems,
        notes=table.notes,
    )


def _order(entries: Sequence[BankEntry], balances: Sequence[int]) -> tuple[int, int | None]:
    """1 where the oldest comes first, -1 where the newest does, and the first row whose balance fits neither way round."""
    downwards = [at for at in range(1, len(entries)) if balances[at - 1] + entries[at].amount != balances[at]]
    upwards = [at for at in range(1, len(entries)) if balances[at] + entries[at - 1].amount != balances[at - 1]]
    order, wrong = (1, downwards) if len(downwards) <= len(upwards) else (-1, upwards)
    return order, wrong[0] if wrong else None
