"""Conditional changes (RFC 9110, section 13): who changes something says which version they saw."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header

from tallystick.api.problems import Problem

ETAG = r'(W/)?"([\x21\x23-\x7e]*)"'
_ETAG = re.compile(ETAG)
# An ETag that was none of ours, or a weak one: by the rules of strong comparison it matches nothing. The change then ends
# with 404 where there is no such thing (or none that the principal may see), and with 412 where there is.
NO_VERSION = -1


def _version(if_match: Annotated[str | None, Header(description='The ETag you read, such as "3"')] = None) -> int:
    if if_match is None or if_match.strip(" \t") == "*":
        detail = "send If-Match with the ETag you read, so that nobody's change is overwritten; * names none"
        raise Problem(428, "if_match.missing", detail)
    found = _ETAG.fullmatch(if_match.strip(" \t"))
    if not found:
        raise Problem(400, "if_match.invalid", 'If-Match: one ETag is needed, in its quotes, such as "3"')
    weak, tag = found.groups()
    return int(tag) if not weak and re.fullmatch("0|[1-9][0-9]{0,8}", tag) else NO_VERSION


ExpectedVersion = Annotated[int, Depends(_version)]
