"""Sending orders to a server that falls over: nothing answered is sent again, everything else is, and memory stays small."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tallystick.cli.failure import NoAnswer, Refused
from tallystick.cli.hub import open_hub
from tallystick.cli.order_source import FileOrder, Place, Read, Unreadable
from tallystick.cli.order_submission import Answered, Tally, submit_all


class Scripted:
    """A server on a socket of its own that does what the next step of its script says, the last one for ever."""

    def __init__(self, *steps: Callable[[BaseHTTPRequestHandler, list[Any]], None]) -> None:
        self.requests: list[list[str]] = []
        script = list(steps)
        told = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                lines = self.rfile.read(int(self.headers["content-length"])).splitlines()
                told.append([json.loads(line)["order_number"] for line in lines])
                step = script.pop(0) if len(script) > 1 else script[0]
                step(self, lines)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(*statuses: int, cut: bool = False, **headers: str) -> Callable[[BaseHTTPRequestHandler, list[Any]], None]:
    """Answer the lines with these statuses, 201 for the rest; `cut` breaks the connection where they end."""

    def step(handler: BaseHTTPRequestHandler, lines: list[Any]) -> None:
        told = list(statuses) if cut else [*statuses, *[201] * (len(lines) - len(statuses))]
        body = b"".join(
            json.dumps({"line": number, "status": status, "decision": "accept"} if status == 201 else
                       {"line": number, "status": status, "code": "some.code", "detail": "why"}).encode() + b"\n"
            for number, status in enumerate(told, start=1)
        )  # fmt: skip
        handler.send_response(200)
        handler.send_header("content-length", str(len(body) + (100 if cut else 0)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = cut

    return step


def refuse(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler, list[Any]], None]:
    """Answer the whole request with a problem."""

    def step(handler: BaseHTTPRequestHandler, lines: list[Any]) -> None:
        body = json.dumps({"code": "not.now", "detail": "not now"}).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return step


Serve = Callable[..., Scripted]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("TALLYSTICK_KEY", "tsk_test")
    started: list[Scripted] = []

    def served(*steps: Callable[[BaseHTTPRequestHandler, list[Any]], None]) -> Scripted:
        started.append(Scripted(*steps))
        return started[-1]

    yield served
    for each in started:
        each.close()


def orders(count: int) -> Iterator[Read]:
    for number in range(1, count + 1):
        yield FileOrder(Place("f", number), b'{"order_number": "%d"}' % number)


def submit(server: Scripted, reads: Iterator[Read], pauses: list[float] | None = None) -> list[Answered]:
    waited: list[float] = [] if pauses is None else pauses
    with open_hub(server.url) as hub:
        return list(submit_all(hub, reads, None, waited.append))


def test_connection_cut_in_the_middle_sends_only_what_was_not_answered(serve: Serve) -> None:
    server = serve(answer(201, 201, cut=True), answer())
    found = submit(server, orders(5))
    assert [each.place.line for each in found] == [1, 2, 3, 4, 5]
    assert server.requests == [["1", "2", "3", "4", "5"], ["3", "4", "5"]]


def test_orders_that_met_a_database_away_are_sent_again(serve: Serve) -> None:
    server = serve(answer(201, 503, 201), answer())
    found = submit(server, orders(4))
    assert {each.outcome for each in found} == {"accepted"}
    assert server.requests == [["1", "2", "3", "4"], ["2"]]


def test_server_that_says_when_is_left_alone_so_long(serve: Serve) -> None:
    pauses: list[float] = []
    found = submit(serve(refuse(429, retry_after="3"), refuse(503), answer()), orders(2), pauses)
    assert len(found) == 2
    assert pauses[0] == 3.0
    assert 0 < pauses[1] <= 10


def test_server_that_stays_away_ends_it_and_says_how_to_go_on(serve: Serve) -> None:
    pauses: list[float] = []
    server = serve(answer(201, 201, cut=True), answer(cut=True))
    with open_hub(server.url) as hub:
        found = submit_all(hub, orders(4), None, pauses.append)
        assert [next(found).place.line, next(found).place.line] == [1, 2]
        with pytest.raises(NoAnswer, match=r"the orders before f line 3 were answered: run the same command again"):
            next(found)
    assert sum(pauses) < 90


def test_caller_who_may_not_is_told_at_once(serve: Serve) -> None:
    server = serve(refuse(403))
    with pytest.raises(Refused, match=r"not now \[not.now\]"):
        submit(server, orders(3))
    assert len(server.requests) == 1


def test_every_status_has_its_outcome_and_counts(serve: Serve) -> None:
    def step(handler: BaseHTTPRequestHandler, lines: list[Any]) -> None:
        bodies = [
            {"status": 201, "decision": "accept", "replayed": True},
            {"status": 201, "decision": "hold"},
            {"status": 422, "decision": "reject", "reasons": [{"message": "no", "path": None}]},
            {"status": 422, "code": "body.invalid", "detail": "x"},
            {"status": 409, "code": "order.duplicate_number", "detail": "x"},
            {"status": 500, "code": "internal", "detail": "x"},
        ]
        body = b"".join(json.dumps({"line": at, **each}).encode() + b"\n" for at, each in enumerate(bodies, start=1))
        handler.send_response(200)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    tally = Tally()
    for each in submit(serve(step), iter([*orders(6), Unreadable(Place("f", 9), "cut off")])):
        tally.add(each)
    assert tally.counts == {"accepted": 1, "held": 1, "rejected": 1, "invalid": 2, "conflicts": 1, "failed": 1}
    assert (tally.orders, tally.replayed, tally.all_taken) == (7, 1, False)


def test_many_orders_go_in_bounded_batches_and_bounded_memory(serve: Serve) -> None:
    server = serve(answer())
    padding = b'", "notes": "' + b"x" * 2_000 + b'"}'

    def large() -> Iterator[Read]:
        for number in range(30_000):
            yield FileOrder(Place("f", number), b'{"order_number": "%d' % number + padding)

    tracemalloc.start()
    with open_hub(server.url) as hub:
        count = sum(1 for _ in submit_all(hub, large(), None))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 30_000
    assert max(len(each) for each in server.requests) <= 1_000
    assert peak < 40_000_000, f"{peak} of 60 MB at once"  # the server of this test takes its part of it
