"""What travels between stages: a message to be offered, a delivery that a worker holds under a lease, and its settlement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from tallystick.store.identifiers import new_id

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Message:
    """Work for one stage against one system. First in, first out within (lane, stage, system).

    The lane is the transaction's id, or, for a message that belongs to none, the id of whatever it is about."""

    stage: str
    system: str
    kind: str
    lane: UUID
    payload: Mapping[str, Any]
    entity: str = "default"
    transaction_id: UUID | None = None
    available_at: datetime | None = None
    """Not before this instant; None: now."""
    id: UUID = field(default_factory=new_id)


class Delivery(NamedTuple):
    """A message claimed by this worker. `delivery` counts every claim and fences: only the latest may settle.

    A tuple, for one is made for every message: a frozen dataclass of this size takes seven times as long to make.
    """

    id: UUID
    position: int
    entity: str
    stage: str
    system: str
    kind: str
    lane: UUID
    transaction_id: UUID | None
    payload: Mapping[str, Any]
    delivery: int
    attempts: int
    """Attempts burnt so far; a throttled or unavailable system burns none."""
    created_at: datetime
    verify: bool
    """The outside write may have been done before, by an earlier delivery or an earlier try in this one: look it up first."""


@dataclass(frozen=True, slots=True)
class Done(Generic[Outcome]):
    """The stage did its work; `outcome` is recorded in the transaction that finishes the message."""

    outcome: Outcome
    asked: bool = True
    """Whether the system had a part in it; what we knew ourselves says nothing of how the system is."""
