"""Targets: what banks and customers send for cash application. Every cent of it is somewhere, or it is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzz.target import Target
from tallystick.books.cash.application import CashApplication
from tallystick.books.cash.conservation import account_for
from tallystick.books.cash.open_items import read_open_items
from tallystick.books.cash.received import payments_of
from tallystick.books.statements.reader import statements_of
from tallystick.books.statements.remittances import remittances_of
from tallystick.books.statements.statement import StatementError

_STATEMENT = b"account,date,amount,currency,description,balance\n"
_ADVICE = b"trace,payment date,currency,invoice,gross,discount,adjustment,reason,net\n"
_OWED = b"invoice,customer,open,currency,date,discount,discount until\n"
_MT940 = (
    b":20:S\n:25:12345678/1\n:28C:1/1\n:60F:C261125USD0,00\n:61:2611251125C1,00NTRFNONREF\n:86:x\n:62F:C261125USD1,00\n"
)


def _statements(data: bytes) -> None:
    for begin in (b"", _STATEMENT):
        try:
            found = statements_of(begin + data, account="A", currency="USD")
        except StatementError:
            continue
        payments, left_out = payments_of(found)
        account_for(found, CashApplication([]).apply(payments), left_out)


def _advices(data: bytes) -> None:
    for begin in (b"", _ADVICE):
        try:
            found = remittances_of(begin + data, currency="USD")
        except StatementError:
            continue
        for each in found.advices:
            assert each.amount == sum(line.net_amount for line in each.lines)


def _open_items(data: bytes) -> None:
    for begin in (b"", _OWED):
        with tempfile.NamedTemporaryFile() as file:
            file.write(begin + data)
            file.flush()
            try:
                found = read_open_items(Path(file.name), currency="USD")
            except StatementError:
                continue
            CashApplication(found.items)


TARGETS = (
    Target("statements", _statements, (b"A,2026-11-25,1.00,USD,x,1.00\n", b'A;25.11.2026;"1,00";EUR;x;\n', _MT940)),
    Target("advices", _advices, (b"T-1000,2026-11-25,USD,INV-1,1.00,0,0,,1.00\n", b"T;1;E;I;1;;;;\n")),
    Target(
        "open-items",
        _open_items,
        (
            b"INV-1,C-1,1.00,USD,2026-11-25,,\n",
            b'[{"number":"I","customer_id":"C","currency":"USD","open_amount":1,"issued_on":"2026-11-01"}]',
        ),
    ),
)
