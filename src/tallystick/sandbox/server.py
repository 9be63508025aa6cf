"""The frame every sandbox server stands in: sign-in, health, fault switches, problem documents."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException

from tallystick.sandbox.body_limit import BodyLimitMiddleware
from tallystick.sandbox.fault_middleware import CONTROL_PATH, FaultMiddleware
from tallystick.sandbox.faults import FaultPlan, FaultReport, Faults
from tallystick.sandbox.options import Options

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_bearer = HTTPBearer(auto_error=False, description="The server's token, shown when it starts")


def create_server(
    title: str, description: str, options: Options, faults: Faults, routers: Iterable[APIRouter], lifespan: Lifespan
) -> FastAPI:
    """A FastAPI app with `/health`, `/faults`, its OpenAPI page at `/docs`, and the system's own routers behind sign-in."""
    app = FastAPI(
        title=title,
        description=description,
        lifespan=lifespan,
        version="1",
        exception_handlers={
            RequestValidationError: _wrong_request,
            StarletteHTTPException: _refused,
        },
    )
    app.state.faults = faults
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(FaultMiddleware, faults=faults)

    @app.get("/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Whether the server answers; outage windows show here too."""
        return {"status": "ok", "name": options.name}

    signed_in = [Depends(_token_check(options))]
    app.include_router(_fault_routes(faults), dependencies=signed_in)
    for router in routers:
        app.include_router(router, dependencies=signed_in)
    return app


def problem(status: int, code: str, detail: str) -> HTTPException:
    """A whole call's refusal, to be raised; it is answered as a problem document."""
    return HTTPException(status, {"title": "Refused", "status": status, "code": code, "detail": detail})


def _token_check(options: Options) -> Callable[..., None]:
    expected = options.token.get_secret_value()

    def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        given = credentials.credentials if credentials else ""
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise HTTPException(
                401,
                {"title": "Not signed in", "status": 401, "code": "sandbox.token", "detail": "send the bearer token"},
                headers={"www-authenticate": "Bearer"},
            )

    return check


def _fault_routes(faults: Faults) -> APIRouter:
    router = APIRouter(tags=["faults"])

    @router.get(CONTROL_PATH)
    async def show_faults() -> FaultReport:
        """The switches in force and how often each struck."""
        return faults.report()

    @router.put(CONTROL_PATH)
    async def put_faults(plan: FaultPlan) -> FaultReport:
        """Replace all switches; windows, chances and counts begin anew. `{}` switches everything off."""
        faults.put(plan)
        return faults.report()

    return router


async def _wrong_request(_: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"])
    body = {"title": "Invalid request", "status": 422, "code": "sandbox.invalid", "detail": f"{where}: {first['msg']}"}
    return Response(orjson.dumps(body), 422, media_type="application/problem+json")


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    said: Any = error.detail
    body = said if isinstance(said, dict) else {"title": said, "status": error.status_code}
    return Response(orjson.dumps(body), error.status_code, dict(error.headers or {}), "application/problem+json")
