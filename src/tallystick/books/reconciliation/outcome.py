"""What a reconciliation came to: counts and money that add up, and whether the limits hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tallystick.books.reconciliation.rules import Rules
from tallystick.books.reconciliation.settling import Agreed
from tallystick.documents.money import MINOR_DIGITS, format_minor


@dataclass(frozen=True, slots=True)
class Looked:
    """What one rule did with a record."""

    rule: str
    candidates: tuple[dict[str, Any], ...]
    """The two keys, the two amounts in minor units, and for each condition whether it held."""
    said: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The story of one key."""

    key: str
    rows: tuple[dict[str, Any], ...]
    """The rows of either side that have the key."""
    rules: tuple[Looked, ...]
    end: tuple[str, ...]
    """What became of the rows, a line each."""


class NotConserved(Exception):
    """Rows got lost or were counted twice: a mistake of ours, and nothing of the result can be trusted."""


@dataclass(frozen=True, slots=True)
class SideCount:
    """Where one side's rows went."""

    name: str
    location: str
    rows_in: int
    left_out: int
    """By the filters of the rules."""
    quarantined: int
    matched: int
    broken: int

    def check(self) -> None:
        """Raises NotConserved when the rows that came in are not those that are accounted for."""
        accounted = self.left_out + self.quarantined + self.matched + self.broken
        if accounted != self.rows_in:
            raise NotConserved(
                f"{self.name}: {self.rows_in} rows came in, and {accounted} are accounted for "
                f"({self.matched} matched, {self.broken} broken, {self.quarantined} quarantined, {self.left_out} left out)"
            )


@dataclass(frozen=True, slots=True)
class Tally:
    """Breaks of one kind in one currency."""

    name: str
    kind: str | None
    currency: str | None
    breaks: int
    money_at_risk: int
    """In minor units."""
    amount_difference: int
    """The sum of left less right where both are known, in minor units."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run."""

    rules: Rules
    left: SideCount
    right: SideCount
    agreed: tuple[Agreed, ...]
    classes: tuple[Tally, ...]
    causes: tuple[Tally, ...]
    quarantine_reasons: dict[str, int]
    largest: tuple[dict[str, Any], ...]
    seconds: dict[str, float]
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    explanation: Explanation | None = None

    @property
    def breaks(self) -> int:
        """How many breaks there are."""
        return sum(each.breaks for each in self.classes)

    @property
    def at_risk(self) -> dict[str, int]:
        """Money at risk by currency, in minor units."""
        whole: dict[str, int] = {}
        for each in self.classes:
            if each.currency is not None:
                whole[each.currency] = whole.get(each.currency, 0) + each.money_at_risk
        return whole

    def passed_limits(self) -> list[str]:
        """The limits of the rules that do not hold, each in words."""
        limits, found = self.rules.limits, list[str]()
        rows = self.left.rows_in + self.right.rows_in
        if limits.breaks is not None and self.breaks > limits.breaks:
            found.append(f"{self.breaks} breaks are more than {limits.breaks}")
        if limits.breaks_percent is not None and 100 * self.breaks > limits.breaks_percent * rows:
            found.append(f"{self.breaks} breaks are more than {limits.breaks_percent} percent of {rows} rows")
        quarantined = self.left.quarantined + self.right.quarantined
        if limits.quarantined is not None and quarantined > limits.quarantined:
            found.append(f"{quarantined} rows in quarantine are more than {limits.quarantined}")
        if limits.money_at_risk is not None:
            found += [
                f"{format_minor(amount, code)} {code} at risk is more than {limits.money_at_risk}"
                for code, amount in self.at_risk.items()
                if amount > limits.money_at_risk.scaleb(MINOR_DIGITS[code])
            ]
        unexplained = sum(each.breaks for each in self.causes if each.kind is None)
        if limits.unexplained is not None and unexplained > limits.unexplained:
            found.append(f"{unexplained} breaks without a root cause are more than {limits.unexplained}")
        return found

    def summary(self) -> dict[str, Any]:
        """The result as plain data for programs; amounts in minor units."""
        names = [each.name for each in self.rules.matches]
        return {
            "reconciliation": self.rules.name,
            "rules_version": self.rules.version,
            "sides": {"left": asdict(self.left), "right": asdict(self.right)},
            "matched": [{**asdict(each), "rule": names[each.rule]} for each in self.agreed],
            "breaks": self.breaks,
            "money_at_risk": self.at_risk,
            "classes": [asdict(each) for each in self.classes],
            "causes": [asdict(each) for each in self.causes],
            "quarantine": self.quarantine_reasons,
            "largest": list(self.largest),
            "limits_passed": self.passed_limits(),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "files": [str(each) for each in self.files],
            "notes": list(self.notes),
            **({"explanation": asdict(self.explanation)} if self.explanation else {}),
        }


def tallies(rows: Sequence[dict[str, Any]], name: str, kind: str | None = None) -> tuple[Tally, ...]:
    """Counted rows of the engine as tallies, the most money first."""
    found = [
        Tally(
            row[name] or "unexplained",
            row[kind] if kind else None,
            row["currency"],
            int(row["breaks"]),
            int(row["money_at_risk"] or 0),
            int(row["amount_difference"] or 0),
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda each: (-each.money_at_risk, each.name, each.currency or "")))


def plain(value: Any) -> Any:
    """A value of the engine as JSON has it: decimals and dates as text."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)
