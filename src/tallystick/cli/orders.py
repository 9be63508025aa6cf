"""`tallystick orders`: submit a file of any size, validate, change, cancel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.application import WORK, app
from tallystick.cli.failure import WrongUse
from tallystick.cli.hub import DEFAULT_URL, Hub, TransactionName, Url, Version, open_hub
from tallystick.cli.order_csv import OPTIONAL, REQUIRED, check_csv, read_csv
from tallystick.cli.order_json import read_json, read_ndjson
from tallystick.cli.order_source import OrderFormat, Read, Source, format_of, open_source
from tallystick.cli.order_submission import Answered, Tally, submit_all, validate_all
from tallystick.cli.terminal import AsJson, complain, errors, print_json, print_record, print_rows, tell

_FILE = f"""The file, or - for stdin (then say --format).

JSON: one order or an array; NDJSON: an order a line; as in /v1/schemas/order, amounts in minor units.

CSV: a row is an order line; the rows of an order stand together. Columns {", ".join(REQUIRED)}; and, if wanted,
{", ".join(OPTIONAL)}, charge_CODE, allowance_CODE. Amounts are decimals (12.34) and must be exact in the currency; ordered_at
may be a date (00:00 UTC). Columns of the order itself may be empty behind its first row.
"""
commands = typer.Typer(help="Orders: submit, validate, change, cancel.", no_args_is_help=True)
app.add_typer(commands, name="orders", rich_help_panel=WORK)

OrdersFile = Annotated[str, typer.Argument(metavar="FILE", help=_FILE)]
Format = Annotated[
    OrderFormat | None,
    typer.Option("--format", "-f", help="Default: by the file's name (.json, .ndjson, .jsonl, .csv)."),
]
ErrorsFile = Annotated[
    Path | None, typer.Option("--errors", help="Write what was not taken to this file, as NDJSON, with every reason.")
]
_SHOWN = 20


@commands.command()
def submit(
    file: OrdersFile,
    file_format: Format = None,
    errors_file: ErrorsFile = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            help="A word for this run. Running a file again repeats nothing and tells the same; under another word, orders that "
            "were rejected are judged anew.",
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Submit orders from a JSON, NDJSON or CSV file of any size; exit 1 when any was not taken (accepted or held).

    Safe to repeat: an order that was answered before gets the same answer and is not done twice.

    Example: `tallystick orders submit orders.csv --errors refused.ndjson`

    With --json: a line for each order, then a line {"summary": …}.
    """

    def submitted(hub: Hub, reads: Iterator[Read]) -> Iterator[Answered]:
        return submit_all(hub, reads, key)

    with open_hub(url) as hub, _refusals(errors_file) as refusals:
        _go_through(hub, file, file_format, submitted, refusals, as_json)


@commands.command()
def validate(
    file: OrdersFile,
    file_format: Format = None,
    errors_file: ErrorsFile = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say what the checks would decide, keeping nothing; exit 1 when any order would not be taken.

    Example: `tallystick orders validate order.json`
    """
    with open_hub(url) as hub, _refusals(errors_file) as refusals:
        _go_through(hub, file, file_format, validate_all, refusals, as_json)


@commands.command()
def change(
    transaction: TransactionName,
    file: Annotated[Path, typer.Argument(help="The whole order as it is to be, as JSON.", exists=True, dir_okay=False)],
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Replace an order before it ships; it is checked anew. A change that is held or rejected leaves the order as it is (exit 1).

    Example: `tallystick orders change W-10023 order.json`
    """
    with open_hub(url) as hub:
        found = hub.transaction(transaction)
        answer = hub.put(f"/orders/{found['id']}", file.read_bytes(), version=version or found["version"])
    if as_json:
        print_json(answer)
    else:
        print_record({"transaction": found["id"], **_decided(answer), "revision": answer.get("revision")})


@commands.command()
def cancel(
    transaction: TransactionName,
    reason: Annotated[str | None, typer.Option(help="Told to the sales side.")] = None,
    version: Version = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Cancel an order before it ships. Warehouse and ERP are asked in turn; `transactions show` tells the outcome.

    Example: `tallystick orders cancel W-10023 --reason "customer changed their mind"`
    """
    with open_hub(url) as hub:
        found = hub.transaction(transaction)
        body = {"reason": reason}
        answer = hub.post(f"/orders/{found['id']}:cancel", body, version=version or found["version"])
    if as_json:
        print_json(answer)
    else:
        print_record({"transaction": answer["transaction_id"], "state": answer["state"]})


def _go_through(
    hub: Hub,
    file: str,
    named: OrderFormat | None,
    answers: Callable[[Hub, Iterator[Read]], Iterator[Answered]],
    refusals: _Refusals,
    as_json: bool,
) -> None:
    """Read, ask, and tell what came of it. Ends the command with its exit code."""
    started = time.monotonic()
    tally = Tally()
    with _reading(file, named) as (source, reads), _progress(source) as advance:
        try:
            for answered in answers(hub, reads):
                tally.add(answered)
                advance(tally.orders)
                if as_json:
                    print_json(answered.line())
                if not answered.taken:
                    refusals.add(answered)
                last = answered
        except KeyboardInterrupt:
            complain(f"interrupted after {tally.orders} orders; run the same command again: nothing is done twice")
            raise typer.Exit(130) from None
    if not tally.orders:
        raise WrongUse(f"{source.name}: there is no order in it")
    seconds = round(time.monotonic() - started, 3)
    refusals.tell_rest()
    if as_json:
        counts = {"orders": tally.orders, **tally.counts, "replayed": tally.replayed}
        print_json({"summary": {"file": source.name, **counts, "seconds": seconds}})
    elif tally.orders == 1 and last.taken:
        print_record({"order": last.body.get("order_number"), **_decided(last.body)})
    else:
        _print_tally(tally, seconds)
    raise typer.Exit(0 if tally.all_taken else 1)


def _decided(body: dict[str, Any]) -> dict[str, Any]:
    """An order's answer as fields for people."""
    return {
        "decision": body["decision"] + (" (told before)" if body.get("replayed") else ""),
        "transaction": body.get("transaction_id"),
        "commitment": body.get("commitment"),
        "exception": body.get("exception_id"),
        "because": "; ".join(each["message"] for each in body["reasons"]),
    }


def _print_tally(tally: Tally, seconds: float) -> None:
    rows: list[tuple[str, Any]] = [(outcome, count) for outcome, count in tally.counts.items() if count]
    rows.append(("in all", tally.orders))
    if tally.replayed:
        rows.append(("of these told before", tally.replayed))
    print_rows(("orders", "count"), rows)
    if seconds > 1:
        tell(f"{tally.orders / seconds:,.0f} orders a second")


@contextmanager
def _reading(file: str, named: OrderFormat | None) -> Iterator[tuple[Source, Iterator[Read]]]:
    found = format_of(file, named)
    with open_source(file, seekable=found is OrderFormat.CSV) as source:
        if found is OrderFormat.CSV:
            check_csv(source)
            source.rewind()
        read = {OrderFormat.CSV: read_csv, OrderFormat.NDJSON: read_ndjson, OrderFormat.JSON: read_json}[found]
        yield source, read(source)


class _Refusals:
    """Where the orders that were not taken are told: in a file if one is named, else the first few on stderr."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._count = 0

    def add(self, answered: Answered) -> None:
        self._count += 1
        if self._file:
            self._file.write(orjson.dumps(answered.line()) + b"\n")
        elif self._count <= _SHOWN:
            tell(f"{answered.outcome}: {answered.explanation}")

    def tell_rest(self) -> None:
        """Say how many were not shown."""
        if self._file and self._count:
            tell(f"not taken: {self._count}; {self._file.name} says why")
        elif self._count > _SHOWN:
            tell(f"… and {self._count - _SHOWN} more; name a file with --errors to have all of them")


@contextmanager
def _refusals(path: Path | None) -> Iterator[_Refusals]:
    if path is None:
        yield _Refusals(None)
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise WrongUse(f"--errors: {path} cannot be written ({error.strerror})") from None
    with file:
        yield _Refusals(file)


@contextmanager
def _progress(source: Source) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for people, by how much of the file was read; nothing where nobody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        task = progress.add_task("orders", total=source.size)

        def advance(orders: int) -> None:
            progress.update(task, completed=source.read, description=f"{orders:,} orders")

        yield advance
