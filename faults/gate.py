"""Fault switches in front of a system that has none of its own, such as a real ERP: a proxy with the sandbox's switches.

`python -m faults.gate UPSTREAM` runs it; `Gate` starts it as a process and talks to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import orjson
from fastapi import FastAPI, Request, Response

from tallystick.demo.failure import DemoError
from tallystick.sandbox.fault_middleware import ABORT, CONTROL_PATH, FaultMiddleware
from tallystick.sandbox.faults import FaultPlan, FaultReport, Faults
from tallystick.sandbox.process import listen, serve

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
)
_LONGEST_SECONDS = 300.0


class Gate:
    """The proxy as a process of its own, on a free port."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    async def start(self) -> None:
        """Start it and learn where it listens. Raises DemoError."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
            [sys.executable, "-m", "faults.gate", self._upstream], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        told = await asyncio.to_thread(self._process.stdout.readline) if self._process.stdout else b""
        if not told:
            raise DemoError("the gate in front of the ERP did not start")
        self.url = orjson.loads(told)["url"]

    async def put_faults(self, plan: Mapping[str, Any]) -> None:
        """Put a plan in force. Raises httpx.HTTPError."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=10) as client:
            answer = await client.put(CONTROL_PATH, json=FaultPlan.model_validate(plan).model_dump(mode="json"))
        answer.raise_for_status()

    async def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()


def create_app(upstream: str) -> FastAPI:
    """The proxy: everything but the switches goes to `upstream`, whose silence is passed on as a cut connection."""
    faults = Faults()
    clients: list[httpx.AsyncClient] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=upstream, trust_env=False, timeout=_LONGEST_SECONDS) as client:
            clients.append(client)
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.faults = faults
    app.add_middleware(FaultMiddleware, faults=faults)

    @app.put(CONTROL_PATH)
    async def put_faults(plan: FaultPlan) -> FaultReport:
        faults.put(plan)
        return faults.report()

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def forward(request: Request, path: str) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in _HOP_BY_HOP]
        url = httpx.URL(path=request.url.path, query=request.url.query.encode())
        try:
            sent = clients[0].build_request(request.method, url, headers=headers, content=await request.body())
            answer = await clients[0].send(sent, stream=True)
            body = b"".join([piece async for piece in answer.aiter_raw()])
            await answer.aclose()
        except httpx.HTTPError:
            request.scope["extensions"][ABORT]["call"]()
            return Response(status_code=502)
        kept = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
        return Response(body, answer.status_code, kept)

    return app


def main() -> None:
    """Serve until the parent is gone."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    announce = orjson.dumps({"url": f"http://127.0.0.1:{port}", "pid": os.getpid()}).decode()
    serve(create_app(sys.argv[1]), listener, stop_with_parent=True, announce=announce)


if __name__ == "__main__":
    main()
