"""Whether a line came before in another file, where the bank's references do not prove it: formats drop and cut texts.

The same day's statement has the same lines in every format, so a line pairs with one of its amount and day. Whether the two
are one is judged by what both say; where that is not enough, a person decides, and nothing posts by itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

_WORD = re.compile(r"[0-9A-Z]+")
_TELLING = re.compile(r"\d{4}")
"""Words alone say too little: two payers thank in the same words on the same day."""
_SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says of itself."""

    booked_on: date
    amount: int
    currency: str
    format: str
    file_hash: str
    bank_reference: str | None
    payer_reference: str | None
    text: str
    payer_account: str | None
    statement: str


class Likeness(Enum):
    """How two lines of one amount and day stand to each other."""

    SAME = "same"
    DOUBTFUL = "doubtful"
    DIFFERENT = "different"


def likeness(new: Line, old: Line) -> Likeness:
    """Judged by references, then paying accounts, then texts."""
    if new.file_hash == old.file_hash:
        return Likeness.DIFFERENT  # a file has each of its lines once
    for ours, theirs in ((new.bank_reference, old.bank_reference), (new.payer_reference, old.payer_reference)):
        if ours and theirs and _cut(ours, theirs):
            return Likeness.SAME
    # One format says the same thing the same way, and then it has the same identity; but CSV is as many as there are banks.
    alike = new.format == old.format and bool(new.bank_reference) == bool(old.bank_reference)
    if alike and (new.format != "csv" or new.bank_reference):
        return Likeness.DIFFERENT
    if new.payer_account and old.payer_account and new.payer_account != old.payer_account:
        return Likeness.DIFFERENT
    ours_said, theirs_said = set(_WORD.findall(new.text.upper())), set(_WORD.findall(old.text.upper()))
    shared = ours_said & theirs_said
    if shared in (ours_said, theirs_said) and any(_TELLING.search(each) for each in shared):
        return Likeness.SAME
    if new.payer_reference and old.payer_reference:
        return Likeness.DIFFERENT
    return Likeness.DOUBTFUL


def pair(new: Sequence[Line], old: Iterable[Line]) -> list[tuple[Likeness, Line] | None]:
    """For each new line the old one that it is, or may be; each old one once, the surest pairs first. None: it is new."""
    by_sum: dict[tuple[date, int, str], list[Line]] = defaultdict(list)
    for each in old:
        by_sum[each.booked_on, each.amount, each.currency].append(each)
    found: list[tuple[Likeness, Line] | None] = [None] * len(new)
    for wanted in (Likeness.SAME, Likeness.DOUBTFUL):
        for place, line in enumerate(new):
            candidates = by_sum.get((line.booked_on, line.amount, line.currency), [])
            if found[place] is None:
                twin = next((each for each in candidates if likeness(line, each) is wanted), None)
                if twin is not None:
                    candidates.remove(twin)
                    found[place] = (wanted, twin)
    return found


def _cut(one: str, other: str) -> bool:
    """Whether one is the other, or as much of it as a format has room for."""
    short, long = sorted((one.upper(), other.upper()), key=len)
    return short == long or (len(short) >= _SHORTEST and long.startswith(short))
