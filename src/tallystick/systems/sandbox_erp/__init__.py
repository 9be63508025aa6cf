"""Connector for the sandbox's ERP: the short example of an ERP connector, batch-first, with an answer an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.systems.options import HttpOptions
from tallystick.systems.sandbox_erp.connector import SandboxErp


def connect(name: str, options: Mapping[str, Any]) -> SandboxErp:
    """The connector under its name in the settings. Raises pydantic's ValidationError naming a wrong setting."""
    return SandboxErp(name, HttpOptions.model_validate(dict(options)))
