"""Events from systems: signed, taken once, tied to a transaction of their own entity, and never half done."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from standardwebhooks.webhooks import Webhook
from tests.integration.api.installation import EVENT_SECRET, Served, order

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


async def committed(served: Served, entity: str = "east") -> str:
    """The id of an accepted order's transaction."""
    async with served.acting_as("sales") as sales:
        answer = await sales.post("/v1/orders", json=order(entity=entity))
    transaction_id: str = answer.json()["transaction_id"]
    return transaction_id


def shipped(subject: str, **changes: Any) -> dict[str, Any]:
    """A shipment of the whole order, as the eastern warehouse tells it."""
    number = f"SH-{uuid4().hex[:8]}"
    data = {
        "number": number,
        "warehouse": "MAIN",
        "shipped_at": "2026-11-24T12:00:00Z",
        "lines": [{"line_number": 1, "product_id": "P-1", "quantity": "2"}],
    }
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/systems/wms_east", "subject": subject}
    return event | {"type": "tallystick.shipment.dispatched.v1", "data": data} | changes


def signature(body: bytes, *, secret: str = EVENT_SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    """Standard Webhooks headers for a body."""
    at = datetime.now(UTC) - age
    signed = Webhook(secret).sign("msg_1", at, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signed}


async def send(served: Served, event: Any, content_type: str = STRUCTURED, **signing: Any) -> httpx.Response:
    """Post an event (or several) as its source would."""
    body = orjson.dumps(event)
    async with served.acting_as() as system:
        headers = {"Content-Type": content_type} | signature(body, **signing)
        return await system.post("/v1/events", content=body, headers=headers)


async def _messages(served: Served, transaction_id: str) -> int:
    count: int = await served.pool.fetchval(
        "select count(*) from messages where transaction_id = $1 and kind = 'record_shipment'", transaction_id
    )
    return count


async def test_event_is_taken_once_however_often_it_comes(served: Served) -> None:
    transaction_id = await committed(served)
    event = shipped(transaction_id)
    first, second = await send(served, event), await send(served, event)
    assert (first.status_code, second.status_code) == (202, 200), first.text
    assert await _messages(served, transaction_id) == 1


async def test_same_id_with_other_content_is_a_conflict(served: Served) -> None:
    transaction_id = await committed(served)
    event = shipped(transaction_id)
    await send(served, event)
    other = await send(served, event | {"data": event["data"] | {"warehouse": "NORTH"}})
    assert (other.status_code, other.json()["code"]) == (409, "event.id_reused")


async def test_unsigned_wrongly_signed_and_replayed_events_are_refused(served: Served) -> None:
    event = shipped(await committed(served))
    body = orjson.dumps(event)
    async with served.acting_as() as system:
        unsigned = await system.post("/v1/events", content=body, headers={"Content-Type": STRUCTURED})
    forged = await send(served, event, secret="whsec_" + "A" * 32)
    old = await send(served, event, age=timedelta(minutes=6))
    early = await send(served, event, age=timedelta(minutes=-6))
    for answer in (unsigned, forged, old, early):
        assert (answer.status_code, answer.json()["code"]) == (401, "event.signature")
        assert EVENT_SECRET not in answer.text
        assert "www-authenticate" in answer.headers
    assert await _messages(served, event["subject"]) == 0


async def test_signature_of_another_body_does_not_fit(served: Served) -> None:
    transaction_id = await committed(served)
    headers = signature(orjson.dumps(shipped(transaction_id))) | {"Content-Type": STRUCTURED}
    async with served.acting_as() as system:
        answer = await system.post("/v1/events", content=orjson.dumps(shipped(transaction_id)), headers=headers)
    assert answer.status_code == 401


async def test_source_must_be_the_signers_own(served: Served) -> None:
    answer = await send(served, shipped(await committed(served), source="/systems/nobody"))
    assert (answer.status_code, answer.json()["code"]) == (401, "event.unknown_source")


@pytest.mark.parametrize("body", [b"{", b"[]", b"x" * 100_000])
async def test_unsigned_body_is_not_even_read(served: Served, body: bytes) -> None:
    async with served.acting_as() as system:
        answer = await system.post("/v1/events", content=body, headers={"Content-Type": BATCH})
    assert (answer.status_code, answer.json()["code"]) == (401, "event.signature")


async def test_empty_and_overfull_batches_are_answered_as_such(served: Served) -> None:
    empty = await send(served, [], BATCH)
    overfull = await send(served, [shipped("x")] * 1_001, BATCH)
    assert (empty.status_code, empty.json()) == (202, {"results": []})
    assert (overfull.status_code, overfull.json()["code"]) == (413, "events.too_many")


async def test_event_repeated_inside_one_batch_is_taken_once(served: Served) -> None:
    event = shipped(await committed(served))
    answer = await send(served, [event, event, event | {"data": event["data"] | {"warehouse": "NORTH"}}], BATCH)
    assert [each["status"] for each in answer.json()["results"]] == [202, 200, 409]
    assert await _messages(served, event["subject"]) == 1


async def test_kept_signature_is_worth_nothing_a_second_time(served: Served) -> None:
    event = shipped(await committed(served))
    body = orjson.dumps(event)
    headers = {"Content-Type": STRUCTURED} | signature(body)
    async with served.acting_as() as system:
        first, replayed = [await system.post("/v1/events", content=body, headers=headers) for _ in range(2)]
        altered = await system.post("/v1/events", content=body.replace(b'"2"', b'"1"'), headers=headers)
        renamed = await system.post("/v1/events", content=body, headers=headers | {"webhook-id": "msg_2"})
    assert (first.status_code, replayed.status_code, replayed.json()["code"]) == (202, 200, "event.repeated")
    assert (altered.status_code, renamed.status_code) == (401, 401)
    assert await _messages(served, event["subject"]) == 1


async def test_event_for_an_unknown_transaction_is_a_problem_and_counted(served: Served) -> None:
    answer = await send(served, shipped(str(uuid4())))
    assert (answer.status_code, answer.json()["code"]) == (404, "event.unknown_transaction")
    async with served.acting_as() as anybody:
        metrics = (await anybody.get("/metrics")).text
    assert 'tallystick_events_total{code="event.unknown_transaction"}' in metrics


async def test_refused_event_may_come_again_once_its_transaction_is_known(served: Served) -> None:
    event = shipped(str(uuid4()))
    assert (await send(served, event)).status_code == 404
    event["subject"] = await committed(served)
    assert (await send(served, event)).status_code == 202


async def test_system_of_another_entity_sees_no_transaction(served: Served) -> None:
    event = shipped(await committed(served, "west"))
    answer = await send(served, event)
    assert answer.status_code == 404
    assert await _messages(served, event["subject"]) == 0


async def test_system_in_another_role_is_not_believed(served: Served) -> None:
    transaction_id = await committed(served)
    payment = {"number": "PAY-1", "amount": 2000, "currency": "USD", "paid_at": "2026-11-24T12:00:00Z"}
    event = shipped(transaction_id, type="tallystick.payment.received.v1", data=payment)
    answer = await send(served, event)
    assert (answer.status_code, answer.json()["code"]) == (403, "event.wrong_sender"), answer.text


async def test_batch_is_answered_event_by_event(served: Served) -> None:
    good, unknown = shipped(await committed(served)), shipped(str(uuid4()))
    broken = shipped(await committed(served)) | {"data": {"number": "S-9"}}
    answer = await send(served, [good, unknown, broken], BATCH)
    assert answer.status_code == 207
    assert [each["status"] for each in answer.json()["results"]] == [202, 404, 422]


async def test_sources_are_not_mixed_in_one_request(served: Served) -> None:
    transaction_id = await committed(served)
    answer = await send(served, [shipped(transaction_id), shipped(transaction_id, source="/systems/shared")], BATCH)
    assert answer.status_code == 403


async def test_attributes_that_no_signature_covers_are_not_taken(served: Served) -> None:
    event = shipped(await committed(served))
    body = orjson.dumps(event.pop("data"))
    headers = {f"ce-{name}": value for name, value in event.items()} | {"Content-Type": "application/json"}
    async with served.acting_as() as system:
        answer = await system.post("/v1/events", content=body, headers=headers | signature(body))
    assert (answer.status_code, answer.json()["code"]) == (415, "body.media_type")
    assert answer.headers["accept"] == f"{STRUCTURED}, {BATCH}"
    assert await _messages(served, event["subject"]) == 0


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", STRUCTURED, 400),
        (b"[]", STRUCTURED, 422),
        (b"{}", STRUCTURED, 422),
        (b"{}", "text/plain", 415),
        (b"[" * 100_000, BATCH, 400),
        (
            b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + b'{"a":' * 90 + b"1" + b"}" * 91,
            STRUCTURED,
            422,
        ),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AA=="}', STRUCTURED, 422),
        (b'{"id":"1","source":"s","type":"t"}', STRUCTURED, 422),
        (orjson.dumps(shipped("x", data={"a": "\x00"})), STRUCTURED, 422),
        (
            b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":99999999999999999999999}}',
            STRUCTURED,
            422,
        ),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":"\\ud800"}}', STRUCTURED, 400),
    ],
)
async def test_malformed_events_are_named_as_such(served: Served, body: bytes, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type}
    async with served.acting_as() as system:
        started = time.monotonic()
        answer = await system.post("/v1/events", content=body, headers=headers | signature(body))
    assert answer.status_code == status, answer.text
    assert answer.json()["code"].startswith(("body.", "event."))
    assert time.monotonic() - started < 2


async def test_what_cannot_be_kept_is_told_by_where_it_stands(served: Served) -> None:
    in_data = await send(served, shipped("x", data={"lines": [{"note": "a\x00b"}]}))
    beside_it = await send(served, shipped("x", sequence=10**19))
    assert (in_data.json()["errors"][0]["pointer"], in_data.json()["errors"][0]["message"]) == (
        "/data",
        "/data/lines/0/note: a NUL character in a text",
    )
    assert beside_it.json()["detail"] == "/sequence: integers have at most 64 bits; send it as a string"
