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
from starlette.routing import Match

from tallystick.api.mistakes import in_words
from tallystick.control.exceptions import ExceptionConflict, ExceptionResolved
from tallystick.stages.impossible import NotFound, NotPossible, VersionConflict
from tallystick.store.identifiers import new_id

_log = structlog.get_logger("tallystick.api")
MEDIA_TYPE = "application/problem+json"
# RFC 9110's names, which Python has from 3.13 on: a problem's title is the same everywhere.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
_LONGEST_VALUE = 80
_LONGEST_TEXT = 500
_MOST_ERRORS = 20
_MOST_TOLD = 10_000


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
            "title": _TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if instance:
            content["instance"] = instance
        if self.errors:
            content["errors"] = self.errors
        return Response(
            orjson.dumps({**self.extra, **content}, default=str),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers=self.headers,
        )


def printable(text: str) -> str:
    """The text, shortened, with what would move a terminal or break a log replaced."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:_LONGEST_TEXT])


def _shortened(value: Any) -> str | None:
    if isinstance(value, dict | list | tuple | bytes):
        return None
    text = value if isinstance(value, str) else repr(value)
    return printable(text[:_LONGEST_VALUE])


def field_errors(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """Each wrong field by its JSON pointer (RFC 6901), or parameter by its name, with what is wrong and the value, shortened; at
    most twenty. Where a document's fields don't fit each other, the error's context says which to correct."""
    found = []
    for each in errors[:_MOST_ERRORS]:
        place = (*each["loc"], *each.get("ctx", {}).get("at", ()))
        message = printable(in_words(each))
        if place[:1] in (("query",), ("path",), ("header",)):
            entry = {"parameter": printable(str(place[-1])), "message": message}
        else:
            pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)
            entry = {"pointer": printable(pointer), "message": message}
        value = _shortened(each.get("input"))
        if value is not None:
            entry["value"] = value
        found.append(entry)
    return found


def invalid_body(error: ValidationError) -> Problem:
    """A body that is not JSON (400) or not the wanted document (422)."""
    if error.error_count() > _MOST_TOLD:
        detail = f"{error.error_count()} values are wrong; compare it with the document's schema at /v1/schemas"
        return Problem(422, "body.invalid", detail)
    wrong = error.errors(include_url=False)
    errors = field_errors(wrong)
    first = errors[0]
    if wrong[0]["type"] == "json_invalid":
        return Problem(400, "body.malformed_json", f"the body is not valid JSON: {first['message']}")
    where = first["pointer"] or "the document"
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return Problem(422, "body.invalid", f"{where}: {first['message']}{more}", errors=errors)


def _invalid_request(error: RequestValidationError) -> Problem:
    """A path, query, header or body that is not what the route takes. Pointers into the body start at its root."""
    wrong = error.errors()
    if wrong[0]["type"] == "json_invalid":
        return Problem(400, "body.malformed_json", f"the body is not valid JSON: {wrong[0]['ctx']['error']}")
    placed = [{**each, "loc": each["loc"][1:] if each["loc"][:1] == ("body",) else each["loc"]} for each in wrong]
    errors = field_errors(placed)
    first = errors[0]
    where = first.get("parameter") or first.get("pointer") or "the body"
    return Problem(422, "request.invalid", f"{where}: {first['message']}", errors=errors)


# What asyncpg and the network raise while the database is away, restarting, closed, full, or undoing one of two that collided.
DATABASE_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke between two of the driver's steps
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a server that became a standby
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
        found = as_problem(error)
        if found.status == 405:
            found.headers["Allow"] = ", ".join(_methods_of(request))
        return found.response(request.url.path)

    for kind in _HANDLED:
        app.add_exception_handler(kind, problem)


def _methods_of(request: Request) -> list[str]:
    """All methods of an address; the router tells those of the first route that has it only."""

    def fits(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)

    found = [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if fits(method)]
    return ["HEAD", *found] if "GET" in found else found


def as_problem(error: Exception) -> Problem:
    """The problem that an error is to its caller; an unforeseen one is logged under a reference and tells nothing else."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid_request(error)
        case ValidationError():
            return invalid_body(error)
        case HTTPException(status_code=400):  # FastAPI's word for a body that its JSON parser gave up on
            return Problem(400, "body.malformed_json", "the body is not valid JSON, or nested too deep")
        case HTTPException(status_code=404):
            return Problem(404, "not_found", "there is nothing at this address; /openapi.json lists what there is")
        case HTTPException(status_code=405):
            return Problem(
                405, "method.not_allowed", "this address does not take the method; Allow says which it takes"
            )
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
