"""Answers about what runs: systems, events taken, health; about who did what and who may; and what went wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from tallystick.api.shapes.shape import Page, Shape


class SystemState(Shape):
    """What the workers know of a system."""

    system: str
    paused: bool
    paused_by: str | None
    paused_reason: str | None
    breaker: Literal["closed", "open", "half_open"]
    breaker_until: datetime | None
    consecutive_failures: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    updated_at: datetime


class SystemSummary(Shape):
    """A connected system."""

    name: str
    kind: str
    owner: str | None
    roles: list[str]
    entities: list[str]
    state: SystemState | None
    """Null until a worker has met it."""


class SystemList(Shape):
    """The connected systems."""

    items: list[SystemSummary]


class SystemHealth(Shape):
    """What the system said when asked just now."""

    ok: bool
    latency_ms: float
    detail: str


class SystemStory(SystemSummary):
    """A connected system, asked whether it answers."""

    health: SystemHealth | None
    """Null where the system is not connected to this server."""


class Pausing(Shape):
    """Whether a system gets deliveries now, and whether that is new."""

    name: str
    paused: bool
    changed: bool


class AuditRecord(Shape):
    """Who did what, when and why."""

    id: UUID
    at: datetime
    principal: str
    action: str
    object_type: str
    object_id: str
    entity: str | None
    transaction_id: UUID | None
    reason: str | None
    detail: dict[str, Any] | None


class AuditPage(Page):
    """Audit entries, the newest first."""

    items: list[AuditRecord]


class Key(Shape):
    """An API key without its secret."""

    id: str
    principal: str
    roles: list[str]
    entities: list[str]
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyList(Shape):
    """API keys, the oldest first."""

    items: list[Key]


class KeyOnce(Shape):
    """A key just made; its secret is here and nowhere else."""

    id: str
    key: str
    expires_at: datetime | None


class Revoked(Shape):
    """The id of the key that is revoked."""

    revoked: str


class SchemaNames(Shape):
    """Each is at /v1/schemas/{name}."""

    items: list[str]


class EventResult(Shape):
    """What became of one event."""

    id: str
    status: int
    code: str
    detail: str
    transaction_id: UUID | None


class EventResults(Shape):
    """What became of each event of a batch, in its order."""

    results: list[EventResult]


class Liveness(Shape):
    """The process answers."""

    status: Literal["alive"]


class Readiness(Shape):
    """Whether orders can be taken, and if not, why."""

    status: Literal["ready", "not ready"]
    database: Literal["ok", "no answer"]
    schema_: Annotated[Literal["current", "newer", "older", "missing", "unknown"], Field(alias="schema")]


class FieldError(Shape):
    """One wrong field or parameter."""

    pointer: str | None = None
    """JSON pointer (RFC 6901) into the body."""
    parameter: str | None = None
    """Name of a query parameter, or of a part of the path."""
    message: str | None = None
    value: str | None = None
    """The value, shortened."""


class Problem(Shape):
    """RFC 9457. `code` is stable and dotted: decide by it, show `detail`. Some have further fields of their own."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    errors: list[FieldError] = Field(default=[])
