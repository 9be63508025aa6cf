"""Orders as plain data, for the documents' tests."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from tallystick.documents.order import Order


def line(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One line: 2 of P-1 at 10.00."""
    return {"line_number": number, "product_id": "P-1", "quantity": "2", "unit_price": "10.00"} | changes


def order_data(**changes: Any) -> dict[str, Any]:
    """An order of one line over 20.00 USD."""
    return {
        "channel": "webshop",
        "order_number": "W-1",
        "customer_id": "C-1",
        "currency": "USD",
        "ordered_at": "2026-11-24T09:30:00Z",
        "lines": [line()],
    } | changes


def parsed(**changes: Any) -> Order:
    """The order, from JSON as a channel sends it."""
    return Order.model_validate_json(json.dumps(order_data(**changes)))


def mistakes(**changes: Any) -> list[tuple[str, str]]:
    """Where the order is wrong and what is said: the place of a misfit is where its context says."""
    try:
        parsed(**changes)
    except ValidationError as error:
        places = [(*each["loc"], *each.get("ctx", {}).get("at", ())) for each in error.errors()]
        named = [".".join(str(part) for part in place) for place in places]
        return list(zip(named, (each["msg"] for each in error.errors()), strict=True))
    return []
