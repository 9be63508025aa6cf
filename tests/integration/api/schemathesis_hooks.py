"""What schemathesis can't read in a description: how events are signed, what NDJSON is, and which rules no schema can say."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.openapi.checks import RejectedPositiveData
from standardwebhooks.webhooks import Webhook
from tests.integration.api.installation import EVENT_SECRET

from tallystick.api.conditional import ETAG
from tallystick.api.examples import ORDER

_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
IDS: dict[str, list[str]] = json.loads(os.environ.get("TALLYSTICK_FUZZ_IDS", "{}"))
OWN_KEY = os.environ.get("TALLYSTICK_FUZZ_KEY", "tsk__").split("_")[1]
STAND_IN = "v1,to-be-signed"  # as in schemathesis.toml
# A valid request can be refused with these, and only these; each says why no JSON Schema could have.
BEYOND_SCHEMAS = {
    "order.rejected": "the checks' answer, which depends on what the systems of record say",
    "order.change_rejected": "as order.rejected",
    "order.change_held": "as order.rejected",
    "cursor.invalid": "a cursor is opaque: any text could be one",
    "event.unknown_type": "other systems' types are valid CloudEvents",
    "event.invalid_data": "what data must be follows from the type, and that is any",
}
# Fields that are wrong only beside others, or in ways that JSON Schema has no word for, by what is said of them.
_BEYOND_SCHEMAS = re.compile(
    # arithmetic that doesn't tie out, line numbers that come twice
    r"(total_amount|lines\[\d+\])\S*: .*|"
    # how large a number is that is written as text, and how many digits it has: multipleOf is of binary floats
    r"Input should be (greater|less) than .*|Decimal input should have no more than .*|"
    # lengths count without the spaces around a text
    r"String should have at least \d+ characters?|"
    # JSON Schema takes 5.0 for an integer; we take none that went through a float
    r"Input should be a valid integer|"
    # which currencies are in use, ISO says
    r".* is not an active ISO 4217 currency code|"
    # what JSON in PostgreSQL can't hold, where the content is free
    r".*: (a NUL character in a text|integers have at most 64 bits.*)|.*: nested more than 32 deep"
)


@schemathesis.hook
def filter_failure(context: schemathesis.HookContext, failure: Any, case: Any, response: Any) -> bool:
    """Keep every failure, but for a refusal of valid data by a rule that no schema can say."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    problem = response.json()
    if problem["code"] in ("body.invalid", "request.invalid"):
        return not all(_BEYOND_SCHEMAS.fullmatch(each["message"]) for each in problem.get("errors", [{"message": ""}]))
    return problem["code"] not in BEYOND_SCHEMAS


@schemathesis.hook
def flatmap_path_parameters(context: schemathesis.HookContext, path_parameters: dict[str, Any] | None) -> Any:
    """Half of the valid ids are those of something that is there; schemathesis finds some by itself, and too few."""
    there = {
        name: st.sampled_from(IDS[name]) if name in IDS and _valid(name, value) else st.just(value)
        for name, value in (path_parameters or {}).items()
    }
    return st.one_of(st.just(path_parameters), st.fixed_dictionaries(there)) if there else st.just(path_parameters)


@schemathesis.hook
def flatmap_headers(context: schemathesis.HookContext, headers: dict[str, Any]) -> Any:
    """Half of the valid versions are those that things have in the beginning."""
    if headers and re.fullmatch(ETAG, str(headers.get("If-Match", ""))):
        return st.sampled_from([headers, {**headers, "If-Match": '"1"'}])
    return st.just(headers)


def _valid(name: str, value: Any) -> bool:
    return name == "name" or (isinstance(value, str) and _UUID.fullmatch(value) is not None)


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: Any) -> bool:
    """Who tries the keys does not revoke their own, which would leave 401 for all that follows."""
    return bool((case.path_parameters or {}).get("key_id") != OWN_KEY)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Any, kwargs: dict[str, Any]) -> None:
    """Have what goes to /v1/events signed when all of it stands."""
    if case.path == "/v1/events":
        kwargs["auth"] = Signed()


class Signed(requests.auth.AuthBase):
    """Signs as the source would, at today's time, where the description's signature stands in; what was drawn stays wrong."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests when all else of the request stands."""
        headers, now = request.headers, datetime.now(UTC)
        body = request.body if isinstance(request.body, str | bytes) else b""
        drawn = {name: _text(headers.get(f"webhook-{name}", "")) for name in ("signature", "id", "timestamp")}
        if drawn["signature"] == STAND_IN and drawn["id"] and re.fullmatch("[0-9]{1,15}", drawn["timestamp"]):
            headers["webhook-timestamp"] = str(int(now.timestamp()))
            headers["webhook-signature"] = Webhook(EVENT_SECRET).sign(drawn["id"], now, _text(body))
        return request


def _text(data: str | bytes) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data


_line = st.one_of(
    st.builds(lambda number: json.dumps(ORDER | {"order_number": f"N-{number}"}).encode(), st.integers(0, 9_999)),
    st.sampled_from([b"", b"{}", b"[]", b"null", b'{"entity": "default"}', b"\xff", b'"\\ud800"']),
    st.binary(max_size=60),
)
schemathesis.openapi.media_type("application/x-ndjson", st.lists(_line, max_size=6).map(b"\n".join))
