"""What an HTTP status means to the flow: which of the five kinds of failure, with the system's own words in the message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tallystick.systems.excerpts import excerpt, one_line
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown

MAXIMUM_RETRY_AFTER = 3_600.0  # a system that asks for a longer pause is asked again after an hour all the same

# One wrong secret or URL would otherwise open an exception for every order. It is the connection that is wrong, not the
# order: as Unavailable the breaker opens, the messages wait without burning attempts, and health names the setting.
_MISCONFIGURED = {
    401: "it does not accept our credentials",
    403: "our credentials are not allowed to do this",
    405: "it does not know this call",
    407: "the proxy wants credentials",
}
# The gateway or server says that nobody is there to do the work. A gateway's 502 may also come after a crash in the middle
# of it; that is safe too, since every later delivery of a message looks its reference up first.
_AWAY = frozenset({502, 503})
_NOT_TAKEN = frozenset({408, 425})  # the request was not taken: nothing was done, and the next try may work


def failure_of_status(
    system: str,
    status: int,
    headers: Mapping[str, object],
    body: Any,
    *,
    where: str,
    write: bool,
    request: Any = None,
) -> Failure:
    """The Failure that an answer other than 2xx means, for a whole call or for one item of a batch.

    `body` is the parsed JSON or the text; an RFC 9457 problem's title, detail and code go into message and code.
    """
    title, code = _said(body)
    said = f"{system}: {title or f'status {status}'} ({where}, status {status})"
    retry_after = parse_retry_after(headers.get("retry-after") or headers.get("Retry-After"))
    kind, own_code, ending = _meaning(status, write)
    return kind(
        f"{said}{ending}",
        system=system,
        code=code if kind is Rejected and code else f"{system}.{own_code}",
        retry_after=retry_after if kind in (Throttled, Unavailable) else None,
        request=request,
        response={"status": status, "body": excerpt(body) if body is not None else None},
    )


def _meaning(status: int, write: bool) -> tuple[type[Failure], str, str]:
    """Kind, stable code and what happens next, for a status."""
    if status in _MISCONFIGURED or 300 <= status < 400:
        why = _MISCONFIGURED.get(status, "it redirects elsewhere")
        return Unavailable, "misconfigured", f"; {why}: correct the url, token or rights of this system in the settings"
    if status == 429:
        return Throttled, "throttled", "; it is called again after the pause it asks for"
    if status in _AWAY:
        return Unavailable, "unavailable", "; it is tried again when it answers"
    if status in _NOT_TAKEN:
        return Transient, "transient", "; it is tried again"
    if 400 <= status < 500:
        return Rejected, f"status_{status}", ""
    if write:
        return Unknown, "server_error", "; the work may be done: it is looked up before the next try"
    return Transient, "server_error", "; it is asked again"


def _said(body: Any) -> tuple[str, str | None]:
    """What the system says, in one line, and its stable code; both from a problem document where it is one."""
    if not isinstance(body, dict):
        return (one_line(body) if isinstance(body, str) else ""), None
    detail = body.get("detail") or body.get("message") or body.get("error")
    if isinstance(detail, list):  # FastAPI's validation errors
        detail = "; ".join(_field_error(each) for each in detail[:3])
    title = body.get("title")
    parts = [one_line(each) for each in (title, detail) if each and isinstance(each, str)]
    code = body.get("code")
    return ": ".join(parts), one_line(code, 100) if isinstance(code, str) and code else None


def _field_error(error: Any) -> str:
    if not isinstance(error, dict):
        return one_line(error)
    location = error.get("loc")
    where = ".".join(str(each) for each in location) if isinstance(location, list) else ""
    return f"{where}: {error.get('msg', 'invalid')}"


def parse_retry_after(value: object) -> float | None:
    """Seconds to wait from a Retry-After header, either form (RFC 9110, section 10.2.3); None when absent or senseless.

    In an item of a batch the header is whatever JSON the system wrote there.
    """
    if not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        try:
            until = parsedate_to_datetime(str(value))
        except (ValueError, OverflowError):
            return None
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), MAXIMUM_RETRY_AFTER)
