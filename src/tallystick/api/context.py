"""What the routes work with, and how a request becomes a principal with a permission."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from tallystick.api.batching import Batcher
from tallystick.api.limits import RateLimiter
from tallystick.api.problems import Problem
from tallystick.control.access import Principal, may
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


async def identify(request: Request) -> Principal:
    """The principal of the request's bearer key, within its rate. Raises 401 or 429 problems."""
    context = context_of(request)
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    principal = await context.authenticator.authenticate(secret.strip()) if scheme.lower() == "bearer" else None
    if principal is None:
        raise Problem(
            401,
            "authentication.failed",
            "send a valid API key as 'Authorization: Bearer tsk_…'; this one is missing, unknown, expired or revoked",
            headers={"WWW-Authenticate": 'Bearer realm="tallystick"'},
        )
    context.limiter.check(principal.name)
    return principal


def authorise(principal: Principal, permission: str, entity: str | None = None) -> None:
    """Raise a 403 problem unless the principal may do this (for this entity)."""
    if not may(principal, permission, entity):
        where = f" for entity {entity!r}" if entity else ""
        detail = f"{principal.name} lacks the permission {permission!r}{where}; ask an admin"
        raise Problem(403, "permission.denied", detail, extra={"permission": permission})


def allowed(permission: str) -> Any:
    """A route's dependency: its principal, who has this permission. The permission shows in the route table."""

    async def principal_with_permission(request: Request) -> Principal:
        principal = await identify(request)
        authorise(principal, permission)
        return principal

    principal_with_permission.permission = permission  # type: ignore[attr-defined]  # read by the test of the route table
    return Depends(principal_with_permission)


BEARER = HTTPBearer(auto_error=False, description="An API key: tsk_…", scheme_name="apiKey")
InContext = Annotated[Context, Depends(context_of)]
