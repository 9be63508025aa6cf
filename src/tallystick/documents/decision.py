"""What a check says of an order: accept, hold or reject, each with reasons a machine can read and the two values that differ."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tallystick.documents.values import Document


class Decision(StrEnum):
    """Ordered by gravity: the gravest decision of any check is the order's."""

    ACCEPT = "accept"
    HOLD = "hold"
    REJECT = "reject"

    @property
    def gravity(self) -> int:
        """0 accept, 1 hold, 2 reject."""
        return ("accept", "hold", "reject").index(self.value)


class Reason(Document):
    """Why an order is held or rejected: a stable code, where in the order, and the two values that differ."""

    check: str
    """The check that says so: customer, price, tax, inventory or credit."""
    code: str
    """Stable and dotted, such as `price.above_contract` or `credit.over_limit`."""
    message: str
    """One sentence for a person: what differs and what to do next."""
    decision: Decision
    path: str | None = None
    """Where in the order, such as `lines[3].unit_price`."""
    order_value: str | None = None
    """What the order says."""
    system_value: str | None = None
    """What the system of record says."""
    money_at_risk: Annotated[int, Field(ge=0)] = 0
    """What is wrong or uncertain, in minor units of the order's currency."""


class CheckResult(Document):
    """One check's answer for one order, with where its facts came from."""

    check: str
    decision: Decision
    reasons: tuple[Reason, ...] = ()
    source: str = "none"
    """`live`, `replica` or `none` when the check needed no facts or could not get any."""
    facts_age_seconds: float | None = None
    duration_ms: float = 0.0
    tax_amount: int | None = None
    """Only the tax check: the tax service's amount in minor units."""
    warehouse: str | None = None
    """Only the inventory check: where lines that name no warehouse are promised."""


def gravest(results: tuple[CheckResult, ...] | list[CheckResult]) -> Decision:
    """The order's decision: the gravest of its checks', accept when there is none."""
    return max((result.decision for result in results), key=lambda each: each.gravity, default=Decision.ACCEPT)
