"""Finds invoice numbers in what payers write: with other dashes, spaces and cases, several in one line, or half forgotten."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tallystick.books.cash.items import OpenItem

_WORD = re.compile(r"[0-9A-Z]+")
_MOST_WORDS = 4
"""An invoice number is written in so many pieces at the most: INV 2026 / 00 12."""
_SHORTEST = 4
"""Shorter numbers are too often days, quantities or postcodes."""


@dataclass(frozen=True, slots=True)
class Found:
    """Items that a payment's texts name. `loosely`: only by the digits of their numbers, which may be chance."""

    items: tuple[OpenItem, ...]
    loosely: bool = False


class References:
    """The numbers of all open items, to be looked up word by word: the cost of a payment is that of its text."""

    def __init__(self, items: Iterable[OpenItem]) -> None:
        self._exact: dict[str, list[OpenItem]] = defaultdict(list)
        self._digits: dict[str, list[OpenItem]] = defaultdict(list)
        for item in items:
            plain = _plain(item.number)
            if len(plain) >= _SHORTEST:
                self._exact[plain].append(item)
            digits = "".join(each for each in plain if each.isdigit()).lstrip("0")
            if len(digits) >= _SHORTEST and digits != plain:
                self._digits[digits].append(item)

    def find(self, texts: Sequence[str], currency: str, customer_id: str | None) -> Found:
        """What the texts name, in the currency, of the customer where it is known. A number that several customers have names
        nothing where it is not known who paid."""
        words = [word for text in texts for word in (*_WORD.findall(text.upper()), "")]
        exact = self._look_up(self._exact, words, currency, customer_id)
        if exact:
            return Found(tuple(exact))
        bare = [word.lstrip("0") if word.isdigit() else word for word in words]
        return Found(tuple(self._look_up(self._digits, bare, currency, customer_id)), loosely=True)

    def _look_up(
        self, numbers: dict[str, list[OpenItem]], words: Sequence[str], currency: str, customer_id: str | None
    ) -> list[OpenItem]:
        """Each number once, in the order of the text; the longest run of words that is a number counts, and not its parts."""
        found: dict[tuple[str, str], OpenItem] = {}
        at = 0
        while at < len(words):
            step = 1
            for length in range(min(_MOST_WORDS, len(words) - at), 0, -1):
                run = words[at : at + length]
                if "" in run:  # not across the end of a text
                    continue
                fitting = [
                    item
                    for item in numbers.get("".join(run), ())
                    if item.currency == currency and customer_id in (None, item.customer_id)
                ]
                if len(fitting) == 1:
                    found[fitting[0].customer_id, fitting[0].number] = fitting[0]
                    step = length
                    break
            at += step
        return list(found.values())


def _plain(number: str) -> str:
    return "".join(_WORD.findall(number.upper()))
