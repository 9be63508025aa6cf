"""orders:batch over a real server and real sockets: an answer a line, whatever the pace, and nothing lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, held_order, order, serve
from tests.integration.api.serving import listening

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
async def url(served: Served) -> AsyncIterator[str]:
    async with listening(served) as address:
        yield address


def lines_of(*orders: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in orders)


def answers_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in answer.content.splitlines()]


def as_sales(served: Served, url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {served.keys['east_sales']}"}, timeout=60)


async def test_bad_lines_are_answered_and_the_others_go_on(served: Served, url: str) -> None:
    body = lines_of(order(), held_order()) + b'{"half\n\n' + lines_of(order(lines=[]), order(entity="west"), order())
    async with as_sales(served, url) as sales:
        answers = answers_of(await sales.post("/v1/orders:batch", content=body, headers=NDJSON))
    assert [(each["line"], each["status"]) for each in answers] == [
        (1, 201),
        (2, 201),
        (3, 400),
        (5, 422),
        (6, 403),
        (7, 201),
    ]
    assert answers[1]["decision"] == "hold"
    assert answers[3]["errors"][0]["pointer"] == "/lines"


async def test_sending_the_same_stream_again_repeats_nothing(served: Served, url: str) -> None:
    orders = [order() for _ in range(30)]
    async with as_sales(served, url) as sales:
        first = answers_of(await sales.post("/v1/orders:batch", content=lines_of(*orders), headers=NDJSON))
        again = answers_of(await sales.post("/v1/orders:batch", content=lines_of(*orders), headers=NDJSON))
    assert [each["transaction_id"] for each in again] == [each["transaction_id"] for each in first]
    assert all(each["replayed"] for each in again)


async def test_rejected_lines_are_judged_anew_under_another_key(served: Served, url: str) -> None:
    rejected = order(lines=[{"line_number": 1, "product_id": "P-NEW", "quantity": "1", "unit_price": "5"}])
    async with as_sales(served, url) as sales:

        async def answered(key: str) -> dict[str, Any]:
            headers = NDJSON | {"Idempotency-Key": key}
            return answers_of(await sales.post("/v1/orders:batch", content=lines_of(rejected), headers=headers))[0]

        first, same, other = await answered("monday"), await answered("monday"), await answered("tuesday")
    assert same["transaction_id"] == first["transaction_id"]
    assert "replayed" not in other


async def test_duplicate_inside_one_stream_is_the_same_order(served: Served, url: str) -> None:
    twice = order()
    async with as_sales(served, url) as sales:
        one, two = answers_of(await sales.post("/v1/orders:batch", content=lines_of(twice, twice), headers=NDJSON))
    assert one["transaction_id"] == two["transaction_id"]


async def test_client_that_writes_everything_before_it_reads_is_not_kept_waiting_for_ever(
    served: Served, url: str
) -> None:
    # Far more than what both directions' socket buffers hold: a server that answered each chunk before it read the next
    # would stop reading when nobody takes its answers, while the client waits for it to read.
    count = 60_000
    line = b'{"order_number": 1, "notes": "' + b"x" * 400 + b'"}\n'
    async with as_sales(served, url) as sales, asyncio.timeout(60):
        answer = await sales.post("/v1/orders:batch", content=line * count, headers=NDJSON)
    assert [each["line"] for each in answers_of(answer)] == list(range(1, count + 1))


async def test_answers_come_while_the_stream_is_still_open(served: Served, url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/orders:batch HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\nAuthorization: Bearer " + served.keys["east_sales"].encode() + b"\r\n\r\n"
    )
    part = b"not an order\n" * 200
    writer.write(b"%x\r\n%s\r\n" % (len(part), part))
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        first = await reader.readuntil(b"\n")
    assert first
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(5):
        rest = await reader.readuntil(b"0\r\n\r\n")
    assert rest.count(b'"status":400') >= 199
    writer.close()


async def test_body_in_many_small_pieces_arrives_whole(served: Served, url: str) -> None:
    body = lines_of(*(order() for _ in range(50)))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 37):
            yield body[start : start + 37]
            if start % 370 == 0:
                await asyncio.sleep(0)

    async with as_sales(served, url) as sales:
        answers = answers_of(await sales.post("/v1/orders:batch", content=pieces(), headers=NDJSON))
    assert [each["status"] for each in answers] == [201] * 50


async def test_client_that_leaves_in_the_middle_leaves_whole_orders_only(served: Served, url: str) -> None:
    numbers = [order() for _ in range(250)]
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = lines_of(*numbers)
    writer.write(
        b"POST /v1/orders:batch HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: 9999999\r\nAuthorization: Bearer " + served.keys["east_sales"].encode() + b"\r\n\r\n" + body
    )
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
    await asyncio.sleep(0.2)
    wanted = [each["order_number"] for each in numbers]
    kept = await served.pool.fetch("select id from transactions where order_number = any($1::text[])", wanted)
    whole = await served.pool.fetchval(
        "select count(distinct transaction_id) from documents where transaction_id = any($1::uuid[])",
        [row["id"] for row in kept],
    )
    assert len(kept) == whole == 200


async def test_stream_and_line_that_are_too_large_are_cut_off_with_a_reason(make_database: MakeDatabase) -> None:
    bounds = {"maximum_body_bytes": 2_000, "maximum_batch_bytes": 5_000}

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"no order\n" * 20

    async def long_line() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    async with (
        make_database() as database,
        serve(database, **bounds) as small,
        listening(small) as url,
        as_sales(small, url) as sales,
    ):
        declared = await sales.post("/v1/orders:batch", content=b"x" * 5_001, headers=NDJSON)
        streamed = answers_of(await sales.post("/v1/orders:batch", content=endless(), headers=NDJSON))
        line = answers_of(await sales.post("/v1/orders:batch", content=long_line(), headers=NDJSON))
    assert declared.status_code == 413
    assert (streamed[-1]["status"], streamed[-1]["code"]) == (413, "body.too_large")
    assert (line[-1]["status"], line[-1]["code"]) == (413, "line.too_large")


async def test_other_media_types_are_refused(served: Served, url: str) -> None:
    async with as_sales(served, url) as sales:
        answer = await sales.post("/v1/orders:batch", json=[order()])
    assert answer.status_code == 415
