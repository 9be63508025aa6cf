"""For machines that watch us: liveness, readiness, metrics. They need no key; metrics tell sums, so a proxy keeps them inside."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.context import InContext
from tallystick.control.health import check_readiness
from tallystick.control.metrics import METRICS_TYPE

router = APIRouter(tags=["operations"])


@router.get("/health/live", summary="Is the process alive?")
async def live() -> dict[str, str]:
    """Always, when it answers."""
    return {"status": "alive"}


@router.get("/health/ready", summary="Can it take orders?")
async def ready(context: InContext) -> Response:
    """Whether the database answers and its schema is not older than this version needs."""
    found = await check_readiness(context.flow.pool)
    body = {"status": "ready" if found.ready else "not ready", "database": found.database, "schema": found.schema}
    return json_response(body) if found.ready else json_response(body, 503, headers={"Retry-After": "5"})


@router.get("/metrics", summary="Prometheus metrics")
async def show_metrics(context: InContext) -> Response:
    """Requests, answers, queue depths, exceptions, systems, and the process's own."""
    return Response(await context.metrics.render(), media_type=METRICS_TYPE)
