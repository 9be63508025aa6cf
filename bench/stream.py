"""The client of the batch measurement, in a process of its own: NDJSON streams of prepared orders, and the answers line by line.

What it is to do comes as one JSON object on stdin, what it saw goes as one JSON object to stdout.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import uvloop
from bench.load import NUMBER

_WRITE_LINES = 50


@dataclass(frozen=True, slots=True)
class Streams:
    """What to send where. `orders` is a file with a JSON order a line, each with NUMBER as its order number."""

    ports: Sequence[int]
    """A stream to each."""
    headers: Mapping[str, str]
    orders: str
    first: int
    """The first order's number."""
    count: int
    """How many orders each stream has."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came of it; another answer than 201 to any line ends the measurement."""

    orders: int
    seconds: float
    client_seconds: float
    """CPU time of the client itself."""


async def send_streams(streams: Streams) -> Streamed:
    """Send all streams at once from a process of its own. Raises RuntimeError when not every order was taken."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await process.communicate(orjson.dumps(asdict(streams)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError("the streams failed; see above")
    return Streamed(**orjson.loads(said))


async def _stream(streams: Streams, port: int, first: int, bodies: Sequence[bytes]) -> int:
    """One stream; how many of its lines were answered with 201."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000_000)
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/x-ndjson",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        **streams.headers,
    }
    lines = ["POST /v1/orders:batch HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    sending = asyncio.create_task(_send(writer, first, streams.count, bodies))
    answered = 0
    async for line in _lines_of(reader):
        if b'"status":201' not in line:
            sys.exit(f"a line was answered {line.decode(errors='replace')[:500]}")
        answered += 1
    await sending
    writer.close()
    return answered


async def _lines_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of the answer, however its chunks divide them (RFC 9112, section 7.1)."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"the stream was answered {(head + await reader.read(2_000)).decode(errors='replace')}")
    rest = b""
    while size := int(await reader.readline(), 16):
        *lines, rest = (rest + (await reader.readexactly(size + 2))[:size]).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


async def _send(writer: asyncio.StreamWriter, first: int, count: int, bodies: Sequence[bytes]) -> None:
    placeholder = NUMBER.encode()
    for start in range(0, count, _WRITE_LINES):
        numbers = range(start, min(start + _WRITE_LINES, count))
        lines = b"".join(
            bodies[number % len(bodies)].replace(placeholder, b"B%011d" % (first + number)) + b"\n"
            for number in numbers
        )
        writer.write(b"%x\r\n%b\r\n" % (len(lines), lines))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _main(streams: Streams, bodies: Sequence[bytes]) -> Streamed:
    started, cpu = time.perf_counter(), time.process_time()
    answered = await asyncio.gather(
        *(
            _stream(streams, port, streams.first + number * streams.count, bodies)
            for number, port in enumerate(streams.ports)
        )
    )
    seconds = time.perf_counter() - started
    if sum(answered) != streams.count * len(streams.ports):
        sys.exit(f"of {streams.count * len(streams.ports)} orders {sum(answered)} were taken")
    return Streamed(sum(answered), seconds, time.process_time() - cpu)


if __name__ == "__main__":
    told = Streams(**orjson.loads(sys.stdin.buffer.read()))
    seen = uvloop.run(_main(told, Path(told.orders).read_bytes().splitlines()))
    sys.stdout.buffer.write(orjson.dumps(asdict(seen)))
