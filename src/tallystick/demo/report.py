"""What the demo tells at its end: tables for a person, one JSON object for a program, and whether the promises held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tallystick.demo.driving import Submissions
from tallystick.demo.surroundings import Injected
from tallystick.demo.tie_out import Step, TieOut
from tallystick.demo.trade import CURRENCY
from tallystick.documents.money import format_minor

_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that came out."""

    erp: str
    erp_title: str
    submissions: Submissions
    injected: Injected
    worked: dict[str, int]
    open_exceptions: Sequence[dict[str, Any]]
    dead_letters: int
    committed: int
    held: int
    rejected: int
    result: TieOut
    duplicates: Sequence[tuple[str, str]]
    seconds: float

    @property
    def held_what_was_promised(self) -> bool:
        """Nothing unexplained, nothing twice, no repetition mistaken for a new order."""
        return not (self.result.unexplained or self.duplicates or self.submissions.mistaken)

    def summary(self) -> dict[str, Any]:
        """The last line of stdout."""
        result = self.result
        return {
            "erp": self.erp,
            "orders_submitted": len(self.submissions.transactions),
            "committed": self.committed,
            "held": self.held,
            "rejected": self.rejected,
            "invoices": result.invoices,
            "payments": result.payments,
            "sales_total": _money(result.promised),
            "invoiced_total": _money(result.invoiced),
            "paid_total": _money(result.paid),
            "explained_difference": _money(result.explained(Step.INVOICED)),
            "unexplained_difference": _money(result.unexplained),
            "open_receivables": _money(result.explained(Step.PAID)),
            "duplicates_in_erp": len(self.duplicates),
            "exceptions_open": len(self.open_exceptions),
            "dead_letters": self.dead_letters,
            "faults_injected": sum(self.injected.counts.values()),
            "seconds": round(self.seconds, 1),
        }

    def print(self, console: Console) -> None:
        """The tables."""
        console.print(self._faults())
        if self.worked:
            done = ", ".join(f"{times} × {action}" for action, times in sorted(self.worked.items()))
            console.print(f"The clerk worked the queue: {done}.\n")
        if self.open_exceptions:
            console.print(self._queue())
        console.print(self._tie_out())
        for each in [each for each in self.result.differences if each.cause is None][:_MOST_SHOWN]:
            console.print(f"[red]unexplained[/red] {each.order_number}: {each.step}: {_money(each.amount)} {CURRENCY}")
        for kind, reference in self.duplicates[:_MOST_SHOWN]:
            console.print(f"[red]twice in the ERP[/red] {kind} {reference}")
        for number in self.submissions.mistaken[:_MOST_SHOWN]:
            console.print(f"[red]a repetition became another transaction[/red] {number}")

    def _faults(self) -> Table:
        table = Table("What went wrong on the way", "times", title_justify="left")
        table.columns[1].justify = "right"
        for what, times in sorted(self.injected.counts.items()):
            table.add_row(what, str(times))
        return table

    def _queue(self) -> Table:
        table = Table("Still in the work queue", f"at risk, {CURRENCY}")
        table.columns[1].justify = "right"
        for each in self.open_exceptions[:_MOST_SHOWN]:
            table.add_row(str(each["summary"])[:110], _money(int(each["money_at_risk"])))
        if len(self.open_exceptions) > _MOST_SHOWN:
            table.add_row(f"and {len(self.open_exceptions) - _MOST_SHOWN} more", "")
        return table

    def _tie_out(self) -> Table:
        result = self.result
        table = Table("Tie-out of sales against the ERP's books", "root cause", "orders", CURRENCY)
        table.columns[2].justify = table.columns[3].justify = "right"
        table.add_row("promised by sales", "", str(len(self.submissions.transactions)), _money(result.promised))
        for cause, root, orders, amount in result.by_cause(Step.INVOICED):
            table.add_row(f"  {_sign(amount)} {cause}", root, str(orders), _money(-amount))
        table.add_row(f"invoiced by {self.erp_title}", "", "", _money(result.invoiced), style="bold")
        for cause, root, orders, amount in result.by_cause(Step.PAID):
            table.add_row(f"  {_sign(amount)} {cause}", root, str(orders), _money(-amount))
        table.add_row(f"paid in {self.erp_title}", "", "", _money(result.paid), style="bold")
        style = "red" if result.unexplained else "green"
        table.add_row("unexplained, at any step", "", "", _money(result.unexplained), style=style)
        table.add_row(
            "held twice by the ERP", "", str(len(self.duplicates)), "", style="red" if self.duplicates else "green"
        )
        return table


def _sign(amount: int) -> str:
    return "less" if amount > 0 else "plus"


def _money(amount: int) -> str:
    return format_minor(amount, CURRENCY)
