"""For machines that watch: alive, ready or why not, metrics that count what happened, HEAD, and traces that go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from fastapi import Request
from opentelemetry.propagate import inject
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, held_order, order, serve

from tallystick.store.embedded import with_database
from tallystick.store.migrate import known_revisions

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_process_is_alive_and_ready_while_its_database_answers(served: Served) -> None:
    async with served.acting_as() as anybody:
        live, ready = await anybody.get("/health/live"), await anybody.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "database": "ok", "schema": "current"})


@pytest.fixture
async def shaken(make_database: MakeDatabase) -> AsyncIterator[tuple[Served, str]]:
    """An installation of its own, for a test that harms its database, and the database's URL."""
    async with make_database() as url, serve(url) as installation:
        yield installation, url


async def test_schema_that_is_behind_or_missing_is_not_ready_and_says_so(shaken: tuple[Served, str]) -> None:
    served, _ = shaken
    older = known_revisions()[-2]
    async with served.acting_as() as anybody:

        async def ready() -> tuple[int, str, str | None]:
            answer = await anybody.get("/health/ready")
            return answer.status_code, answer.json()["schema"], answer.headers.get("retry-after")

        await served.pool.execute("update alembic_version set version_num = $1", older)
        assert await ready() == (503, "older", "5")
        await served.pool.execute("update alembic_version set version_num = 'from_the_future'")
        assert await ready() == (200, "newer", None)
        await served.pool.execute("drop table alembic_version")
        assert await ready() == (503, "missing", "5")


async def test_database_that_is_gone_is_told_and_its_return_noticed(shaken: tuple[Served, str]) -> None:
    served, url = shaken
    name: str = await served.pool.fetchval("select current_database()")
    keyed = {"Idempotency-Key": "while it was away"}
    mine = order()
    control = await asyncpg.connect(with_database(url, "postgres"))
    async with served.acting_as() as anybody, served.acting_as("east_sales", **keyed) as sales:
        assert (await sales.get("/v1/transactions")).status_code == 200  # its key is known now
        await control.execute(f"alter database {name} with allow_connections false")
        await control.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        ready = await anybody.get("/health/ready")
        live = await anybody.get("/health/live")
        refused = await sales.post("/v1/orders", json=mine)
        metrics = await anybody.get("/metrics")
        await control.execute(f"alter database {name} with allow_connections true")
        async with asyncio.timeout(10):
            while (await anybody.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - it is asked from outside
                await asyncio.sleep(0.05)
        taken = await sales.post("/v1/orders", json=mine)
        again = await sales.post("/v1/orders", json=mine)
    await control.close()
    assert (ready.status_code, ready.json()) == (
        503,
        {"status": "not ready", "database": "no answer", "schema": "unknown"},
    )
    assert live.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (503, "database.unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert (metrics.status_code, "tallystick_database_up 0.0" in metrics.text) == (200, True)
    assert (taken.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert await served.pool.fetchval("select count(*) from transactions") == 1


def value(text: str, series: str) -> float:
    """A series' value in Prometheus text; 0 where it is not there."""
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{series} ")), 0.0)


async def test_metrics_count_answers_by_operation_and_never_by_path(served: Served) -> None:
    accept = 'tallystick_orders_total{answer="accept"}'
    posted = 'tallystick_http_request_seconds_count{method="POST",operation="orders.create_order",status="201"}'
    async with served.acting_as() as anybody, served.acting_as("east_sales") as sales:
        before = (await anybody.get("/metrics")).text
        await sales.post("/v1/orders", json=order())
        await sales.post("/v1/orders", json=held_order())
        for number in range(5):
            await sales.get(f"/v1/no-such-thing/{number}")
        answer = await anybody.get("/metrics")
    after = answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert value(after, accept) - value(before, accept) == 1
    assert value(after, posted) - value(before, posted) == 2
    unknown = 'tallystick_http_request_seconds_count{method="GET",operation="none",status="404"}'
    assert value(after, unknown) - value(before, unknown) == 5
    assert "no-such-thing" not in after
    assert "tallystick_database_up 1.0" in after


async def test_head_is_answered_as_get_without_the_content(served: Served) -> None:
    async with served.acting_as("auditor") as auditor:
        for path in ("/health/live", "/health/ready", "/metrics", "/v1/transactions", "/v1/schemas/order"):
            got, head = await auditor.get(path), await auditor.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
        missing = await auditor.head("/v1/transactions/01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1")
        assert (missing.status_code, missing.content) == (404, b"")
    async with served.acting_as() as nobody:
        assert (await nobody.head("/v1/transactions")).status_code == 401


async def test_every_answer_says_that_it_is_not_to_be_kept_or_guessed_at(served: Served) -> None:
    async with served.acting_as("admin") as admin:
        for path in ("/health/live", "/v1/keys", "/v1/nothing", "/v1/transactions?limit=0"):
            answer = await admin.get(path)
            assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == (
                "no-store",
                "nosniff",
            )


@pytest.fixture
async def tracing(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """The application with one more address, which tells the headers that a call to a system would have now."""

    def told(_request: Request) -> dict[str, str]:
        headers: dict[str, str] = {}
        inject(headers)
        return headers

    served.app.add_api_route("/told", told, tags=["test"], include_in_schema=False)
    async with served.acting_as() as anybody:
        yield anybody
    served.app.router.routes.pop()


async def test_callers_trace_goes_on_to_the_systems_and_their_baggage_does_not(tracing: httpx.AsyncClient) -> None:
    sent = {"traceparent": TRACE, "tracestate": "shop=7", "baggage": "customer=secret"}
    assert (await tracing.get("/told", headers=sent)).json() == {"traceparent": TRACE, "tracestate": "shop=7"}


@pytest.mark.parametrize("header", ["", "00-0-0-01", TRACE.replace("0af", "xyz"), "ff" + TRACE[2:], TRACE * 50])
async def test_trace_that_is_none_is_left_alone(tracing: httpx.AsyncClient, header: str) -> None:
    answer = await tracing.get("/told", headers={"traceparent": header})
    assert (answer.status_code, answer.json()) == (200, {})
