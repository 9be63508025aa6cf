"""Rules files: TOML in, rules out, or every mistake with its file, line, key and value."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tallystick.books.reconciliation.rules import Rules

Where = tuple[str | int, ...]
_LONGEST_VALUE = 60
_MOST_MISTAKES = 20
_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_NAME = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER = re.compile(rf"\s*(\[\[?)\s*{_NAME}\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"\s*{_NAME}\s*=")


class RulesError(Exception):
    """The rules can't be followed. The message has a line for each mistake: file, line, key, value, what to do."""


def load_rules(path: Path) -> Rules:
    """The rules of a file. Raises RulesError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RulesError(
            f"{path}: no such rules file; `tallystick reconcile --list` shows those that come along"
        ) from None
    except (OSError, ValueError) as error:
        raise RulesError(f"{path}: the rules can't be read: {error}") from None
    return parse_rules(text, str(path))


def parse_rules(text: str, origin: str) -> Rules:
    """The rules of a text that came from `origin`. Raises RulesError."""
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise RulesError(f"{origin}: not valid TOML: {error}") from None
    try:
        rules = Rules.model_validate(data)
    except ValidationError as error:
        lines = line_numbers(text)
        every = error.errors(include_url=False)
        # A list that is wrong because of what is in it would be told twice.
        mistakes = [each for each in every if not any(_inside(other["loc"], each["loc"]) for other in every)]
        told = [_mistake(origin, lines, each) for each in mistakes[:_MOST_MISTAKES]]
        more = len(mistakes) - len(told)
        raise RulesError("\n".join([*told, *([f"and {more} more"] if more else [])])) from None
    if misfits := list(rules.misfits()):
        lines = line_numbers(text)
        raise RulesError("\n".join(f"{origin}:{_line(lines, where)}: {_key(where)}: {what}" for where, what in misfits))
    return rules


def line_numbers(text: str) -> dict[Where, int]:
    """On which line each key and each table of a TOML text stands, by its path from the top."""
    found: dict[Where, int] = {(): 1}
    tables: dict[Where, int] = {}
    at: Where = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if inside:
            inside = "" if line.count(inside) % 2 else inside
            continue
        if header := _HEADER.match(line):
            at = _table(header[1] == "[[", _parts(header[2]), tables)
            found.setdefault(at, number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(at + _parts(assignment[1]), number)
        inside = next((each for each in ('"""', "'''") if line.count(each) % 2), "")
    return found


def _table(array: bool, name: Where, tables: dict[Where, int]) -> Where:
    """The path of a table with the positions of the arrays it is in; a new element of an array is counted."""
    at: Where = ()
    for part in name[:-1]:
        at += (part,)
        if at in tables:
            at += (tables[at],)
    at += name[-1:]
    if array:
        tables[at] = tables.get(at, -1) + 1
        return (*at, tables[at])
    return at


def _parts(name: str) -> Where:
    return tuple(each.strip("\"'") for each in re.findall(_PART, name))


def _line(lines: Mapping[Where, int], where: Where) -> int:
    """The line of the nearest thing around `where` that has one."""
    return next(lines[where[:length]] for length in range(len(where), -1, -1) if where[:length] in lines)


def _inside(where: Where, outer: Where) -> bool:
    return len(where) > len(outer) and where[: len(outer)] == outer


def _key(where: Where) -> str:
    return ".".join(str(each + 1) if isinstance(each, int) else each for each in where) or "the file"


def _mistake(origin: str, lines: Mapping[Where, int], error: Any) -> str:
    where, value = tuple(error["loc"]), error["input"]
    shown = "" if isinstance(value, dict | list | tuple) else f" (got {str(value)[:_LONGEST_VALUE]!r})"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message, shown = "there is no such key; see docs/reconciliation.md for those there are", ""
    elif error["type"] == "missing":
        message, shown = "is missing", ""
    return f"{origin}:{_line(lines, where)}: {_key(where)}: {message}{shown}"
