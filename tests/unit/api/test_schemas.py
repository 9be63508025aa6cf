"""The published JSON Schemas say what the documents say: valid 2020-12, and of one mind with our own validation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError
from tests.unit.documents.orders import line, order_data
from tests.unit.documents.test_documents import DOCUMENTS

from tallystick.api.schemas import SCHEMAS, schema_of

NAMES = {
    *(
        "customer",
        "product",
        "price",
        "order",
        "shipment",
        "invoice",
        "credit-memo",
        "payment",
        "return",
        "transaction",
    ),
    *("event", "check-result"),
}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name), format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_every_canonical_document_is_published() -> None:
    assert set(SCHEMAS) >= NAMES


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_is_json_schema_2020_12_and_says_what_each_thing_is(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(f":{name}")
    assert schema["description"]
    json.dumps(schema, allow_nan=False)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_schema_takes_what_we_take_and_what_we_write(name: str) -> None:
    kind = SCHEMAS[name]
    made = kind.model_validate_json(json.dumps(DOCUMENTS[kind]))
    for data in (DOCUMENTS[kind], made.model_dump(mode="json")):
        assert [each.message for each in validator(name).iter_errors(data)] == []


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("order", {"lines": []}),
    ("order", {"lines": [line(quantity="-1")]}),
    ("order", {"lines": [line(quantity=-1)]}),
    ("order", {"lines": [line(quantity="1_000")]}),
    ("order", {"lines": [line(quantity="twelve")]}),
    ("order", {"lines": [line(quantity=10_000_001)]}),
    ("order", {"lines": [line(1_000_000)]}),
    ("order", {"lines": [line(amount=1.5)]}),
    ("order", {"currency": "usd"}),
    ("order", {"customer_id": "C\x001"}),
    ("order", {"customer_id": "C\u202e1"}),
    ("order", {"order_number": "x" * 65}),
    ("order", {"colour": "red"}),
    ("order", {"rounding": "up"}),
    ("payment", {"amount": 0}),
    ("payment", {"amount": "2000"}),
    ("payment", {"method": "barter"}),
    ("credit-memo", {"net_amount": -1}),
    ("event", {"specversion": "0.3"}),
    ("event", {"datacontenttype": "text/xml"}),
]


@pytest.mark.parametrize(("name", "changes"), WRONG)
def test_schema_refuses_what_we_refuse(name: str, changes: dict[str, Any]) -> None:
    kind: type[BaseModel] = SCHEMAS[name]
    data = DOCUMENTS[kind] | changes
    with pytest.raises(ValidationError):
        kind.model_validate_json(json.dumps(data))
    assert not validator(name).is_valid(data)


def test_both_ways_of_writing_a_number_are_taken() -> None:
    for quantity in (2, 2.5, "2", " 2.50 ", "2e0", "+2"):
        assert validator("order").is_valid(order_data(lines=[line(quantity=quantity)])), quantity
