"""Sends a file's orders to `orders:batch`, a bounded batch a request, and takes each answer back to its place in the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tallystick.cli.failure import NoAnswer
from tallystick.cli.hub import Hub, no_answer, problem_line, refusal
from tallystick.cli.order_source import FileOrder, Place, Read, Unreadable

# Enough that the server decides one chunk while the next comes in; little enough to be kept until its answers are there.
_ORDERS_A_REQUEST = 1_000
_BYTES_A_REQUEST = 4_000_000
_TRIES = 8
_LONGEST_PAUSE = 10.0

OUTCOMES = ("accepted", "held", "rejected", "invalid", "conflicts", "failed")
_NOT_TAKEN = OUTCOMES[2:]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one order of the file."""

    place: Place
    outcome: str
    """One of OUTCOMES."""
    body: dict[str, Any]
    """The server's answer, or ours where the order could not be sent."""

    @property
    def taken(self) -> bool:
        """Whether Tallystick has the order now, accepted or held."""
        return self.outcome not in _NOT_TAKEN

    @property
    def explanation(self) -> str:
        """Why it was not taken, or is held, in one line that begins with the place in the file."""
        reasons = self.body.get("reasons") or ()
        if reasons:
            return f"{self.place.of(reasons[0].get('path'))}: " + "; ".join(each["message"] for each in reasons)
        first: dict[str, Any] = next(iter(self.body.get("errors") or ()), {})
        return f"{self.place.of(first.get('pointer'))}: {problem_line(self.body)}"

    def line(self) -> dict[str, Any]:
        """For programs: the place and the answer."""
        kept = {name: value for name, value in self.body.items() if name != "line"}
        return {"file": self.place.file, "line": self.place.line, "outcome": self.outcome, **kept}


@dataclass(slots=True)
class Tally:
    """How many orders of a file came out how."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    replayed: int = 0
    """Of all: those that were answered before, by an earlier run."""

    def add(self, answered: Answered) -> None:
        """Count one."""
        self.counts[answered.outcome] += 1
        self.replayed += bool(answered.body.get("replayed"))

    @property
    def orders(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def all_taken(self) -> bool:
        """Whether each was accepted or held."""
        return not any(self.counts[outcome] for outcome in _NOT_TAKEN)


def submit_all(
    hub: Hub, reads: Iterable[Read], key: str | None, wait: Callable[[float], None] = time.sleep
) -> Iterator[Answered]:
    """Send everything that can be sent and yield what became of each, in the order of the file within a batch.

    Whatever was answered is never sent again; where an answer is missing the order is sent again under the same key, so that
    nothing is done twice. Raises NoAnswer when the server stays away, Refused when it takes nothing from this caller.
    """
    for batch in _batches(reads):
        yield from (_unreadable(each) for each in batch if isinstance(each, Unreadable))
        waiting = [each for each in batch if isinstance(each, FileOrder)]
        tries = 0
        while waiting:
            trouble, answered = _Trouble(), set[int]()
            for index, each in _send(hub, waiting, key, trouble):
                answered.add(index)
                yield each
            waiting = [order for index, order in enumerate(waiting) if index not in answered]
            tries = 0 if answered else tries + 1
            if tries >= _TRIES:
                raise NoAnswer(
                    f"{trouble.said}; the orders before {waiting[0].place} were answered: run the same command again, "
                    "nothing is done twice"
                )
            if waiting and trouble.said:
                wait(trouble.pause or min(0.5 * 2**tries, _LONGEST_PAUSE))


@dataclass(slots=True)
class _Trouble:
    """Why some orders of a request have no answer yet, and how long the server wants to be left alone."""

    said: str = ""
    pause: float | None = None


def _send(hub: Hub, orders: list[FileOrder], key: str | None, trouble: _Trouble) -> Iterator[tuple[int, Answered]]:
    """One request; yields an order's index with what became of it. Those that it skips are to be sent again."""
    body = b"".join(order.body + b"\n" for order in orders)
    try:
        with hub.stream("/orders:batch", body, key=key) as response:
            if response.status_code in (429, 503):
                response.read()
                trouble.said = str(refusal(hub.url, response))
                trouble.pause = _seconds(response.headers.get("retry-after"))
                return
            hub.answer(response)
            for line in response.iter_lines():
                answer = orjson.loads(line)
                order = orders[answer["line"] - 1]
                if answer["status"] == 503:
                    trouble.said = f"{order.place}: {problem_line(answer)}"
                    continue
                yield answer["line"] - 1, Answered(order.place, _outcome(answer), answer)
    except httpx.TransportError as error:
        trouble.said = str(no_answer(hub.url, error))


def validate_all(hub: Hub, reads: Iterable[Read]) -> Iterator[Answered]:
    """Have each order judged, keeping nothing, and yield what would become of it. Raises NoAnswer or Refused."""
    for read in reads:
        if isinstance(read, Unreadable):
            yield _unreadable(read)
            continue
        response = hub.post_document("/orders:validate", read.body)
        if response.status_code not in (200, 400, 403, 413, 422):
            hub.answer(response)
        body = response.json()
        answer = {"status": response.status_code, **body}
        yield Answered(read.place, _outcome(answer), answer)


_DECIDED = {"accept": "accepted", "hold": "held", "reject": "rejected"}


def _outcome(answer: dict[str, Any]) -> str:
    status = answer["status"]
    if "decision" in answer:
        return _DECIDED[answer["decision"]]
    if status == 409:
        return "conflicts"
    return "failed" if status >= 500 else "invalid"


def _unreadable(read: Unreadable) -> Answered:
    body = {"order_number": read.order_number, "code": "file.unreadable", "detail": read.detail}
    return Answered(read.place, "invalid", body)


def _batches(reads: Iterable[Read]) -> Iterator[list[Read]]:
    batch: list[Read] = []
    size = 0
    for read in reads:
        batch.append(read)
        size += len(read.body) if isinstance(read, FileOrder) else 0
        if len(batch) >= _ORDERS_A_REQUEST or size >= _BYTES_A_REQUEST:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _seconds(retry_after: str | None) -> float | None:
    return min(float(retry_after), _LONGEST_PAUSE) if retry_after and retry_after.isdigit() else None
