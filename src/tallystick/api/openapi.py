"""The OpenAPI 3.1 description: what FastAPI finds out itself, our documents, answers, problems and permissions, with examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tallystick.api.conditional import ETAG
from tallystick.api.described import ANSWERS, OTHER_ANSWERS, Answer
from tallystick.api.events import SIGNATURE_SCHEME
from tallystick.api.examples import BODIES, PROBLEM
from tallystick.api.shapes.running import Problem
from tallystick.documents.event import Event
from tallystick.documents.order import Order

DESCRIPTION = """
Tallystick keeps what sales promised and what finance booked in agreement.

Amounts are integers in minor units of the document's currency (USD 12.34 is 1234). Errors are problem documents (RFC 9457).
Send `Authorization: Bearer tsk_…`; send `Idempotency-Key` with each new order; send `If-Match` with each change.
"""
_REF = "#/components/schemas/{model}"
_INK = r"[\x21-\x7e\xa1-\xac\xae-\xff]"  # what is printable in Latin-1 and no space
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Yours, one for each order. The same key with the same order gets the same answer; with another, 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": rf"^{_INK}([ {_INK[1:-1]}]*{_INK})?$"},
    "example": "W-10023",
}
_MEANING = {
    "400": "Malformed",
    "401": "No valid key or signature",
    "403": "Lacks the permission",
    "404": "Not there, or not yours to see",
    "409": "In conflict with what is there",
    "412": "Changed since you read it",
    "413": "Too large",
    "415": "Not a media type for this",
    "422": "Not valid, with each field; or an order rejected with every reason",
    "428": "If-Match is missing",
    "429": "Too many requests; Retry-After says when",
    "503": "Not now; Retry-After says when",
    "default": "Any other problem",
}
_WAITS = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}


def operation_id(route: APIRoute) -> str:
    """Resource and function, such as exceptions_assign: what a generated client calls it."""
    return f"{route.tags[0]}_{route.name}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The application's description, made once."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    schema["paths"]["/v1/orders"] = {"post": _create_order()}
    order = {"required": True, "content": {"application/json": {"schema": _ref("Order")}}}
    schema["paths"]["/v1/orders:validate"]["post"]["requestBody"] = order
    schema["paths"]["/v1/orders/{transaction_id}"]["put"]["requestBody"] = order
    stream = schema["paths"]["/v1/orders:batch"]["post"]
    lines = {"type": "string", "description": "An Order as JSON on each line"}
    stream["requestBody"] = {"required": False, "content": {"application/x-ndjson": {"schema": lines}}}
    stream["parameters"] = [_KEY]
    schema["components"]["securitySchemes"]["eventSignature"] = SIGNATURE_SCHEME
    components = schema["components"]["schemas"]
    components.update(_components())
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    for name, example in BODIES.items():
        components[name] = {**components[name], "examples": [example]}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _require_version(operation)
            _add_problems(path, operation)
            _add_answers(operation)
    app.openapi_schema = schema
    return schema


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _components() -> dict[str, Any]:
    shapes: set[type[BaseModel]] = {Problem}
    for answers in ANSWERS.values():
        shapes.update(shape for answer in answers.values() for shape in answer.shapes)
    _, of_requests = models_json_schema([(Order, "validation"), (Event, "validation")], ref_template=_REF)
    _, of_answers = models_json_schema([(each, "serialization") for each in shapes], ref_template=_REF)
    components = {**of_answers.get("$defs", {}), **of_requests.get("$defs", {})}
    components["Problem"] = {**components["Problem"], "examples": [PROBLEM]}
    return components


def _create_order() -> dict[str, Any]:
    location = {"description": "/v1/transactions/{id}", "schema": {"type": "string"}}
    replayed = {"description": "true: you sent this before, this is what you were told", "schema": {"type": "string"}}
    return {
        "tags": ["orders"],
        "summary": "Submit an order",
        "description": "The answer comes after the checks: 201 accepted, or held with its exception; 422 rejected.",
        "operationId": "orders_create_order",
        "security": [{"apiKey": []}],
        "x-permission": "orders.create",
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Order")}}},
        "responses": {"201": {"headers": {"Location": location, "Idempotency-Replayed": replayed}}},
    }


def _require_version(operation: dict[str, Any]) -> None:
    """If-Match is optional to FastAPI, so that its absence is told as 428; a client must send it all the same."""
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "if-match":
            tag = {"type": "string", "pattern": f"^{ETAG}$"}
            parameter.update(name="If-Match", required=True, schema=tag, example='"3"')


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    """Name the problems that an operation can answer with, by what it takes."""
    names = {each["name"] for each in operation.get("parameters", ())}
    statuses = {"503", "default"}
    if "security" in operation:
        statuses |= {"400", "401", "403", "422", "429"}
    if "{" in path or path == "/v1/events":
        statuses |= {"404"}
    if "requestBody" in operation:
        statuses |= {"400", "409", "413", "415", "422"}
    if "If-Match" in names:
        statuses |= {"409", "412", "428"}
    for status in sorted(statuses):
        content = {"application/problem+json": {"schema": _ref("Problem")}}
        operation["responses"][status] = {"description": _MEANING[status], "content": content}
        if status in ("429", "503"):
            operation["responses"][status]["headers"] = _WAITS


def _add_answers(operation: dict[str, Any]) -> None:
    """The success of an operation: its shape, an example, and the ETag where a change will ask for it."""
    name, responses = operation["operationId"], operation["responses"]
    if name in OTHER_ANSWERS:
        media_type, example = OTHER_ANSWERS[name]
        kind = "object" if media_type == "application/json" else "string"
        content = {media_type: {"schema": {"type": kind}, "example": example}}
        responses["200"] = {"description": operation["summary"], "content": content}
    for status, answer in ANSWERS.get(name, {}).items():
        described = responses.setdefault(str(status), {})
        described["description"] = _sentence(answer)
        described["content"] = {"application/json": {"schema": _schema(answer), "example": answer.example}}
        if answer.versioned:
            tag = {"description": "Its version, for If-Match", "schema": {"type": "string"}}
            described.setdefault("headers", {})["ETag"] = tag


def _schema(answer: Answer) -> dict[str, Any]:
    references = [_ref(shape.__name__) for shape in answer.shapes]
    return references[0] if len(references) == 1 else {"anyOf": references}


def _sentence(answer: Answer) -> str:
    first = (shape.__doc__ or "" for shape in answer.shapes)
    return " Or: ".join(text.partition("\n")[0] for text in first)
