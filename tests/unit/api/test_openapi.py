"""The description is valid OpenAPI 3.1, says what every operation takes and gives, and its examples are right."""

from __future__ import annotations

import contextlib

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.unit.api.description import DESCRIPTION, OPERATIONS, mistakes

from tallystick.api.app import create_app
from tallystick.api.described import ANSWERS, OTHER_ANSWERS
from tallystick.api.examples import BODIES
from tallystick.settings import Server

EVERY = pytest.mark.parametrize("name", sorted(OPERATIONS))


def test_description_is_valid_openapi_3_1() -> None:
    assert DESCRIPTION["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(DESCRIPTION).iter_errors()] == []


def test_answers_are_described_for_the_operations_that_there_are() -> None:
    assert set(ANSWERS) | set(OTHER_ANSWERS) == set(OPERATIONS)


@EVERY
def test_operation_says_what_it_does(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1


@EVERY
def test_success_is_described_with_an_example_that_fits(name: str) -> None:
    successes = {status: each for status, each in OPERATIONS[name]["responses"].items() if status.startswith("2")}
    assert successes
    for answer in successes.values():
        assert answer["description"] not in ("", "Successful Response")
        for content in answer["content"].values():
            assert content["schema"]
            assert mistakes(content["schema"], content["example"]) == []


@EVERY
def test_problems_are_described(name: str) -> None:
    operation = OPERATIONS[name]
    responses = operation["responses"]
    for status, answer in responses.items():
        if not status.startswith("2") and (name, status) != ("operations_ready", "503"):
            assert answer["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert "default" in responses
    if "security" in operation:
        assert {"401", "403", "422", "429", "503"} <= set(responses)
    if "requestBody" in operation:
        assert {"400", "413", "415", "422"} <= set(responses)
    if "{" in operation["path"]:
        assert "404" in responses
    if any(each["name"] == "If-Match" for each in operation.get("parameters", ())):
        assert {"412", "428"} <= set(responses)


@EVERY
def test_bodies_are_described_and_refuse_unknown_fields(name: str) -> None:
    for media_type, content in OPERATIONS[name].get("requestBody", {}).get("content", {}).items():
        if media_type == "application/x-ndjson":
            continue
        schema = content["schema"].get("items", content["schema"])
        references = [each["$ref"] for each in schema.get("anyOf", [schema]) if "$ref" in each]
        named = references[0].rpartition("/")[2]
        assert named in BODIES
        component = DESCRIPTION["components"]["schemas"][named]
        assert component["examples"] == [BODIES[named]]
        assert component["additionalProperties"] is (named == "Event")


@pytest.mark.parametrize("name", sorted(BODIES))
def test_examples_of_bodies_are_valid(name: str) -> None:
    assert mistakes({"$ref": f"#/components/schemas/{name}"}, BODIES[name]) == []


def test_problems_example_is_one() -> None:
    problem = DESCRIPTION["components"]["schemas"]["Problem"]
    assert mistakes({"$ref": "#/components/schemas/Problem"}, problem["examples"][0]) == []


def test_checking_examples_finds_wrong_ones() -> None:
    assert mistakes({"$ref": "#/components/schemas/Assignment"}, {"owner": 7, "colour": "red"})


def test_every_change_of_something_versioned_asks_for_its_version() -> None:
    asking = {
        name
        for name, operation in OPERATIONS.items()
        if any(each["name"] == "If-Match" and each["required"] for each in operation.get("parameters", ()))
    }
    assert asking == {
        *("orders_replace_order", "orders_cancel", "exceptions_assign", "exceptions_retry", "exceptions_amend"),
        *("exceptions_override", "exceptions_reject", "exceptions_resolve", "cash_accept", "cash_refuse"),
        *("reconciliations_assign", "reconciliations_explain", "reconciliations_accept", "reconciliations_reopen_one"),
        *("reconciliations_prepare", "reconciliations_sign", "reconciliations_reopen_run"),
    }


def test_description_can_be_switched_off() -> None:
    app = create_app(Server(docs=False), contextlib.nullcontext)  # type: ignore[arg-type]  # never opened
    assert not {"/openapi.json", "/docs"} & {getattr(route, "path", None) for route in app.routes}
