"""New ids: UUIDv7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A UUIDv7; ids made by one process are strictly increasing."""
    return uuid_utils.compat.uuid7()
