"""`tallystick statements`: what bank statement files say, and whether they add up; nothing is kept or applied."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.application import BOOKS, app
from tallystick.cli.terminal import AsJson, complain, money, print_json, print_rows, tell

if TYPE_CHECKING:
    from tallystick.books.statements.statement import BankStatement

_COLUMNS = ("booked", "amount", "bank's reference", "payer's reference", "from or to", "for")
Files = Annotated[
    list[Path], typer.Argument(help="MT940, MT942, camt.053, camt.054, BAI2 or CSV files.", metavar="FILE…")
]


@app.command(rich_help_panel=BOOKS)
def statements(
    files: Files,
    account: Annotated[str | None, typer.Option(help="Our account, where a CSV does not say it.")] = None,
    currency: Annotated[str | None, typer.Option(help="The currency, where a CSV does not say it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the entries of bank statements, and check that their balances add up.

    Exit 1 when a file can't be read, or a statement does not add up. Example: tallystick statements *.sta
    """
    from tallystick.books.statements.reader import read_statements
    from tallystick.books.statements.statement import StatementError

    found: list[dict[str, Any]] = []
    wrong = False
    for path in files:
        try:
            read = read_statements(path, account=account, currency=currency)
        except StatementError as error:
            complain(str(error))
            wrong = True
            continue
        found += [{"file": str(path), **asdict(each)} for each in read]
        for each in read:
            if not as_json:
                _show(path, each)
            for problem in each.problems:
                complain(f"{path}: account {each.account}, statement {each.number}: {problem}")
                wrong = True
    if as_json:
        print_json({"statements": found})
    raise typer.Exit(1 if wrong else 0)


def _show(path: Path, statement: BankStatement) -> None:
    opening, closing = statement.opening, statement.closing
    balances = [
        f"{word} {money(each.amount, each.currency)}" for word, each in (("from", opening), ("to", closing)) if each
    ]
    typer.echo(
        f"\n{path.name}: account {statement.account}, statement {statement.number} {' '.join(balances)}".rstrip()
    )
    print_rows(
        _COLUMNS,
        [
            (
                each.booked_on if each.booked else f"{each.booked_on} (announced)",
                money(each.amount, each.currency),
                each.bank_reference,
                each.payer_reference,
                each.counterparty or each.counterparty_account,
                each.remittance,
            )
            for each in statement.entries
        ],
        empty="no entries",
    )
    if statement.notes:
        tell(f"{path.name}: read as {', '.join(statement.notes)}")
