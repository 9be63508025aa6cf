"""Deliveries made up for tests that need no database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tallystick.mailbox.messages import Delivery
from tallystick.store.identifiers import new_id


def delivery(**fields: Any) -> Delivery:
    """A first delivery of a first attempt, but for `fields`."""
    lane = new_id()
    made: dict[str, Any] = {
        "id": new_id(),
        "position": 1,
        "entity": "default",
        "stage": "commitment",
        "system": "erp",
        "kind": "commit_order",
        "lane": lane,
        "transaction_id": lane,
        "payload": {},
        "delivery": 1,
        "attempts": 0,
        "created_at": datetime.now(UTC),
        "verify": False,
    }
    return Delivery(**{**made, **fields})
