"""Answers as JSON bytes, with the entity tag of what they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


def json_response(
    body: Any, status: int = 200, *, version: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`body` as JSON; `version` becomes the ETag that a later change names in If-Match."""
    sent = dict(headers or {})
    if version is not None:
        sent["ETag"] = f'"{version}"'
    return Response(orjson.dumps(body, default=str, option=orjson.OPT_UTC_Z), status, sent, "application/json")
