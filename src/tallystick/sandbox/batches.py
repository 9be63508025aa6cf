"""How every sandbox server takes and answers a batch: references in, a status and a body for each item out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import orjson
from fastapi import Response
from pydantic import Field, StringConstraints

from tallystick.documents.values import NO_CONTROL_CHARACTERS, Document

MAXIMUM_ITEMS = 1_000
MAXIMUM_PAGE = 1_000

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_CONTROL_CHARACTERS)]
"""The caller's own deterministic name of a request; longer than an identifier, since it may contain two."""


class References(Document):
    """Requests by their reference."""

    items: Annotated[tuple[Reference, ...], Field(min_length=1, max_length=MAXIMUM_ITEMS)]


def json_answer(body: Any, status: int = 200) -> Response:
    """A JSON answer as it is, past FastAPI's own encoder: batches are large and already plain data."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def items_answer(items: list[dict[str, Any]]) -> Response:
    """The answer to a batch: a status and a body for each item, in the batch's order."""
    return json_answer({"items": items})


def item(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """One item's answer."""
    return {"status": status, "body": body}


def item_problem(status: int, code: str, detail: str, title: str = "Refused") -> dict[str, Any]:
    """One item's refusal as an RFC 9457 problem document with a stable code."""
    return item(status, {"title": title, "status": status, "code": code, "detail": detail})


def page(rows: Iterable[Any], after: int, limit: int) -> dict[str, Any]:
    """One page of a list by position, at most MAXIMUM_PAGE rows, and where the next begins (None: this was the last)."""
    kept = list(rows)
    start = max(after, 0)
    following = start + min(max(limit, 1), MAXIMUM_PAGE)
    return {"items": kept[start:following], "next": following if following < len(kept) else None}
