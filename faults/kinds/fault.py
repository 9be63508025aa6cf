"""What a fault is to the nemesis: a name for the table, and a function that strikes and heals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from faults.world import World

Strike = Callable[[World, Random, str], Awaitable[str]]
"""Strikes with chance and the particular that the schedule drew, heals, and says in a few words what it did."""


class NotStruck(Exception):
    """The fault found nothing to strike, or can't be had on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault; the schedule draws among `particulars`, such as systems or crash points."""

    name: str
    strike: Strike
    particulars: tuple[str, ...] = ("",)
