"""Who asks, and whether they may: before anything else of a request is looked at, and denied unless a permission is named."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from tallystick.api.context import context_of
from tallystick.api.limits import BATCH_PATH, check_values
from tallystick.api.problems import Problem
from tallystick.api.requests import check_json, check_parameters
from tallystick.control.access import ALL_PERMISSIONS, Principal, may

BEARER = HTTPBearer(auto_error=False, description="An API key: tsk_…", scheme_name="apiKey")


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


async def admit(request: Request, permission: str) -> Principal:
    """The request's principal, who has the permission. Raises 401, 403 or 429 problems."""
    principal = await identify(request)
    authorise(principal, permission)
    return principal


def allowed(permission: str) -> Any:
    """A guarded route's principal, who has this permission. Raises LookupError for a permission that there is not."""
    if permission not in ALL_PERMISSIONS:
        raise LookupError(f"{permission!r} is not a permission; add it to control/access.py")

    def admitted(request: Request) -> Principal:
        principal: Principal = request.state.principal
        return principal

    admitted.permission = permission  # type: ignore[attr-defined]  # GuardedRoute reads it
    return Depends(admitted)


class GuardedRoute(APIRoute):
    """A route that admits its caller before it reads the body. One that names no permission by `allowed` can't be made."""

    @property
    def permission(self) -> str:
        """The permission that the route asks for."""
        named = [getattr(each.call, "permission", None) for each in self.dependant.dependencies]
        found: list[str] = [each for each in named if each]
        if len(found) != 1:
            raise LookupError(f"{self.path}: name its permission: principal: Principal = allowed('resource.action')")
        return found[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette's; but what follows a colon names an action with an address of its own, and is never part of an id."""
        if ":" in scope["path"].rpartition("/")[2] and ":" not in self.path.rpartition("/")[2]:
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the guard."""
        handle = super().get_route_handler()
        permission = self.permission
        parameters = {each.alias for each in self.dependant.query_params}
        self.openapi_extra = {**(self.openapi_extra or {}), "x-permission": permission}

        async def guarded(request: Request) -> Response:
            request.state.principal = await admit(request, permission)
            check_parameters(request, parameters)
            if request.url.path != BATCH_PATH and (body := await request.body()):
                check_json(request)
                check_values(body)
            return await handle(request)

        return guarded


def guarded_router(tag: str) -> APIRouter:
    """A router whose every route is guarded and shows so in the description."""
    return APIRouter(tags=[tag], route_class=GuardedRoute, dependencies=[Depends(BEARER)])
