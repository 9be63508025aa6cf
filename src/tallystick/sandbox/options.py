"""What a sandbox server is started with; secrets come by the environment so that no process list shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

SYSTEMS = ("crm", "wms", "tax", "payments", "erp")
TOKEN_VARIABLE = "TALLYSTICK_SANDBOX_TOKEN"  # noqa: S105 - a variable's name
SECRET_VARIABLE = "TALLYSTICK_SANDBOX_EVENT_SECRET"  # noqa: S105 - a variable's name


class Options(BaseModel):
    """One server's start-up options. `create_app(options)` of each system takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern="^[a-z][a-z0-9_-]{0,40}$")
    """Its own name; events come from the source `/systems/<name>`."""
    token: SecretStr
    """Bearer token that every call but `/health` must carry."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """The same seed makes the same choices for the same orders."""
    state_file: Path | None = None
    """Journal of its state; with it a kill -9 and a restart keep everything that was answered."""
    hub_url: HttpUrl | None = None
    """Where its events go (`/v1/events` is added). None: it keeps them, and the list shows them as pending."""
    event_secret: SecretStr | None = None
    """Standard Webhooks secret (`whsec_…`) that signs its events."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The system's own settings, such as tax rates or the simulation's probabilities."""

    @property
    def event_source(self) -> str:
        """The CloudEvents `source` of its events."""
        return f"/systems/{self.name}"
