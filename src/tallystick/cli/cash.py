"""`tallystick cash`: bank files applied to open items, in a file or in the ERP; what is safe is posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from typer.core import TyperGroup

from tallystick.cli.application import BOOKS, app
from tallystick.cli.failure import WrongUse
from tallystick.cli.hub import DEFAULT_URL, Url
from tallystick.cli.terminal import AsJson, complain, errors, money, print_heading, print_json, print_rows, tell

if TYPE_CHECKING:
    from tallystick.books.cash.items import Payment
    from tallystick.books.cash.open_items import OpenItems
    from tallystick.books.cash.received import FileReceived
    from tallystick.books.statements.statement import BankStatement
    from tallystick.documents.remittance import Remittance


class _ApplyUnlessNamed(TyperGroup):
    """`tallystick cash FILE…` is `tallystick cash apply FILE…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Typer keeps its Context's base to itself
        """As Typer's, with `apply` where no command is named."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["apply", *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    cls=_ApplyUnlessNamed,
    no_args_is_help=True,
    help="Cash: apply bank statements to open items. `tallystick cash FILE…` is `tallystick cash apply FILE…`.",
)
app.add_typer(commands, name="cash", rich_help_panel=BOOKS)

Files = Annotated[
    list[Path],
    typer.Argument(help="MT940, MT942, camt.053, camt.054, BAI2 or CSV files.", metavar="BANKFILE…"),
]
Advices = Annotated[
    list[Path] | None, typer.Option("--remittance", help="A CSV of remittance advices; may be repeated.")
]


@commands.command("apply")
def apply_files(
    files: Files,
    open_items: Annotated[Path | None, typer.Option(help="CSV or JSON of what is owed.")] = None,
    from_erp: Annotated[bool, typer.Option("--from-erp", help="What the connected ERP says is owed.")] = False,
    remittance: Advices = None,
    account: Annotated[str | None, typer.Option(help="Our account, where a CSV does not say it.")] = None,
    currency: Annotated[str | None, typer.Option(help="The currency, where a CSV does not say it.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write applied, suggested and left-out lines into this folder.")
    ] = None,
    post: Annotated[
        bool, typer.Option("--post", help="Have the ERP book what is safe; the rest becomes exceptions.")
    ] = False,
    entity: Annotated[str, typer.Option(help="Whose books, with --from-erp.")] = "default",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Apply bank files to open items: what is safe, what a person must decide, and what nobody knows.

    Exit 0 when every line is in its place, 1 when a file, a statement or an open item was refused, 2 for wrong use.

    Example: tallystick cash october.sta --open-items receivables.csv
    """
    if from_erp == (open_items is not None):
        raise WrongUse("say what is owed: either --open-items FILE or --from-erp")
    if from_erp:
        from tallystick.cli.cash_hub import apply_in_hub

        answer = apply_in_hub(
            url, files, remittance or (), entity=entity, account=account, currency=currency, post=post
        )
    elif post or open_items is None:
        raise WrongUse("--post needs what the ERP says is owed: --from-erp")
    else:
        answer = _apply_here(files, open_items, remittance or (), account, currency)
    if out is not None:
        from tallystick.cli.cash_files import write_folder

        write_folder(out, answer)
    if as_json:
        print_json(answer)
    else:
        show(answer)
    for each in answer["trouble"]:
        complain(each)
    raise typer.Exit(1 if answer["trouble"] else 0)


def _apply_here(
    files: Sequence[Path], open_items: Path, advices: Sequence[Path], account: str | None, currency: str | None
) -> dict[str, Any]:
    """The whole run on this machine: nothing is kept."""
    from tallystick.books.cash.advices import tie
    from tallystick.books.cash.application import CashApplication
    from tallystick.books.cash.arrivals import sort_out
    from tallystick.books.cash.conservation import account_for
    from tallystick.books.cash.open_items import read_open_items
    from tallystick.books.cash.plain import application_data, left_out_data
    from tallystick.books.cash.received import received_of
    from tallystick.books.statements.statement import StatementError

    trouble: list[str] = []
    try:
        owed: OpenItems = read_open_items(open_items, currency=currency)
    except StatementError as error:
        raise WrongUse(str(error)) from None
    trouble += [f"{open_items}: {each}" for each in owed.quarantined]
    statements, notes = _read(files, account, currency, trouble)
    told = _read_advices(advices, currency, trouble)
    received, left_out = [], []
    for file, statement in statements:
        found, out = received_of([statement], owed.customer_by_account)
        received += [(each, file) for each in found]
        left_out += out
    fresh, repeated = sort_out(received, set(), {})
    tied = tie([each.payment for each, _ in fresh], told)
    cash = CashApplication(owed.items)
    with progress("applying", len(tied.payments)) as counted:
        answers = cash.apply(counted(tied.payments))
    before = [(each.entry.currency, each.entry.amount) for each in repeated]
    places = account_for([statement for _, statement in statements], answers, left_out, before)
    return {
        "places": {currency: asdict(each) for currency, each in places.items()},
        "applications": [application_data(each) for each in answers],
        "left_out": [left_out_data(each) for each in left_out],
        "repeated": [each.payment.id for each in repeated],
        "untied_advices": [each.model_dump(mode="json") for each in tied.untied],
        "notes": notes + [f"{open_items}: {', '.join(owed.notes)}"] * bool(owed.notes),
        "trouble": trouble,
    }


def _read(
    files: Sequence[Path], account: str | None, currency: str | None, trouble: list[str]
) -> tuple[list[tuple[FileReceived, BankStatement]], list[str]]:
    from tallystick.books.cash.received import FileReceived
    from tallystick.books.statements.reader import content_of, statements_of
    from tallystick.books.statements.statement import StatementError

    statements: list[tuple[FileReceived, BankStatement]] = []
    notes: list[str] = []
    with progress("reading", len(files)) as counted:
        for path in counted(files):
            try:
                content = content_of(path)
                found = statements_of(content, account=account, currency=currency)
            except StatementError as error:
                trouble.append(f"{path}: {error}")
                continue
            file = FileReceived(path.name, sha256(content).hexdigest())
            statements += [(file, each) for each in found]
            notes += sorted({f"{path}: {', '.join(each.notes)}" for each in found if each.notes})
            trouble += [
                f"{path}: account {each.account}, statement {each.number}: {problem}"
                for each in found
                for problem in each.problems
            ]
    return statements, notes


def _read_advices(files: Sequence[Path], currency: str | None, trouble: list[str]) -> list[Remittance]:
    from tallystick.books.statements.remittances import read_remittances
    from tallystick.books.statements.statement import StatementError

    advices: list[Remittance] = []
    for path in files:
        try:
            found = read_remittances(path, currency=currency)
        except StatementError as error:
            trouble.append(str(error))
            continue
        advices += found.advices
        trouble += [f"{path}: {each}" for each in found.quarantined]
    return advices


@contextmanager
def progress(doing: str, total: int) -> Iterator[Any]:
    """A bar on stderr while it lasts; nothing where nobody looks at a screen."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(doing, total=total)

        def counted(items: Sequence[Payment] | Sequence[Path]) -> Iterator[Any]:
            for each in items:
                yield each
                bar.advance(task)

        yield counted


def show(answer: dict[str, Any]) -> None:
    """The run as tables."""
    print_rows(
        ("status", "amount", "paid", "rule", "invoices", "rivals", "evidence"),
        [_row(each) for each in answer["applications"]],
        empty="no payment came in",
    )
    if answer["left_out"]:
        print_heading("Left out")
        print_rows(
            ("booked", "amount", "statement", "why"),
            [
                (each["booked_on"], money(each["amount"], each["currency"]), each["statement"], each["reason"])
                for each in answer["left_out"]
            ],
        )
    print_heading("Where the money is")
    names = ("received", "applied", "on_account", "suggested", "unidentified", "refused", "repeated")
    print_rows(
        [each.replace("_", " ") for each in names],
        [[money(places[each], currency) for each in names] for currency, places in answer["places"].items()],
        empty="no money came in",
    )
    for note in answer["notes"]:
        tell(note)
    for each in answer["untied_advices"]:
        tell(f"advice {each['trace']}: no payment of {money(each['amount'], each['currency'])} came that is its own")


def _row(each: dict[str, Any]) -> tuple[Any, ...]:
    paid, first = each["payment"], next(iter(each["proposals"]), None)
    amount = money(paid["amount"], paid["currency"])
    if first is None:
        return each["status"], amount, paid["paid_on"], "", "", "", " ".join(paid["texts"])[:60]
    invoices = ", ".join(part["number"] for part in first["allocations"])
    extras = [f"{money(first['on_account'], paid['currency'])} on account"] if first["on_account"] else []
    extras += [f"{money(part['amount'], paid['currency'])} kept back: {part['reason']}" for part in first["deductions"]]
    evidence = "; ".join([first["evidence"], *extras])
    return each["status"], amount, paid["paid_on"], first["rule"], invoices, each["rivals"] or "", evidence
