"""What a measurement says: figures of ours, the same of whom we stand beside, and what was promised of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is measured."""

    server: str
    """URL of a PostgreSQL server that nobody else uses."""
    folder: Path
    """For logs and other files; it goes after the run."""
    smoke: bool
    """Whether tiny sizes will do: they show that it runs, not how fast it is."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What somebody else does in the same run on the same machine, in the row's unit."""

    name: str
    seen: float


@dataclass(frozen=True, slots=True)
class Promise:
    """One figure and the bound that was promised for it: exactly one of `least` and `most`."""

    what: str
    seen: float
    least: float | None = None
    most: float | None = None
    cores: int = 0
    """The machine for which it was promised. One with fewer cores keeps no such promise and breaks none."""

    @property
    def kept(self) -> bool:
        """Whether the figure is within its bound."""
        if self.least is not None:
            return self.seen >= self.least
        return self.most is not None and self.seen <= self.most

    @property
    def bound(self) -> str:
        """The bound in words."""
        return f"≥ {figure(self.least)}" if self.least is not None else f"≤ {figure(self.most or 0)}"

    def met(self, cores: int, smoke: bool) -> bool | None:
        """Whether it is met on a machine with so many cores; None: it can't be judged here."""
        if smoke or (cores < self.cores and not self.kept):
            return None
        return self.kept


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    name: str
    what: str
    unit: str
    ours: float
    promises: tuple[Promise, ...]
    beside: tuple[Beside, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader needs to believe it, a line each."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Every round, as plain data."""
    trouble: str | None = None
    """Why there is no measurement; then nothing else counts, and the run has failed, however small."""


def unmeasured(name: str, trouble: str) -> Row:
    """The row of a measurement that did not come about."""
    return Row(name, what="", unit="", ours=0.0, promises=(), trouble=trouble)


Measure = Callable[[Place], Awaitable[Row]]


def figure(value: float) -> str:
    """A number with about three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
