"""Errors that show only when fields are compared: they name the field to correct, as the errors of single fields do."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import PydanticCustomError


def misfit(at: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """An error to raise from a document's validator about the field `at`, such as ("lines", 3, "amount").

    It is kept in the error's context as `at`, for who makes a pointer of it; the message names it for people.
    """
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).removeprefix(".")
    return PydanticCustomError("misfit", f"{where}: {message}", {"at": at})


def check_line_numbers(numbers: Sequence[int]) -> None:
    """Raise a misfit at the first line whose number an earlier one has."""
    if len(set(numbers)) == len(numbers):
        return
    seen: set[int] = set()
    for index, number in enumerate(numbers):
        if number in seen:
            raise misfit(("lines", index, "line_number"), f"{number} is used by an earlier line")
        seen.add(number)
