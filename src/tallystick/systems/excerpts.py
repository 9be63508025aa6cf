"""Short views of what was sent and received, for the attempt log: bounded, and with every secret masked."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

MAXIMUM_CHARACTERS = 2_000
MAXIMUM_ITEMS = 10
MAXIMUM_PARSED_BYTES = 1_000_000
MASK = "***"

_SECRET_WORDS = "password|passwd|secret|token|authorization|cookie|api_?-?key|card|cvv|cvc"  # noqa: S105 - names, no secret
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
# In text that is no JSON (HTML, XML, form data, a truncated body) whatever follows such a word is masked.
_SECRET_TEXT = re.compile(
    rf"((?<![\w/-])[\w-]*(?:{_SECRET_WORDS})[\w-]*(?:[\"']?\s*[:=]\s*|>))"
    r"(?:\"[^\"]*\"?|'[^']*'?|(?<=>)[^<]+|(?:Bearer\s+|Basic\s+)?[^\s\"'<>,;&]+)",
    re.IGNORECASE,
)
# Control characters, and halves of surrogate pairs, which no answer of ours could be written with.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def masked(value: Any, depth: int = 8) -> Any:
    """The value with secret fields masked and long lists cut, fit to be kept; dicts and lists are copied."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(name): MASK if _SECRET_NAME.search(str(name)) else masked(each, depth - 1)
            for name, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        kept = [masked(each, depth - 1) for each in value[:MAXIMUM_ITEMS]]
        return kept if len(value) <= MAXIMUM_ITEMS else [*kept, f"… and {len(value) - MAXIMUM_ITEMS} more"]
    return value


def excerpt(value: Any) -> str:
    """At most 2,000 characters of a body, JSON or text, without secrets and control characters."""
    if isinstance(value, (bytes, bytearray)):
        received = bytes(value)
        value = received[: 4 * MAXIMUM_CHARACTERS].decode("utf-8", errors="replace")
        if len(received) <= MAXIMUM_PARSED_BYTES:
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(received)
    if isinstance(value, str):
        text = _SECRET_TEXT.sub(rf"\1{MASK}", value[: 4 * MAXIMUM_CHARACTERS])
    else:
        text = json.dumps(masked(value), ensure_ascii=False, default=str)
    text = _CONTROL.sub(" ", text)
    return text if len(text) <= MAXIMUM_CHARACTERS else f"{text[:MAXIMUM_CHARACTERS]}…"


def concealed(value: Any, secrets: Iterable[str]) -> Any:
    """The value with these words masked wherever they stand: a system may say our own credentials back to us."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, Mapping):
        return {name: concealed(each, secrets) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [concealed(each, secrets) for each in value]
    return value


def one_line(text: object, maximum: int = 300) -> str:
    """Text from outside as one bounded line, for messages that a person reads."""
    line = " ".join(_CONTROL.sub(" ", str(text)).split())
    return line if len(line) <= maximum else f"{line[: maximum - 1]}…"
