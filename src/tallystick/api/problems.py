"""Every error as an RFC 9457 problem document: what, where, which value, what to do next; never internals or secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tallystick.control.exceptions import ExceptionConflict, ExceptionResolved
from tallystick.stages.changes import NotFound, NotPossible, VersionConflict
from tallystick.store.identifiers import new_id

_log = structlog.get_logger("tallystick.api")
MEDIA_TYPE = "application/problem+json"
_LONGEST_VALUE = 80


class Problem(Exception):
    """An error that becomes a problem document. `code` is stable and dotted; `errors` name fields by JSON pointer."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def response(self, instance: str | None = None) -> Response:
        """The problem as an HTTP response."""
        content: dict[str, Any] = {
            "type": f"urn:tallystick:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if instance:
            content["instance"] = instance
        if self.errors:
            content["errors"] = self.errors
        return Response(
            orjson.dumps({**content, **self.extra}, default=str),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers=self.headers,
        )


def _shortened(value: Any) -> str | None:
    if isinstance(value, dict | list):
        return None
    text = value if isinstance(value, str) else repr(value)
    text = "".join(character if character.isprintable() else "�" for character in text[:_LONGEST_VALUE])
    return text


def field_errors(error: ValidationError | RequestValidationError, prefix: str = "") -> list[dict[str, Any]]:
    """Each wrong field with its JSON pointer (RFC 6901), what is wrong, and the value, shortened; at most twenty."""
    errors = error.errors() if isinstance(error, RequestValidationError) else error.errors(include_url=False)
    found = []
    for each in errors[:20]:
        location = [str(part) for part in each["loc"]]
        if isinstance(error, RequestValidationError) and location[:1] == ["body"]:
            location = location[1:]
        message = str(each["msg"]).removeprefix("Value error, ")
        entry = {"pointer": prefix + "".join(f"/{part}" for part in location), "message": message}
        value = _shortened(each.get("input"))
        if value is not None:
            entry["value"] = value
        found.append(entry)
    return found


def invalid_body(error: ValidationError) -> Problem:
    """A body that is not JSON (400) or not the wanted document (422)."""
    errors = field_errors(error)
    if error.errors(include_url=False)[0]["type"] == "json_invalid":
        return Problem(400, "body.malformed_json", f"the body is not valid JSON: {errors[0]['message']}")
    first = errors[0]
    where = first["pointer"] or "the document"
    more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return Problem(422, "body.invalid", f"{where}: {first['message']}{more}", errors=errors)


# What asyncpg and the network raise while the database is away, restarting, full, or undoing one of two that collided.
DATABASE_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
_HANDLED = (
    Problem,
    HTTPException,
    RequestValidationError,
    ValidationError,
    NotFound,
    NotPossible,
    VersionConflict,
    ExceptionConflict,
    ExceptionResolved,
    asyncpg.DataError,
    *DATABASE_AWAY,
    Exception,
)


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem document."""

    async def problem(request: Request, error: Exception) -> Response:
        return as_problem(error).response(request.url.path)

    for kind in _HANDLED:
        app.add_exception_handler(kind, problem)


def as_problem(error: Exception) -> Problem:
    """The problem that an error is to its caller; an unforeseen one is logged under a reference and tells nothing else."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid_request(error)
        case ValidationError():
            return invalid_body(error)
        case HTTPException():
            return Problem(error.status_code, f"http.{error.status_code}", str(error.detail), headers=error.headers)
        case NotFound():
            return Problem(404, "not_found", str(error))
        case VersionConflict() | ExceptionConflict():
            return Problem(412, "version.changed", str(error))
        case ExceptionResolved():
            return Problem(409, "exception.resolved", str(error))
        case NotPossible():
            return Problem(409, error.code, str(error))
        case asyncpg.DataError():
            _log.warning("value_refused_by_database", error=type(error).__name__)
            return Problem(
                422, "value.not_storable", "a value is outside what can be stored, such as a date or a number"
            )
        case _ if isinstance(error, DATABASE_AWAY):
            _log.error("database_away", error=type(error).__name__)
            return Problem(
                503,
                "database.unavailable",
                "the database does not answer now; send it again with the same Idempotency-Key: nothing is done twice",
                headers={"Retry-After": "2"},
            )
        case _:
            reference = str(new_id())
            _log.error("request_failed", reference=reference, exc_info=error)
            return Problem(
                500,
                "internal",
                f"something failed on our side; try again with the same Idempotency-Key, or tell the operator {reference}",
                extra={"reference": reference},
            )


def _invalid_request(error: RequestValidationError) -> Problem:
    errors = field_errors(error)
    first = errors[0]
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return Problem(400, "body.malformed_json", f"the body is not valid JSON: {first['message']}")
    return Problem(422, "request.invalid", f"{first['pointer'] or 'the body'}: {first['message']}", errors=errors)
