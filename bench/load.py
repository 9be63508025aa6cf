"""The client of the intake measurement, in a process of its own: prepared bytes over raw sockets, so that it is not the limit.

Without a rate each connection sends its next order when the last one is answered. With a rate orders are sent by the clock,
whatever has been answered by then, and an order's time runs from the moment that the clock said: a server that stalls is late
with every order that falls due meanwhile, also with those that found no free connection.

What it is to do comes as one JSON object on stdin, what it saw goes as one JSON object to stdout.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count, cycle
from pathlib import Path
from typing import cast

import orjson
import uvloop
from bench.processes import cpu_seconds

NUMBER = "@" * 12
"""Stands in a prepared order where its number goes."""
_PATIENCE_SECONDS = 30.0
"""How long the answers to orders sent by the clock may take after the last one fell due."""


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
    rate: float | None = None
    """Orders a second that are offered, whatever comes back; None: the next when the last is answered."""


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
        self.by_the_clock = load.rate is not None
        self._due: deque[float] = deque()
        self._idle: deque[_Connection] = deque()
        """The longest idle one is taken first: servers close connections on which nothing has come for a while."""
        self._open = load.connections
        self.ended = asyncio.get_running_loop().create_future()

    def free(self, connection: _Connection) -> None:
        """The connection may send its next order, or waits for one to fall due, or ends."""
        now = time.perf_counter()
        if self.failure:
            connection.close()
        elif self._due:
            connection.send(self._due.popleft())
        elif now >= self.deadline:
            connection.close()
        elif self.by_the_clock:
            self._idle.append(connection)
        else:
            connection.send(now)

    async def offer(self, rate: float) -> None:
        """Let orders fall due by the clock until the deadline."""
        started, number = time.perf_counter(), 0
        while (due := started + number / rate) < self.deadline:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._due.append(due)
            if self._idle:
                self.free(self._idle.popleft())
            number += 1
        await asyncio.sleep(max(0.0, self.deadline - time.perf_counter()))
        for connection in self._idle:
            connection.close()

    def close_one(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.ended.done():
            self.ended.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection: an order, its answer, the next order."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._due_at = 0.0
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not say that it is one

    def send(self, due_at: float) -> None:
        """Send the next order, which was due at that moment."""
        self._due_at = due_at
        self._transport.write(next(self._run.requests))

    def close(self) -> None:
        """No more orders on this one."""
        self._closed = True
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        if head.startswith(b"HTTP/1.1 201 "):
            self._run.latencies.append(time.perf_counter() - self._due_at)
        else:
            self._run.failure = self._received[:2_000].decode(errors="replace")
        self._received = b""
        self._run.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        if not self._closed and not self._run.failure:
            self._run.failure = f"a connection was lost: {error}"
        self._run.close_one()


async def _main(load: Load) -> Seen:
    run = _Run(load)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", load.port) for _ in range(load.connections)
    ]
    started, cpu, server_cpu = time.perf_counter(), time.process_time(), cpu_seconds(load.pid)
    run.deadline = started + load.seconds
    for _, connection in made:
        run.free(connection)
    if load.rate is not None:
        await run.offer(load.rate)
    async with asyncio.timeout(load.seconds + _PATIENCE_SECONDS):
        await run.ended
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    if run.failure:
        sys.exit(f"not every order was taken: {run.failure}")
    ordered = sorted(run.latencies)
    p50, p99 = (round(ordered[int(len(ordered) * part)] * 1000, 2) for part in (0.50, 0.99))
    server_cpu_ms = (cpu_seconds(load.pid) - server_cpu) / len(ordered) * 1000
    return Seen(len(ordered), seconds, p50, p99, round(used / seconds, 3), round(server_cpu_ms, 3))


if __name__ == "__main__":
    seen = uvloop.run(_main(Load(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(orjson.dumps(seen))
