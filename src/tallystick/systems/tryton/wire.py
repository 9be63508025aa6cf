"""Values as Tryton's JSON-RPC writes them: dates, instants and decimals are objects that name their class."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_INSTANT = ("year", "month", "day", "hour", "minute", "second", "microsecond")


def to_wire(value: Any) -> Any:
    """A value for Tryton; instants go as UTC, which Tryton's are without saying so."""
    if isinstance(value, Mapping):
        return {key: to_wire(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(each) for each in value]
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        instant = value.astimezone(UTC)
        return {"__class__": "datetime", **{part: getattr(instant, part) for part in _INSTANT}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    return value


def from_wire(value: Any) -> Any:
    """A value from Tryton. Raises KeyError, TypeError, ValueError, ArithmeticError or RecursionError for what is none."""
    if isinstance(value, list):
        return [from_wire(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("__class__")
    if kind == "Decimal":
        return Decimal(value["decimal"])
    if kind == "date":
        return date(value["year"], value["month"], value["day"])
    if kind == "datetime":
        year, month, day, hour, minute, second, micro = (int(value[part]) for part in _INSTANT)
        return datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)
    return {key: from_wire(each) for key, each in value.items()}
