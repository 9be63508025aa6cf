"""The application's description, and what data has against one of its schemas."""

from __future__ import annotations

import contextlib
from typing import Any

from jsonschema import Draft202012Validator

from tallystick.api.app import create_app
from tallystick.settings import Server

DESCRIPTION: dict[str, Any] = create_app(Server(), contextlib.nullcontext).openapi()  # type: ignore[arg-type]  # never opened
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: {**operation, "path": path}
    for path, operations in DESCRIPTION["paths"].items()
    for operation in operations.values()
}


def mistakes(schema: dict[str, Any], data: Any, *, strict: bool = False) -> list[str]:
    """What data has against a schema of the description; `strict`: fields that are not described are mistakes too."""
    components = DESCRIPTION["components"]["schemas"]
    if strict:
        components = {name: _closed(each) for name, each in components.items()}
    checker = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator({**schema, "components": {"schemas": components}}, format_checker=checker)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)]


def _closed(component: dict[str, Any]) -> dict[str, Any]:
    return {"additionalProperties": False, **component} if "properties" in component else component
