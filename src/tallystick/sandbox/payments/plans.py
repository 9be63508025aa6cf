"""How the simulated customers pay: by an explicit plan for an invoice or order, else by seeded chance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tallystick.documents.money import MAXIMUM_MINOR
from tallystick.documents.payment import PaymentMethod
from tallystick.documents.values import Fraction
from tallystick.sandbox.choice import choose, dice

Delay = Annotated[float, Field(ge=0, le=86_400)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PayingKind(StrEnum):
    """What the customer does with an invoice."""

    FULL = "full"
    SHORT = "short"
    OVER = "over"
    LATE = "late"
    """In full, but `late_seconds` after the others would."""
    TWO_PARTS = "two_parts"
    NEVER = "never"


class Plan(_Settings):
    """One invoice's way to be paid."""

    kind: PayingKind = PayingKind.FULL
    fraction: Fraction = Decimal("0.1")
    """How much a short payment is short of, and an overpayment over, the invoice's total."""
    difference: int | None = Field(default=None, strict=True, gt=0, le=MAXIMUM_MINOR)
    """The same as an amount in minor units; it goes before `fraction`."""
    delay_seconds: Delay = 0.05
    late_seconds: Delay = 2.0
    """How late a late payment is, and the second part of two."""
    method: PaymentMethod = PaymentMethod.TRANSFER


class Simulation(_Settings):
    """What happens to invoices without a plan of their own."""

    weights: dict[PayingKind, Annotated[float, Field(ge=0)]] = Field(default_factory=lambda: {PayingKind.FULL: 1.0})
    """How likely each way is, in any unit: {"full": 8, "short": 1, "late": 1}."""
    fraction: Fraction = Decimal("0.1")
    delay_seconds: Delay = 0.05
    delay_jitter_seconds: Delay = 0.0
    late_seconds: Delay = 2.0

    @model_validator(mode="after")
    def _something_can_happen(self) -> Simulation:
        if not sum(self.weights.values()) > 0:
            raise ValueError("weights: at least one must be above 0")
        return self

    def plan(self, seed: int, order_number: str, invoice_of_order: int) -> Plan:
        """The plan of an order's nth invoice; invoice numbers may differ between two runs, so they do not decide."""
        generator = dice(seed, "payments", order_number, str(invoice_of_order))
        return Plan(
            kind=choose(generator, self.weights),
            fraction=self.fraction,
            delay_seconds=self.delay_seconds + generator.uniform(0, self.delay_jitter_seconds),
            late_seconds=self.late_seconds,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One payment that the plan makes: how many seconds after the request, how much in minor units."""

    after_seconds: float
    amount: int


def parts(plan: Plan, total_amount: int) -> tuple[Part, ...]:
    """The payments of a plan for an invoice of this total; nothing is paid on nothing."""
    now, later = plan.delay_seconds, plan.delay_seconds + plan.late_seconds
    share = (total_amount * plan.fraction).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    difference = plan.difference if plan.difference is not None else int(share)
    half = total_amount // 2
    planned = {
        PayingKind.FULL: (Part(now, total_amount),),
        PayingKind.SHORT: (Part(now, total_amount - difference),),
        PayingKind.OVER: (Part(now, total_amount + difference),),
        PayingKind.LATE: (Part(later, total_amount),),
        PayingKind.TWO_PARTS: (Part(now, half), Part(later, total_amount - half)),
        PayingKind.NEVER: (),
    }[plan.kind]
    return tuple(part for part in planned if part.amount > 0) if total_amount > 0 else ()
