"""The OpenAPI 3.1 description: what FastAPI finds out itself, our documents, problems and permissions, and examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tallystick.documents.event import Event
from tallystick.documents.order import Order

DESCRIPTION = """
Tallystick keeps what sales promised and what finance booked in agreement.

Amounts are integers in minor units of the document's currency (USD 12.34 is 1234). Errors are problem documents (RFC 9457).
Send `Authorization: Bearer tsk_…`; send `Idempotency-Key` with each new order; send `If-Match` with each change.
"""
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Yours, one for each order. The same key with the same order gets the same answer; with another, 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_ORDER = {
    "entity": "default",
    "channel": "webshop",
    "order_number": "W-10023",
    "customer_id": "C-100",
    "customer_po": "PO-7781",
    "currency": "USD",
    "ordered_at": "2026-11-24T09:30:00Z",
    "lines": [{"line_number": 1, "product_id": "P-1", "quantity": "12", "unit_price": "19.99", "amount": 23988}],
    "charges": [{"kind": "charge", "code": "FREIGHT", "amount": 1500}],
}
_ANSWER = {
    "transaction_id": "01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1",
    "order_number": "W-10023",
    "decision": "hold",
    "checks": [
        {"check": "price", "decision": "hold", "source": "replica", "facts_age_seconds": 12.4, "duration_ms": 1.9}
    ],
    "reasons": [
        {
            "check": "price",
            "code": "price.below_contract",
            "message": "lines[0].unit_price: 19.99 is below the contract price 21.00; agree the price or override",
            "decision": "hold",
            "path": "lines[0].unit_price",
            "order_value": "19.99",
            "system_value": "21.00",
            "money_at_risk": 1212,
        }
    ],
    "exception_id": "01938f2c-8f01-7a60-8a40-7f3ed8a1c0d2",
    "commitment": "none",
}
_EVENT = {
    "specversion": "1.0",
    "id": "wms-778120",
    "source": "/systems/wms",
    "type": "tallystick.payment.received.v1",
    "subject": "01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1",
    "data": {"payment": "as in /v1/schemas/payment"},
}
_PROBLEM = {
    "type": "urn:tallystick:problem:body.invalid",
    "title": "Unprocessable Entity",
    "status": 422,
    "code": "body.invalid",
    "detail": "/lines/0/quantity: Input should be greater than 0",
    "instance": "/v1/orders",
    "errors": [{"pointer": "/lines/0/quantity", "message": "Input should be greater than 0", "value": "-3"}],
}
_COMPONENTS: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457. `code` is stable and dotted: decide by it, show `detail`.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer"],
                    "properties": {
                        "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) into the request"},
                        "message": {"type": "string"},
                        "value": {"type": "string", "description": "The value, shortened"},
                    },
                },
            },
        },
        "examples": [_PROBLEM],
    },
    "OrderAnswer": {
        "type": "object",
        "required": ["transaction_id", "order_number", "decision", "checks", "reasons", "exception_id", "commitment"],
        "properties": {
            "transaction_id": {"type": "string", "format": "uuid"},
            "order_number": {"type": "string"},
            "decision": {"enum": ["accept", "hold", "reject"]},
            "checks": {"type": "array", "items": {"type": "object"}},
            "reasons": {"type": "array", "items": {"type": "object"}, "description": "The gravest first"},
            "exception_id": {"type": ["string", "null"], "format": "uuid", "description": "Where a person decides"},
            "commitment": {"enum": ["none", "pending", "committed", "refused", "cancelled"]},
        },
        "examples": [_ANSWER],
    },
}
_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
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
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The application's description, made once."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    for name, model, example in (("Order", Order, _ORDER), ("Event", Event, _EVENT)):
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        components.update(described.pop("$defs", {}))
        components[name] = {**described, "examples": [example]}
    components.update(_COMPONENTS)
    schema["paths"]["/v1/orders"] = {"post": _create_order()}
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
    schema["paths"]["/v1/orders:validate"]["post"]["requestBody"] = body
    schema["paths"]["/v1/orders/{transaction_id}"]["put"]["requestBody"] = body
    lines = {"schema": {"type": "string", "description": "An Order as JSON on each line"}}
    stream = schema["paths"]["/v1/orders:batch"]["post"]
    stream["requestBody"] = {"required": True, "content": {"application/x-ndjson": lines}}
    stream["parameters"] = [_KEY]
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _add_problems(path, operation)
    app.openapi_schema = schema
    return schema


def _create_order() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/OrderAnswer"}}}
    location = {"description": "/v1/transactions/{id}", "schema": {"type": "string"}}
    replayed = {"description": "true: you sent this before, this is what you were told", "schema": {"type": "string"}}
    return {
        "tags": ["orders"],
        "summary": "Submit an order",
        "description": "The answer comes after the checks: 201 accepted, or held with its exception; 422 rejected.",
        "operationId": "create_order",
        "security": [{"apiKey": []}],
        "x-permission": "orders.create",
        "parameters": [_KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
        },
        "responses": {
            "201": {
                "description": "Kept: accepted, or held with its exception",
                "headers": {"Location": location, "Idempotency-Replayed": replayed},
                "content": content,
            }
        },
    }


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    """Name the problems that an operation can answer with, by what it takes."""
    names = {each["name"] for each in operation.get("parameters", ())}
    statuses = {"503"}
    if "security" in operation or path == "/v1/events":
        statuses |= {"400", "401", "403", "422", "429"}
    if "{" in path or path == "/v1/events":
        statuses |= {"404"}
    if "requestBody" in operation:
        statuses |= {"400", "409", "413", "415", "422"}
    if "if-match" in {name.lower() for name in names}:
        statuses |= {"409", "412", "428"}
    for status in sorted(statuses):
        operation["responses"][status] = {"description": _MEANING[status], "content": _PROBLEM_CONTENT}
