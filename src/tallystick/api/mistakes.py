"""What is wrong with a value, in words for who sent it: pydantic's own where they are plain, else ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tallystick.documents.values import LINES_OF_TEXT, NO_CONTROL_CHARACTERS

_TEXT = {
    pattern: re.compile(pattern.removeprefix("^").removesuffix("$"))
    for pattern in (NO_CONTROL_CHARACTERS, LINES_OF_TEXT)
}


def in_words(error: Mapping[str, Any]) -> str:
    """The message of one pydantic error (an item of `ValidationError.errors()`)."""
    context = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch" if context["pattern"] in _TEXT:
            return _unwanted(error["input"], context["pattern"])
        case "string_pattern_mismatch":
            return f"must be of the form {context['pattern']}"
        case "too_long":
            return f"at most {context['max_length']} items, not {context['actual_length']}; split it"
        case "extra_forbidden":
            return "there is no such field; is it misspelt?"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


def _unwanted(text: str, pattern: str) -> str:
    """Which character does not belong there: the one behind the longest beginning that fits."""
    start = len(text) - len(text.lstrip(" \t\r\n"))  # white space around is no mistake
    fitting = _TEXT[pattern].match(text, start)
    at = fitting.end() if fitting else start
    return (
        f"character {at + 1} is U+{ord(text[at]):04X}; control characters, line separators and marks that turn the reading "
        "direction are not taken"
    )
