"""For machines that watch us: liveness, readiness, metrics. They need no key and tell nothing of the business's content."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from tallystick.api.context import InContext
from tallystick.control.metrics import METRICS_TYPE, render_metrics

router = APIRouter(tags=["operations"])


@router.get("/health/live", summary="Is the process alive?")
async def live() -> dict[str, str]:
    """Always, when it answers."""
    return {"status": "alive"}


@router.get("/health/ready", summary="Can it take orders?")
async def ready(context: InContext) -> Response:
    """Whether the database answers."""
    try:
        async with asyncio.timeout(2):
            await context.flow.pool.fetchval("select 1 from transactions limit 1")
    except Exception as error:  # whatever it is, we can't take orders now
        body = {"status": "not ready", "database": type(error).__name__}
        return Response(orjson.dumps(body), 503, {"Retry-After": "5"}, "application/json")
    return Response(orjson.dumps({"status": "ready"}), 200, media_type="application/json")


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(context: InContext) -> Response:
    """Queue depths, exceptions, transactions by state, and the process's own."""
    return Response(await render_metrics(context.flow.pool), media_type=METRICS_TYPE)
