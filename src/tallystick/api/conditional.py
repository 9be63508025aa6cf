"""Conditional changes (RFC 9110, section 13): who changes something says which version they saw."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header

from tallystick.api.problems import Problem

_ETAG = re.compile(r'^(?:W/)?"([0-9]{1,9})"$')


def _version(if_match: Annotated[str | None, Header(description='The ETag you read, such as "3"')] = None) -> int:
    if if_match is None:
        raise Problem(
            428, "if_match.missing", "send If-Match with the ETag you read, so that nobody's change is overwritten"
        )
    found = _ETAG.match(if_match.strip())
    if not found:
        raise Problem(400, "if_match.invalid", f"If-Match: {if_match[:40]!r} is not an ETag of ours")
    return int(found.group(1))


ExpectedVersion = Annotated[int, Depends(_version)]
