"""Orders for the judgement of one check, with only what it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.checks.check import Case
from tallystick.documents.order import Order, OrderLine

TODAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def line(product_id: str = "P1", quantity: str = "1", price: str = "10.00", number: int = 1, **more: Any) -> OrderLine:
    return OrderLine(
        line_number=number, product_id=product_id, quantity=Decimal(quantity), unit_price=Decimal(price), **more
    )


def order(*lines: OrderLine, **more: Any) -> Order:
    values: dict[str, Any] = {
        "currency": "USD",
        "ordered_at": TODAY,
        "channel": "web",
        "order_number": "SO-1",
        "customer_id": "C1",
        **more,
    }
    return Order(lines=lines or (line(),), **values)


def case(*lines: OrderLine, **more: Any) -> Case:
    return Case(order(*lines, **more))


def codes(reasons: Sequence[Any]) -> list[str]:
    return [reason.code for reason in reasons]
