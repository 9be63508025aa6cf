"""How keeping, work on breaks and the closing of periods say no."""

from __future__ import annotations


class RunNotPossible(Exception):
    """It can't be done as things stand; `code` is stable, the message says why and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RunChanged(Exception):
    """Somebody changed the run or break since it was read."""


def breaks_frozen(period: str, signed_by: str) -> RunNotPossible:
    """The breaks of a run that was signed off can't be worked."""
    return RunNotPossible(
        "period.signed_off",
        f"period {period} was signed off by {signed_by} and its breaks are frozen; the next run takes them on, or an admin "
        "reopens the period",
    )
