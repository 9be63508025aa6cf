"""What a fuzz target is: a parser under test, what it may refuse with, and inputs to begin from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`attempt` takes any bytes; it swallows the refusals that the parser promises, and lets everything else out as a fault."""

    name: str
    attempt: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def split(data: bytes, parts: int) -> list[bytes]:
    """The input as several: cut at its first NUL characters, with empty ones for what is missing."""
    found = data.split(b"\0", parts - 1)
    return [*found, *[b""] * (parts - len(found))]


def text_of(data: bytes) -> str:
    """Bytes as the text a framework hands on: UTF-8, with what is none as half surrogates."""
    return data.decode("utf-8", "surrogateescape")
