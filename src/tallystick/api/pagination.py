"""Pages by cursor: opaque to the caller, checked when it comes back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import orjson
from fastapi import Query

from tallystick.api.problems import Problem

Value = TypeVar("Value")
Limit = Annotated[int, Query(ge=1, le=200, description="Items a page")]
_BASE64 = {"pattern": "^[A-Za-z0-9_-]*$"}  # told, not checked here: whatever is none of ours gets one answer
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before", json_schema_extra=_BASE64)
]


def encode_cursor(value: Any) -> str:
    """A cursor that holds a plain value."""
    return base64.urlsafe_b64encode(orjson.dumps(value, default=str)).decode().rstrip("=")


def decode_cursor(cursor: str | None, kind: Callable[[Any], Value]) -> Value | None:
    """The value of a cursor, as `kind` reads it; None for none. Raises a 422 problem when it is none of ours."""
    if cursor is None:
        return None
    try:
        return kind(orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))))
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError):
        raise Problem(422, "cursor.invalid", "cursor: not one of ours; start again without it") from None


def position_in(sort: str) -> Callable[[Any], tuple[datetime | int, UUID]]:
    """Reads a cursor's place in a list sorted by `money` or by an instant; one of another sorting is refused."""

    def position(cursor: Any) -> tuple[datetime | int, UUID]:
        sorted_by, value, last = cursor
        if sorted_by != sort:
            raise ValueError(f"the cursor is of a list sorted by {sorted_by}")
        return (int(value) if sort == "money" else datetime.fromisoformat(value)), UUID(last)

    return position


def page(items: list[Any], limit: int, cursor_of: Any) -> dict[str, Any]:
    """A page of at most `limit` items (one more was asked for) with the cursor of the next, or null."""
    more = len(items) > limit
    shown = items[:limit]
    return {"items": shown, "next": encode_cursor(cursor_of(shown[-1])) if more else None}
