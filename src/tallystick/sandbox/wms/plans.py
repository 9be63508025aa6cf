"""How the simulated warehouse ships an order: by an explicit plan, else by seeded chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tallystick.documents.values import Day, Fraction, Identifier, Quantity
from tallystick.sandbox.choice import choose, dice

Delay = Annotated[float, Field(ge=0, le=86_400)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ShippingKind(StrEnum):
    """What the warehouse does with an order."""

    COMPLETE = "complete"
    PARTIAL_THEN_REST = "partial_then_rest"
    TWO_PARCELS = "two_parcels"
    """One shipment in two parcels."""
    TWO_SHIPMENTS = "two_shipments"
    """Half of the lines in one shipment, the others in a second one."""
    PARTIAL_FINAL = "partial_final"
    """A part now, and the rest never."""
    NOTHING = "nothing"
    """It takes the request and never ships."""


class Plan(_Settings):
    """One order's way out of the warehouse."""

    kind: ShippingKind = ShippingKind.COMPLETE
    fraction: Fraction = Decimal("0.5")
    """Share of each line in the first shipment of a partial one, rounded down to whole units."""
    delay_seconds: Delay = 0.05
    rest_delay_seconds: Delay = 0.5
    """From the first shipment to the second."""


class Simulation(_Settings):
    """What happens to orders without a plan of their own."""

    weights: dict[ShippingKind, Annotated[float, Field(ge=0)]] = Field(
        default_factory=lambda: {ShippingKind.COMPLETE: 1.0}
    )
    """How likely each way is, in any unit: {"complete": 8, "partial_then_rest": 2}."""
    fraction: Fraction = Decimal("0.5")
    delay_seconds: Delay = 0.05
    delay_jitter_seconds: Delay = 0.0
    rest_delay_seconds: Delay = 0.5

    @model_validator(mode="after")
    def _something_can_happen(self) -> Simulation:
        if not sum(self.weights.values()) > 0:
            raise ValueError("weights: at least one must be above 0")
        return self

    def plan(self, seed: int, order_number: str) -> Plan:
        """The plan of an order; the same seed and order number always give the same."""
        generator = dice(seed, "wms", order_number)
        return Plan(
            kind=choose(generator, self.weights),
            fraction=self.fraction,
            delay_seconds=self.delay_seconds + generator.uniform(0, self.delay_jitter_seconds),
            rest_delay_seconds=self.rest_delay_seconds,
        )


class Line(_Settings):
    """A quantity of one order line that is to leave the warehouse."""

    line_number: int = Field(ge=1)
    product_id: Identifier
    quantity: Quantity
    warehouse: Identifier | None = None
    requested_delivery: Day | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One shipment that the plan makes: how many seconds after the request, with what."""

    after_seconds: float
    lines: tuple[Line, ...]
    parcels: int
    final: bool


def steps(plan: Plan, lines: Sequence[Line]) -> tuple[Step, ...]:
    """The shipments of a plan for these lines. What cannot be divided leaves in one shipment."""
    kind, now, later = plan.kind, plan.delay_seconds, plan.delay_seconds + plan.rest_delay_seconds
    if kind is ShippingKind.NOTHING:
        return ()
    if kind is ShippingKind.TWO_PARCELS:
        return (Step(now, tuple(lines), 2, final=True),)
    if kind is ShippingKind.COMPLETE:
        return (Step(now, tuple(lines), 1, final=True),)
    if kind is ShippingKind.TWO_SHIPMENTS and len(lines) > 1:
        middle = len(lines) // 2
        first, rest = list(lines[:middle]), list(lines[middle:])
    else:
        first, rest = _divide(lines, plan.fraction)
    if not rest:
        return (Step(now, tuple(first), 1, final=True),)
    if kind is ShippingKind.PARTIAL_FINAL:
        return (Step(now, tuple(first), 1, final=True),)
    return (Step(now, tuple(first), 1, final=False), Step(later, tuple(rest), 1, final=True))


def _divide(lines: Sequence[Line], fraction: Decimal) -> tuple[list[Line], list[Line]]:
    """A share of each line, and the rest; at least one line must go first, or nothing would leave at all."""
    first: list[Line] = []
    rest: list[Line] = []
    for line in lines:
        whole = line.quantity == line.quantity.to_integral_value()
        part = (line.quantity * fraction).quantize(Decimal(1) if whole else Decimal("0.0001"), rounding=ROUND_FLOOR)
        if part > 0:
            first.append(line.model_copy(update={"quantity": part}))
        if part < line.quantity:
            rest.append(line.model_copy(update={"quantity": line.quantity - part}))
    if not first:
        first, rest = rest[:1], rest[1:]
    return first, rest
