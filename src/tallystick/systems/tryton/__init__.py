"""Connects Tryton 8.2 over its network RPC (docs/how-to/connect-tryton.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.systems.tryton.connector import Tryton
from tallystick.systems.tryton.options import TrytonOptions


def connect(name: str, options: Mapping[str, Any]) -> Tryton:
    """The connector under its name in the settings. Raises pydantic's ValidationError naming a wrong setting."""
    return Tryton(name, TrytonOptions.model_validate(dict(options)))
