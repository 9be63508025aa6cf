"""How many subsets of some amounts would hit a sum by chance: the smaller, the more a hit proves."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, gcd

_WHOLE_UNIT = 100
_ENOUGH = 4


def grid_of(amounts: Sequence[int]) -> int:
    """The step in which a customer's amounts lie, in minor units; of a few amounts, at most a whole unit of most currencies."""
    step = gcd(*amounts) or 1
    return step if len(amounts) >= _ENOUGH else min(step, _WHOLE_UNIT)


def expected_by_chance(amounts: Sequence[int], size: int, grid: int) -> float:
    """The expected number of subsets of up to `size` of these amounts that make up a given sum, were sums spread evenly.

    They lie between nothing and the sum of the largest, on the grid that the amounts share: whole dollars meet a hundred times
    as often as cents.
    """
    subsets = sum(comb(len(amounts), each) for each in range(1, size + 1))
    largest = sum(sorted(amounts)[-size:])
    return subsets / max(1, largest // grid)
