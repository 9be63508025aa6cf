"""What the routes of one server work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from tallystick.api.batching import Batcher
from tallystick.api.limits import RateLimiter
from tallystick.control.keys import Authenticator
from tallystick.control.metrics import Metrics
from tallystick.stages.flow import Flow
from tallystick.stages.intake import Intake


@dataclass(slots=True)
class Context:
    """One server's parts."""

    flow: Flow
    intake: Intake = field(init=False)
    batcher: Batcher = field(init=False)
    authenticator: Authenticator = field(init=False)
    limiter: RateLimiter = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.intake = Intake(self.flow)
        self.batcher = Batcher(self.intake)
        self.metrics = Metrics(self.flow.pool)
        self.authenticator = Authenticator(self.flow.pool)
        self.limiter = RateLimiter(self.flow.settings.server.requests_per_second)


def context_of(request: Request) -> Context:
    """The server's context."""
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(context_of)]
