from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import HttpUrl, SecretStr
from standardwebhooks import Webhook

from tallystick.documents.event import Event, EventType
from tallystick.sandbox.faults import FaultPlan, Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options
from tallystick.sandbox.webhooks import EventOutbox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OPTIONS = Options(name="wms", token=SecretStr("t"), hub_url=HttpUrl("http://hub"), event_secret=SecretStr(SECRET))


class Hub:
    """Answers calls in-process; keeps each call's events and headers."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[dict[str, Any]], httpx.Headers]] = []
        self.answers: list[httpx.Response] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        sent = Webhook(SECRET).verify(request.content, dict(request.headers))
        self.calls.append((sent if isinstance(sent, list) else [sent], request.headers))
        return self.answers.pop(0) if self.answers else httpx.Response(202)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    client = httpx.AsyncClient

    def made(**options: Any) -> httpx.AsyncClient:
        return client(**options, transport=httpx.MockTransport(hub))

    monkeypatch.setattr(httpx, "AsyncClient", made)
    return hub


@contextlib.asynccontextmanager
async def sending(outbox: EventOutbox) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.run())
    yield
    async with asyncio.timeout(10):
        while outbox.report()["pending"]:  # noqa: ASYNC110 - the outbox tells nobody when it is done
            await asyncio.sleep(0.005)
    task.cancel()


def events(outbox: EventOutbox, count: int) -> list[dict[str, Any]]:
    return [outbox.event(EventType.SHIPMENT_DISPATCHED, f"T-{index}", {"n": index}) for index in range(count)]


async def test_one_event_goes_alone_and_many_in_batches_all_signed_and_in_order(hub: Hub) -> None:
    outbox = EventOutbox(OPTIONS, Faults(), Journal())
    outbox.put(events(outbox, 1))
    async with sending(outbox):
        pass
    outbox.put(events(outbox, 120))
    async with sending(outbox):
        pass
    assert [len(sent) for sent, _ in hub.calls] == [1, 50, 50, 20]
    kinds = [headers["content-type"].partition(";")[0] for _, headers in hub.calls]
    assert kinds == ["application/cloudevents+json"] + ["application/cloudevents-batch+json"] * 3
    assert [each["subject"] for sent, _ in hub.calls[1:] for each in sent] == [f"T-{index}" for index in range(120)]
    event = Event.model_validate(hub.calls[0][0][0])
    assert (event.source, event.type, event.data) == ("/systems/wms", "tallystick.shipment.dispatched.v1", {"n": 0})
    assert hub.calls[0][1]["webhook-id"] == event.id


async def test_a_batch_sent_again_keeps_its_webhook_id(hub: Hub) -> None:
    outbox = EventOutbox(OPTIONS, Faults(), Journal())
    hub.answers = [httpx.Response(503)]
    outbox.put(events(outbox, 3))
    async with sending(outbox):
        pass
    first, second = hub.calls
    assert first[0] == second[0]
    assert first[1]["webhook-id"] == second[1]["webhook-id"]


async def test_of_a_batch_taken_in_part_only_the_refused_event_is_sent_again(hub: Hub) -> None:
    outbox = EventOutbox(OPTIONS, Faults(), Journal())
    made = events(outbox, 3)
    results = [{"id": each["id"], "status": 404 if each["subject"] == "T-1" else 202} for each in made]
    hub.answers = [httpx.Response(207, json={"results": results})]
    outbox.put(made)
    async with sending(outbox):
        pass
    assert [[each["subject"] for each in sent] for sent, _ in hub.calls] == [["T-0", "T-1", "T-2"], ["T-1"]]
    assert outbox.report()["delivered"] == 3


async def test_a_duplicate_is_a_call_of_its_own_and_counts_once(hub: Hub) -> None:
    faults = Faults(FaultPlan.model_validate({"duplicates": {"rate": 1, "gap_seconds": 0}}))
    outbox = EventOutbox(OPTIONS, faults, Journal())
    outbox.put(events(outbox, 1))
    async with sending(outbox):
        await asyncio.sleep(0.05)
    ids = [sent[0]["id"] for sent, _ in hub.calls]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert outbox.report()["delivered"] == 1


async def test_after_a_restart_only_what_was_not_delivered_is_sent(hub: Hub, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state.jsonl")
    outbox = EventOutbox(OPTIONS, Faults(), journal)
    delivered, waiting = events(outbox, 2)
    journal.append([{"events": [delivered]}, {"events": [waiting]}])
    outbox.put([delivered])
    async with sending(outbox):
        pass
    again = EventOutbox(OPTIONS, Faults(), journal)
    for record in journal.replay():
        again.replay(record)
    again.resume()
    async with sending(again):
        pass
    assert [sent for sent, _ in hub.calls] == [[delivered], [waiting]]
    assert again.report()["delivered"] == 2


async def test_without_a_hub_events_wait_and_can_be_seen() -> None:
    outbox = EventOutbox(OPTIONS.model_copy(update={"hub_url": None}), Faults(), Journal())
    made = events(outbox, 3)
    outbox.put(made)
    await outbox.run()
    assert outbox.report()["pending"] == 3
    assert outbox.pending(2) == made[:2]
