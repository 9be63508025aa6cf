"""Seeded choices: the same seed makes the same choice for the same order, whatever else happens and in which order."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypeVar

Kind = TypeVar("Kind")


def dice(seed: int, *keys: str) -> random.Random:
    """A generator of its own for these keys, such as an order's number."""
    return random.Random(f"{seed}:{':'.join(keys)}")  # noqa: S311 - chance for a simulation, no secret


def choose(generator: random.Random, weights: Mapping[Kind, float]) -> Kind:
    """One of the kinds, as likely as its weight. Raises ValueError when no weight is above zero."""
    return generator.choices(list(weights), list(weights.values()))[0]
