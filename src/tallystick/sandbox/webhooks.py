"""How sandbox systems tell the hub what happened: CloudEvents, signed as Standard Webhooks, sent until they are taken.

CloudEvents 1.0 JSON format (cloudevents.io), alone or in batches; signature as standardwebhooks.com has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import heapq
import random
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from fastapi import APIRouter
from standardwebhooks import Webhook

from tallystick.documents.event import EventType
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options

MAXIMUM_BATCH = 50
_TIMEOUT_SECONDS = 10.0
_PAUSE_LIMIT_SECONDS = 5.0
_REFUSED_LIMIT_SECONDS = 30.0
# These speak of the hub or of our sign-in, not of the event: everything waits, in order, and is tried again.
_HUB_TROUBLE = frozenset({401, 403, 405, 408, 425, 429})

CloudEvent = Mapping[str, Any]


@dataclass(order=True, slots=True)
class _Entry:
    """One sending of an event. Earlier due first, then as they happened."""

    due: float
    sequence: int
    event: CloudEvent = field(compare=False)
    copy: bool = field(compare=False, default=False)
    """A duplicate made by a fault switch: nothing depends on it."""
    refusals: int = field(compare=False, default=0)


class _HubTroubleError(Exception):
    """The hub cannot take anything now; wait `retry_after` seconds when it said so."""

    def __init__(self, said: str, retry_after: float | None = None) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class EventOutbox:
    """Events on their way to the hub. What it does not take waits: all of them while it is away, one while it is refused."""

    def __init__(self, options: Options, faults: Faults, journal: Journal) -> None:
        self._source = options.event_source
        self._url = f"{str(options.hub_url).rstrip('/')}/v1/events" if options.hub_url else None
        self._signer = Webhook(options.event_secret.get_secret_value()) if options.event_secret else None
        self._faults = faults
        self._journal = journal
        self._heap: list[_Entry] = []
        self._pending: dict[str, CloudEvent] = {}
        self._sequence = 0
        self._wake = asyncio.Event()
        self._delivered = 0
        self._attempts = 0
        self._last_error: str | None = None

    def event(self, event_type: EventType, subject: str, data: dict[str, Any]) -> dict[str, Any]:
        """A CloudEvent of this system with an id of its own, not yet sent."""
        return {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": self._source,
            "type": event_type.value,
            "subject": subject,
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            "data": data,
        }

    def put(self, events: Iterable[CloudEvent]) -> None:
        """Send these from now on. The caller has journaled them with what they tell of, as `"events": [...]`."""
        now = time.monotonic()
        for event in events:
            self._pending[event["id"]] = event
            first, *copies = self._faults.event_delays()
            self._push(_Entry(now + first, 0, event))
            for delay in copies:
                self._push(_Entry(now + delay, 0, event, copy=True))
        self._wake.set()

    def replay(self, record: Mapping[str, Any]) -> None:
        """Take up a journal record from before a restart: its events, or what was delivered of earlier ones."""
        for event in record.get("events", ()):
            self._pending[event["id"]] = event
        for delivered in record.get("delivered", ()):
            self._delivered += self._pending.pop(delivered, None) is not None

    def resume(self) -> None:
        """Send what was still pending before the restart; call once after the replay."""
        self.put(list(self._pending.values()))

    def report(self) -> dict[str, Any]:
        """How many events wait and were delivered, in how many calls, and why the last call failed."""
        return {
            "hub": self._url,
            "pending": len(self._pending),
            "delivered": self._delivered,
            "calls": self._attempts,
            "last_error": self._last_error,
        }

    def pending(self, limit: int) -> list[CloudEvent]:
        """The oldest events that wait."""
        return [event for event, _ in zip(self._pending.values(), range(limit), strict=False)]

    async def run(self) -> None:
        """Send until cancelled."""
        if self._url is None:
            return
        # The sandbox talks to the hub it was given and to nobody else, so no proxy from the environment.
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            troubles = 0
            while True:
                entries = self._take_due()
                if not entries:
                    await self._sleep_until_due()
                    continue
                try:
                    await self._send(client, entries)
                    troubles = 0
                except _HubTroubleError as trouble:
                    troubles += 1
                    self._last_error = str(trouble)
                    pause = min(0.1 * 2 ** min(troubles, 10), _PAUSE_LIMIT_SECONDS)
                    await asyncio.sleep(trouble.retry_after or pause * random.uniform(0.5, 1))  # noqa: S311 - jitter

    def _push(self, entry: _Entry) -> None:
        self._sequence += 1
        entry.sequence = self._sequence
        heapq.heappush(self._heap, entry)

    def _take_due(self) -> list[_Entry]:
        now = time.monotonic()
        entries: list[_Entry] = []
        taken: set[str] = set()
        while self._heap and self._heap[0].due <= now and len(entries) < MAXIMUM_BATCH:
            following = self._heap[0]
            # A duplicate goes into a call of its own, and so does what was refused: it must not spoil others' batch.
            if following.event["id"] in taken or (entries and following.refusals):
                break
            entries.append(heapq.heappop(self._heap))
            taken.add(following.event["id"])
            if following.refusals:
                break
        return entries

    async def _sleep_until_due(self) -> None:
        self._wake.clear()
        wait = max(0.0, self._heap[0].due - time.monotonic()) if self._heap else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), wait)

    async def _send(self, client: httpx.AsyncClient, entries: Sequence[_Entry]) -> None:
        """One call for all; what the hub refuses is tried again later, alone."""
        try:
            refused = await self._post(client, entries)
        except _HubTroubleError:
            for entry in entries:  # with their old places in line
                heapq.heappush(self._heap, entry)
            raise
        self._settle([entry for entry in entries if entry.event["id"] not in refused])
        for entry in entries:
            if entry.event["id"] in refused:
                self._refused(entry)

    async def _post(self, client: httpx.AsyncClient, entries: Sequence[_Entry]) -> set[str]:
        """The ids of the events that the hub refuses. Raises _HubTroubleError when it takes or refuses none of them."""
        events = [entry.event for entry in entries]
        body = orjson.dumps(events[0] if len(events) == 1 else events)
        self._attempts += 1
        try:
            response = await client.post(str(self._url), content=body, headers=self._headers(events, body))
        except httpx.HTTPError as error:
            raise _HubTroubleError(f"{type(error).__name__}: {error}") from error
        if response.is_success:
            return self._refused_of(response)
        self._last_error = f"status {response.status_code}: {response.text[:300]}"
        if response.status_code in _HUB_TROUBLE or not 400 <= response.status_code < 500:
            raise _HubTroubleError(self._last_error, _seconds(response.headers.get("retry-after")))
        return {event["id"] for event in events}

    def _refused_of(self, response: httpx.Response) -> set[str]:
        """The refused events of a batch that was taken in part (207, with a status for each)."""
        if response.status_code != httpx.codes.MULTI_STATUS:
            return set()
        try:
            refused = {each["id"]: each for each in response.json()["results"] if each["status"] >= 400}
        except (ValueError, KeyError, TypeError) as error:
            raise _HubTroubleError(f"status 207 without results: {response.text[:300]}") from error
        if refused:
            self._last_error = f"{len(refused)} events refused, one: {next(iter(refused.values()))}"
        return set(refused)

    def _headers(self, events: Sequence[CloudEvent], body: bytes) -> dict[str, str]:
        single = len(events) == 1
        kind = "application/cloudevents+json" if single else "application/cloudevents-batch+json"
        headers = {"content-type": f"{kind}; charset=utf-8"}
        if self._signer is not None:
            ids = "\n".join(event["id"] for event in events)
            # The id stays the same when the same batch is sent again, as Standard Webhooks asks.
            message = events[0]["id"] if single else f"batch_{hashlib.sha256(ids.encode()).hexdigest()[:32]}"
            now = datetime.now(UTC)
            headers["webhook-id"] = message
            headers["webhook-timestamp"] = str(int(now.timestamp()))
            headers["webhook-signature"] = self._signer.sign(message, now, body.decode())
        return headers

    def _settle(self, entries: Sequence[_Entry]) -> None:
        delivered = [entry.event["id"] for entry in entries if not entry.copy and entry.event["id"] in self._pending]
        for each in delivered:
            del self._pending[each]
        self._delivered += len(delivered)
        if delivered:
            self._journal.append([{"delivered": delivered}])

    def _refused(self, entry: _Entry) -> None:
        if entry.copy:
            return
        entry.refusals += 1
        entry.due = time.monotonic() + min(0.5 * 2 ** min(entry.refusals, 10), _REFUSED_LIMIT_SECONDS)
        heapq.heappush(self._heap, entry)


def _seconds(value: str | None) -> float | None:
    try:
        return min(float(value), _REFUSED_LIMIT_SECONDS) if value else None
    except ValueError:
        return None


def event_routes(outbox: EventOutbox) -> APIRouter:
    """`GET /events`: what waits for the hub."""
    router = APIRouter(tags=["server"])

    @router.get("/events")
    async def show_events(limit: int = 20) -> dict[str, Any]:
        """Counts, and the oldest events that wait for the hub."""
        return {**outbox.report(), "oldest": outbox.pending(max(0, min(limit, 1_000)))}

    return router
