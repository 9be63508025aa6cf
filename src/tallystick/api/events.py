"""Events from connected systems: CloudEvents 1.0 over HTTP, signed as Standard Webhooks asks; believed before they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import TypeAdapter, ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.responses import Response

from tallystick.api.answers import json_response
from tallystick.api.context import InContext
from tallystick.api.limits import check_values
from tallystick.api.plain_data import check_plain
from tallystick.api.problems import Problem, invalid_body, printable
from tallystick.api.requests import check_parameters
from tallystick.documents.event import Event
from tallystick.settings import Settings
from tallystick.stages.reception import EventAnswer, receive_events

router = APIRouter(tags=["events"])
_MOST_EVENTS = 1_000
_ONE = TypeAdapter(Event)
_MANY = TypeAdapter(list[Event])
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
# As Standard Webhooks names them: the signature is over id, timestamp and body.
SIGNATURE_SCHEME = {
    "type": "apiKey",
    "in": "header",
    "name": "webhook-signature",
    "description": "Standard Webhooks: v1, and the HMAC-SHA256 of id, timestamp and body, by the secret in the settings",
}
_SIGNED_WITH = [
    {"name": "webhook-id", "in": "header", "required": True, "schema": {"type": "string", "minLength": 1}},
    {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "description": "Seconds since 1970; five minutes off are too many",
        "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    },
]
_CHALLENGE = {"WWW-Authenticate": 'StandardWebhooks realm="tallystick"'}


def parse_events(content_type: str, body: bytes) -> list[Event]:
    """Events in structured or batched content mode (CloudEvents HTTP binding 1.0.2). Raises problems that name the field.

    The binary mode is not taken: Standard Webhooks signs the body, and there the event's id, type and subject stand outside it,
    so that who holds one signed payment could tie it to another order.
    """
    check_values(body)
    try:
        events = _read_events(content_type.partition(";")[0].strip().lower(), body)
    except ValidationError as error:
        raise invalid_body(error) from None
    for event in events:
        _check_kept("/data", event.data)
        _check_kept("", event.model_extra)
    return events


def _check_kept(pointer: str, data: Any) -> None:
    try:
        check_plain(data)
    except ValueError as error:
        detail = printable(f"{pointer}{error}")
        raise Problem(422, "body.invalid", detail, errors=[{"pointer": pointer, "message": detail}]) from None


def _read_events(media_type: str, body: bytes) -> list[Event]:
    if media_type == BATCH:
        events = _MANY.validate_json(body)
        if len(events) > _MOST_EVENTS:
            raise Problem(413, "events.too_many", f"{len(events)} events; send at most {_MOST_EVENTS} at once")
        return events
    if media_type == STRUCTURED:
        return [_ONE.validate_json(body)]
    detail = f"send events as {STRUCTURED} or {BATCH}: in other modes the signature does not cover their attributes"
    raise Problem(415, "body.media_type", detail, headers={"Accept": f"{STRUCTURED}, {BATCH}"})


def verified_sources(settings: Settings, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The systems with whose secret the body is signed, by the source of their events; before the body is understood.

    Raises a 401 problem when there is none: the signature is missing, wrong or more than five minutes off.
    """
    verified: dict[str, str] = {}
    said = "no connected system signs events"
    for name, system in settings.systems.items():
        if system.event_source is None or system.event_secret is None:
            continue
        try:
            Webhook(system.event_secret.get_secret_value()).verify(body, dict(headers), json_parse=False)
            verified[system.event_source] = name
        except (WebhookVerificationError, ValueError) as error:
            said = str(error)
    if not verified:
        detail = f"the signature is that of no connected system: {said}; sign the body as Standard Webhooks says"
        raise Problem(401, "event.signature", detail, headers=_CHALLENGE)
    return verified


def sender_of(events: Sequence[Event], verified: Mapping[str, str]) -> str:
    """The system that sent the events: the one with their source, whose signature they came with.

    Raises 403 when a request mixes sources, 401 when the source is not the signer's.
    """
    sources = {event.source for event in events}
    if len(sources) != 1:
        raise Problem(403, "event.mixed_sources", "a request carries events of one source, signed by it")
    source = sources.pop()
    if source not in verified:
        detail = (
            f"source {source!r} is not that of the system whose signature this is; see event_source in the settings"
        )
        raise Problem(401, "event.unknown_source", detail, headers=_CHALLENGE)
    return verified[source]


@router.post("/events", summary="Take events from a connected system", openapi_extra={
    "security": [{"eventSignature": []}],
    "parameters": _SIGNED_WITH,
    "requestBody": {"required": True, "content": {
        STRUCTURED: {"schema": {"$ref": "#/components/schemas/Event"}},
        BATCH: {"schema": {"type": "array", "maxItems": _MOST_EVENTS, "items": {"$ref": "#/components/schemas/Event"}}},
    }}
})  # fmt: skip
async def take_events(context: InContext, request: Request) -> Response:
    """202 once the events are kept; a repetition is answered 200 and changes nothing. A batch is answered item by item."""
    check_parameters(request, ())
    body = await request.body()
    verified = verified_sources(context.flow.settings, request.headers, body)
    events = parse_events(request.headers.get("content-type", ""), body)
    if not events:
        return json_response({"results": []}, 202)
    system = sender_of(events, verified)
    context.limiter.check(f"events of {system}")
    answers = await receive_events(context.flow, system, events)
    for answer in answers:
        context.metrics.events.labels(answer.code).inc()
    if len(answers) == 1:
        answer = answers[0]
        if answer.status >= 400:
            raise Problem(answer.status, answer.code, answer.detail)
        return json_response(_result(events[0], answer), answer.status)
    results = [_result(event, answer) for event, answer in zip(events, answers, strict=True)]
    status = 202 if all(answer.status < 400 for answer in answers) else 207
    return json_response({"results": results}, status)


def _result(event: Event, answer: EventAnswer) -> dict[str, Any]:
    return {
        "id": event.id,
        "status": answer.status,
        "code": answer.code,
        "detail": answer.detail,
        "transaction_id": str(answer.transaction_id) if answer.transaction_id else None,
    }
