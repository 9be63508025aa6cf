"""Fault switches for a sandbox server: what may go wrong, how often, and whose turn it is, the same for the same seed.

The switches are data (`FaultPlan`); `Faults` decides request by request and counts what was injected;
fault_middleware.py carries it out on the wire, webhooks.py on outgoing events.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAXIMUM_SECONDS = 600.0
Seconds = Annotated[float, Field(ge=0, le=MAXIMUM_SECONDS)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Switch(_Settings):
    """When a fault strikes: by chance (`rate`), at every nth request (`every`), at most `limit` times, under one path."""

    rate: float = Field(default=0.0, ge=0, le=1)
    """Share of the requests it strikes, by seeded chance."""
    every: int | None = Field(default=None, ge=1, le=1_000_000)
    """Strikes each nth request instead of by chance."""
    limit: int | None = Field(default=None, ge=0, le=1_000_000_000)
    """Strikes at most so often; none: as long as it is switched on."""
    path_prefix: str = Field(default="/v1", pattern="^/", max_length=200)
    """Only requests whose path begins so. `/v1` is a server's business; the switches themselves are never struck."""

    @property
    def on(self) -> bool:
        """Whether it can strike at all."""
        return self.rate > 0 or self.every is not None


class Latency(Switch):
    """The answer comes later: a fixed time and up to `jitter_ms` more, before the work is done."""

    rate: float = Field(default=1.0, ge=0, le=1)
    fixed_ms: float = Field(default=0, ge=0, le=MAXIMUM_SECONDS * 1_000)
    jitter_ms: float = Field(default=0, ge=0, le=MAXIMUM_SECONDS * 1_000)

    @property
    def on(self) -> bool:
        """Whether it can strike at all."""
        return self.fixed_ms + self.jitter_ms > 0 and super().on


class Errors(Switch):
    """An error status before any work is done."""

    status: int = Field(default=500, ge=400, le=599)


class Throttles(Switch):
    """429 with Retry-After, before any work is done."""

    retry_after_seconds: int = Field(default=1, ge=0, le=3_600)


class LateAnswers(Switch):
    """The work is done, but its answer comes `seconds` late: with a shorter client timeout, never."""

    seconds: Seconds = 30.0


class SlowDrip(Switch):
    """The work is done and the answer drips out over `seconds`, a few bytes at a time."""

    seconds: Seconds = 5.0


class OutageMode(StrEnum):
    """How an outage shows: an answer 503, or nobody listening at the port."""

    UNAVAILABLE = "unavailable"
    REFUSED = "refused"


class Outage(_Settings):
    """One window in which the server is away, counted from the moment the plan was put."""

    after_seconds: Seconds = 0.0
    for_seconds: Seconds
    mode: OutageMode = OutageMode.UNAVAILABLE
    """`refused` also takes the switches away until the window is over."""


class EventSwitch(_Settings):
    """Which outgoing events a fault strikes: by chance, or each nth; at most `limit` of them."""

    rate: float = Field(default=0.0, ge=0, le=1)
    every: int | None = Field(default=None, ge=1, le=1_000_000)
    limit: int | None = Field(default=None, ge=0, le=1_000_000_000)

    @property
    def on(self) -> bool:
        """Whether it can strike at all."""
        return self.rate > 0 or self.every is not None


class Duplicates(EventSwitch):
    """The event is sent again `copies` times, each `gap_seconds` after the one before, with the same id."""

    gap_seconds: Seconds = 0.1
    copies: int = Field(default=1, ge=1, le=10)


class Reordering(EventSwitch):
    """The event is held back for `hold_seconds`, so that later ones overtake it."""

    hold_seconds: Seconds = 1.0


class FaultPlan(_Settings):
    """All switches of one server. Everything is off by default: `{}` heals it."""

    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    latency: Latency = Latency()
    errors: Errors = Errors()
    throttles: Throttles = Throttles()
    late_answers: LateAnswers = LateAnswers()
    drops: Switch = Switch()
    """The work is done, then the connection is cut without an answer."""
    garbage: Switch = Switch()
    """The work is done and answered with 200 and bytes that are no JSON."""
    half_answers: Switch = Switch()
    """The work is done, then the connection is cut in the middle of the answer."""
    slow_drip: SlowDrip = SlowDrip()
    outages: Annotated[tuple[Outage, ...], Field(max_length=100)] = ()
    duplicates: Duplicates = Duplicates()
    reordering: Reordering = Reordering()


class FaultReport(_Settings):
    """The plan in force, how long it has been, and what it has done so far."""

    plan: FaultPlan
    seconds_in_force: float
    requests: int
    """Requests seen since the plan was put, without those to the switches."""
    events: int
    """Outgoing events seen since the plan was put."""
    injected: dict[str, int]
    """How often each fault struck."""


class Faults:
    """The switches of one server: holds the plan, throws the dice, counts. Times are seconds of `clock`."""

    def __init__(self, plan: FaultPlan | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.put(plan or FaultPlan())

    def put(self, plan: FaultPlan) -> None:
        """Put a plan in force; its windows, chances and counts begin anew."""
        self.plan = plan
        self._since = self._clock()
        self._requests = 0
        self._events = 0
        self._injected: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        # A generator a switch: turning one on does not change whom the others strike.
        self._dice = {name: random.Random(f"{plan.seed}:{name}") for name in FaultPlan.model_fields}  # noqa: S311 - no secret

    def report(self) -> FaultReport:
        """What is in force and what was injected."""
        return FaultReport(
            plan=self.plan,
            seconds_in_force=round(self._clock() - self._since, 3),
            requests=self._requests,
            events=self._events,
            injected=dict(self._injected),
        )

    @property
    def idle(self) -> bool:
        """True when no request can be struck, so that the middleware can stay out of the way."""
        plan = self.plan
        return not plan.outages and not any(
            each.on
            for each in (
                plan.latency,
                plan.errors,
                plan.throttles,
                plan.late_answers,
                plan.drops,
                plan.garbage,
                plan.half_answers,
                plan.slow_drip,
            )
        )

    def count_request(self) -> None:
        """Note that a request came in."""
        self._requests += 1

    def outage(self) -> OutageMode | None:
        """How the server is away at this moment, if it is."""
        now = self._clock() - self._since
        for window in self.plan.outages:
            if window.after_seconds <= now < window.after_seconds + window.for_seconds:
                return window.mode
        return None

    def outage_ends_in(self) -> float:
        """Seconds until the window that is open now ends; 0 when none is."""
        now = self._clock() - self._since
        ends = [each.after_seconds + each.for_seconds for each in self.plan.outages if each.after_seconds <= now]
        return max([end - now for end in ends if end > now], default=0.0)

    def count(self, name: str) -> None:
        """Note that a fault was injected which no switch was asked for, such as an outage's answer."""
        self._injected[name] += 1

    def strikes(self, name: str, switch: Switch, path: str) -> bool:
        """Whether this switch strikes a request to `path`; counts it when it does."""
        return switch.on and path.startswith(switch.path_prefix) and self._turn(name, switch)

    def delay_seconds(self) -> float:
        """How long the latency switch holds this request."""
        latency = self.plan.latency
        return (latency.fixed_ms + self._dice["latency"].uniform(0, latency.jitter_ms)) / 1_000

    def event_delays(self) -> list[float]:
        """When an outgoing event is sent, in seconds from now: [0] as it should be, an entry more for each duplicate."""
        self._events += 1
        plan = self.plan
        held = plan.reordering.on and self._turn("reordering", plan.reordering)
        first = plan.reordering.hold_seconds if held else 0.0
        if plan.duplicates.on and self._turn("duplicates", plan.duplicates):
            gap = plan.duplicates.gap_seconds
            return [first + gap * copy for copy in range(plan.duplicates.copies + 1)]
        return [first]

    def _turn(self, name: str, switch: Switch | EventSwitch) -> bool:
        self._seen[name] += 1
        by_chance = self._dice[name].random() < switch.rate
        struck = by_chance if switch.every is None else self._seen[name] % switch.every == 0
        if not struck or (switch.limit is not None and self._injected[name] >= switch.limit):
            return False
        self._injected[name] += 1
        return True
