"""Exact subset sums: in how many ways some of the open items make up a payment. Bounded, vectorised, meeting in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_ITEMS = 24
"""2 × 4,096 sums; every further item doubles the work of half of it."""
_MOST_SHOWN = 5

Amounts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ways:
    """How many subsets make up the amount, and some of them by their items' positions, those with the fewest items first."""

    count: int
    shown: tuple[tuple[int, ...], ...]


def ways_to_pay(amount: int, open_amounts: Sequence[int]) -> Ways:
    """All ways to make up `amount` from at most MOST_ITEMS positive amounts. Raises ValueError for more of them."""
    if len(open_amounts) > MOST_ITEMS:
        raise ValueError(f"at most {MOST_ITEMS} amounts, not {len(open_amounts)}")
    values = np.asarray(open_amounts, dtype=np.int64)
    middle = len(values) // 2
    left, right = _sums(values[:middle]), _sums(values[middle:])
    order = np.argsort(left, kind="stable")
    ascending = left[order]
    wanted = amount - right
    first = np.searchsorted(ascending, wanted, "left")
    counts = np.searchsorted(ascending, wanted, "right") - first
    total = int(counts.sum())
    if amount == 0:
        total -= 1  # nothing is no way to pay
    shown = _shown(counts, first, order, middle) if total else ()
    return Ways(total, shown)


def _sums(values: Amounts) -> Amounts:
    """The sums of all subsets; a subset's index has a bit for each of its values."""
    sums = np.zeros(1, dtype=np.int64)
    for value in values:
        sums = np.concatenate((sums, sums + value))
    return sums


def _shown(
    counts: NDArray[np.intp], first: NDArray[np.intp], order: NDArray[np.intp], middle: int
) -> tuple[tuple[int, ...], ...]:
    """The ways with the fewest items; of those the ones with the earliest."""
    found: list[tuple[int, ...]] = []
    for right in np.nonzero(counts)[0]:
        for at in range(first[right], first[right] + counts[right]):
            bits = int(order[at]) | (int(right) << middle)
            if bits:
                found.append(tuple(place for place in range(bits.bit_length()) if bits >> place & 1))
        if len(found) > 1_000:  # nobody reads them: the count says enough
            break
    return tuple(sorted(found, key=lambda way: (len(way), way))[:_MOST_SHOWN])
