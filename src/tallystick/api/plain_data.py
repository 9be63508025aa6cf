"""Free JSON that callers may send (payloads, event data): bounded in depth, and only what the database can keep."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator

_DEEPEST = 32
_LARGEST_INTEGER = 2**63 - 1


def check_plain(value: Any) -> Any:
    """The value itself. Raises ValueError where it is nested too deep or holds what JSON in PostgreSQL can't hold.

    That is: NUL characters, lone surrogates, integers beyond 64 bits, and numbers that are not finite.
    """
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    while waiting:
        where, each, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"{where[:80]}…: nested more than {_DEEPEST} deep")
        if isinstance(each, dict):
            for key, inner in each.items():
                _check_text(where, key)
                waiting.append((f"{where}/{key}", inner, depth + 1))
        elif isinstance(each, list):
            waiting.extend((f"{where}/{index}", inner, depth + 1) for index, inner in enumerate(each))
        else:
            _check_scalar(where, each)
    return value


def _check_scalar(where: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(where, value)
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise ValueError(f"{where}: integers have at most 64 bits; send it as a string")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: NaN and Infinity are not JSON")


def _check_text(where: str, text: str) -> None:
    if "\x00" in text:
        raise ValueError(f"{where}: a NUL character in a text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: half a surrogate pair in a text") from None


PlainData = Annotated[dict[str, Any], AfterValidator(check_plain)]
