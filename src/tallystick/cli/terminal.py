"""What commands print: tables and records for people, JSON for programs, and everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tallystick.documents.money import MINOR_DIGITS, format_minor

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
errors = Console(stderr=True, soft_wrap=True, highlight=False)
# Where nobody looks at a screen nothing is cut or wrapped, so that grep finds whole lines.
_UNBOUNDED = 100_000
# Up to this a value is never wrapped, so that an id can be copied whole; a longer text is, but not into a ribbon.
_SHORT = 40
_NARROWEST = 24


def screen() -> Console:
    """The console for stdout, as wide as the terminal; into a pipe or a file, as wide as it takes."""
    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if narrow else _UNBOUNDED)


def printable(value: Any) -> str:
    """A value as one line of text without anything that would move a terminal; empty for none."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = orjson.dumps(value, default=str).decode()
    return "".join(each if each.isprintable() else _visible(each) for each in str(value))


def _visible(character: str) -> str:
    return " " if character in "\n\t" else "\N{REPLACEMENT CHARACTER}"


def complain(message: str) -> None:
    """One line on stderr that says what went wrong."""
    errors.print(Text.assemble(("tallystick: ", "red"), printable(message)))


def tell(message: str) -> None:
    """One line on stderr that is no result, such as what to do next."""
    errors.print(Text(printable(message)))


def print_json(value: Any) -> None:
    """One JSON document, or one line of NDJSON, on stdout, at once."""
    sys.stdout.write(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "nothing there") -> None:
    """Rows as a table; each as a record of its own where the screen is too narrow for whole words."""
    console = screen()
    texts = [[printable(value) for value in row] for row in rows]
    if not texts:
        tell(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for index, column in enumerate(columns):
        widest = max(cell_len(column), *(cell_len(row[index]) for row in texts))
        long = widest > _SHORT
        table.add_column(column, overflow="fold", no_wrap=not long, min_width=_NARROWEST if long else widest)
    for row in texts:
        table.add_row(*(Text(value) for value in row))
    if console.width < _UNBOUNDED:
        needed = Measurement.get(console, console.options.update_width(_UNBOUNDED), table).minimum
        if needed > console.width:
            for row in texts:
                print_record(dict(zip(columns, row, strict=True)))
                console.print()
            return
    console.print(table)


def print_items(
    items: Sequence[dict[str, Any]],
    more: bool,
    as_json: bool,
    columns: Sequence[str],
    row: Callable[[dict[str, Any]], Sequence[Any]],
) -> None:
    """A list of the API: a table with a word where there is more of it, or {"items": […], "more": …}."""
    if as_json:
        print_json({"items": items, "more": more})
        return
    print_rows(columns, [row(each) for each in items])
    if more:
        tell(f"these are the first {len(items)}; --limit shows more")


def print_record(fields: Mapping[str, Any]) -> None:
    """One thing, a field a line; empty ones are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        text = printable(value)
        if text:
            table.add_row(Text(name), Text(text))
    screen().print(table)


def print_heading(text: str) -> None:
    """A heading between two parts of an answer."""
    console = screen()
    console.print()
    console.print(Text(text, style="bold"))


def instant(value: str | None) -> str:
    """An instant of the API as people write it, in UTC: 2026-11-24 09:30:00Z."""
    return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if value else ""


def money(amount: int | None, currency: str | None) -> str:
    """Minor units as a decimal with the currency."""
    if amount is None:
        return ""
    if currency not in MINOR_DIGITS:
        return str(amount)
    return f"{format_minor(amount, currency)} {currency}"
