"""The client of the intake measurement, in a process of its own: prepared bytes over raw sockets, so that it is not the limit.

Each connection sends its next order when the last one is answered. What it is to do comes as one JSON object on stdin, what it
saw goes as one JSON object to stdout.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count, cycle
from pathlib import Path
from typing import cast

import orjson
import uvloop

NUMBER = "@" * 12
"""Stands in a prepared order where its number goes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send where. `orders` is a file with a JSON order a line, each with NUMBER as its order number."""

    port: int
    pid: int
    """The server's process, whose CPU time is read."""
    path: str
    headers: Mapping[str, str]
    orders: str
    first: int
    """The first order's number; those behind it follow."""
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of it. Only orders answered with 201 count; another answer ends the load."""

    orders: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_cpu: float
    """The share of one core that the client itself used."""
    server_cpu_ms: float
    """CPU time of the server's process an order."""

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.seconds


async def send_load(load: Load) -> Seen:
    """Run the load in a process of its own. Raises RuntimeError with what the client said when it did not go through."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await process.communicate(orjson.dumps(asdict(load)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the load on port {load.port} failed; see above")
    return Seen(**orjson.loads(said))


def _requests(load: Load) -> Iterator[bytes]:
    """The requests' bytes, each order with a number of its own."""
    prepared = []
    for body in Path(load.orders).read_bytes().splitlines():
        headers = {
            "Host": f"127.0.0.1:{load.port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Idempotency-Key": NUMBER,
            **load.headers,
        }
        lines = [f"POST {load.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        prepared.append("\r\n".join(lines).encode() + body)
    placeholder = NUMBER.encode()
    for number, request in zip(count(load.first), cycle(prepared)):
        yield request.replace(placeholder, b"B%011d" % number)


class _Run:
    """What all connections of one load share."""

    def __init__(self, load: Load) -> None:
        self.requests = _requests(load)
        self.latencies: list[float] = []
        self.failure: str | None = None
        self.deadline = 0.0
        self._open = load.connections
        self.ended = asyncio.get_running_loop().create_future()

    def close_one(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.ended.done():
            self.ended.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection: an order, its answer, the next order."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not say that it is one

    def send(self) -> None:
        """Send the next order, or end when time is up."""
        now = time.perf_counter()
        if now >= self._run.deadline or self._run.failure:
            self._transport.close()
            return
        self._sent_at = now
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        if head.startswith(b"HTTP/1.1 201 "):
            self._run.latencies.append(time.perf_counter() - self._sent_at)
        else:
            self._run.failure = self._received[:2_000].decode(errors="replace")
        self._received = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        if time.perf_counter() < self._run.deadline and not self._run.failure:
            self._run.failure = f"a connection was lost: {error}"
        self._run.close_one()


def _cpu_seconds(pid: int) -> float:
    """CPU time that a process has used until now, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _main(load: Load) -> Seen:
    run = _Run(load)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", load.port) for _ in range(load.connections)
    ]
    started, cpu, server_cpu = time.perf_counter(), time.process_time(), _cpu_seconds(load.pid)
    run.deadline = started + load.seconds
    for _, connection in made:
        connection.send()
    await run.ended
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    if run.failure:
        sys.exit(f"not every order was taken: {run.failure}")
    ordered = sorted(run.latencies)
    p50, p99 = (round(ordered[int(len(ordered) * part)] * 1000, 2) for part in (0.50, 0.99))
    server_cpu_ms = (_cpu_seconds(load.pid) - server_cpu) / len(ordered) * 1000
    return Seen(len(ordered), seconds, p50, p99, round(used / seconds, 3), round(server_cpu_ms, 3))


if __name__ == "__main__":
    seen = uvloop.run(_main(Load(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(orjson.dumps(seen))
