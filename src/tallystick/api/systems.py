"""The connected systems: what they can do, how they are, pause and resume."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import Field

from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.context import InContext
from tallystick.api.problems import Problem
from tallystick.control.access import ALL_ENTITIES, Principal, may, may_for_all
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.documents.values import Document, Identifier, LongText
from tallystick.mailbox.breaker import pause_system, read_system_states, resume_system
from tallystick.stages.flow import Flow

router = guarded_router("systems")


class Pause(Document):
    """Why a system gets no deliveries for now."""

    reason: Annotated[LongText, Field(min_length=3, description="Why; whoever looks at the system reads it")]


async def describe_systems(flow: Flow) -> list[dict[str, Any]]:
    """Every configured system with its roles, owner, the entities that use it, and what the workers know of it."""
    async with flow.pool.acquire() as connection:
        states = {state["system"]: state for state in await read_system_states(connection)}
    return [
        {
            "name": name,
            "kind": settings.kind,
            "owner": settings.owner,
            "roles": sorted(flow.systems[name].capabilities.roles) if name in flow.systems else [],
            "entities": entities_of(flow, name),
            "state": states.get(name),
        }
        for name, settings in flow.settings.systems.items()
    ]


def entities_of(flow: Flow, system: str) -> list[str]:
    """The entities that use a system; they share its fate."""
    return sorted(name for name, entity in flow.settings.entities.items() if system in entity.systems())


def _sees(principal: Principal, described: dict[str, Any]) -> bool:
    return any(may(principal, "systems.read", entity) for entity in described["entities"] or [ALL_ENTITIES])


@router.get("/systems", summary="The connected systems")
async def list_systems(context: InContext, principal: Principal = allowed("systems.read")) -> dict[str, Any]:
    """With breaker, pause and last failure; `/systems/{name}` also asks the system itself."""
    return {"items": [each for each in await describe_systems(context.flow) if _sees(principal, each)]}


@router.get("/systems/{name}", summary="One system, asked whether it answers")
async def show(name: Identifier, context: InContext, principal: Principal = allowed("systems.read")) -> dict[str, Any]:
    """Its state and the result of a health call made now."""
    found = next((each for each in await describe_systems(context.flow) if each["name"] == name), None)
    if found is None or not _sees(principal, found):
        raise _unknown(name)
    system = context.flow.systems.get(name)
    if system is None:
        return {**found, "health": None}
    try:
        async with asyncio.timeout(5):
            health = await system.check_health()
    except TimeoutError:
        return {**found, "health": {"ok": False, "latency_ms": 5000.0, "detail": "no answer within 5 s"}}
    return {**found, "health": {"ok": health.ok, "latency_ms": health.latency_ms, "detail": health.detail}}


def _unknown(name: str) -> Problem:
    return Problem(404, "not_found", f"there is no system {name!r} in the settings")


async def _set(context: Any, name: str, principal: Principal, paused: bool, reason: str | None) -> dict[str, Any]:
    entities = entities_of(context.flow, name) or [ALL_ENTITIES]
    if name not in context.flow.settings.systems or not _sees(principal, {"entities": entities}):
        raise _unknown(name)
    if not may_for_all(principal, "systems.operate", entities):
        detail = (
            f"{name} also serves entities that {principal.name} does not act for; ask somebody who acts for all of them"
        )
        raise Problem(403, "system.shared", detail)
    async with context.flow.pool.acquire() as connection, connection.transaction():
        change = pause_system if paused else resume_system
        changed = await change(connection, name, by=principal.name, reason=reason)
        action = f"system.{'pause' if paused else 'resume'}"
        await write_audit(connection, [AuditEntry(principal.name, action, "system", name, reason=reason)])
    return {"name": name, "paused": paused, "changed": changed}


@router.post("/systems/{name}:pause", summary="Stop deliveries to a system")
async def pause(
    name: Identifier,
    context: InContext,
    wanted: Pause,
    principal: Principal = allowed("systems.operate"),
) -> dict[str, Any]:
    """Messages wait; nothing is lost and no attempt is burnt. Workers learn it within a second."""
    return await _set(context, name, principal, True, wanted.reason)


@router.post("/systems/{name}:resume", summary="Let deliveries flow again")
async def resume(
    name: Identifier, context: InContext, principal: Principal = allowed("systems.operate")
) -> dict[str, Any]:
    """Also closes an open breaker, for when you know that the system is back."""
    return await _set(context, name, principal, False, None)
