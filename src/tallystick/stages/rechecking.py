"""Held orders that need no person go on by themselves: when a silent system answers, when a credit hold is released."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from tallystick.control.audit import SYSTEM, AuditEntry
from tallystick.control.exceptions import Holding, holdings
from tallystick.documents.decision import CheckResult, Decision, gravest
from tallystick.documents.transaction import IntakeState
from tallystick.mailbox.messages import Done
from tallystick.stages.decision import check_again, missing_facts
from tallystick.stages.flow import INTAKE, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.redecision import redecide
from tallystick.stages.stage import Result, Stage, Work, unasked
from tallystick.systems.failure import Unavailable


def rechecking(flow: Flow) -> Stage:
    """The stage with its one kind of message."""
    return Stage(INTAKE, flow, {"check_again": check_orders_again})


async def check_orders_again(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Check held orders again, those of an entity at once; one that a person decided meanwhile is left alone."""
    by_entity: dict[str, list[Work]] = {}
    for work in works:
        if work.dossier.transaction.intake is IntakeState.HELD:
            by_entity.setdefault(work.dossier.transaction.entity, []).append(work)
    async with flow.pool.acquire() as connection:
        known = await holdings(connection, [work.dossier.transaction.id for work in works])
    held_for = {work.delivery.id: known.get(work.dossier.transaction.id, Holding()) for work in works}
    checked = await asyncio.gather(
        *(
            flow.checks.check(
                flow.settings.entities[name],
                [work.dossier.order for work in group],
                overrides=[held_for[work.delivery.id].overridden for work in group],
            )
            for name, group in by_entity.items()
        )
    )
    results: dict[UUID, Result] = {}
    for group, found in zip(by_entity.values(), checked, strict=True):
        for work, result in zip(group, found, strict=True):
            results[work.delivery.id] = _checked(flow, work, result, held_for[work.delivery.id])
    return [results.get(work.delivery.id) or unasked(Done(Outcome())) for work in works]


def _checked(flow: Flow, work: Work, results: Sequence[CheckResult], known: Holding) -> Result:
    """The answer for one order; `known` is why its open exception holds it."""
    transaction, system = work.dossier.transaction, work.delivery.system
    missing = missing_facts(results)
    if missing is not None and missing.system_value == system:
        return Unavailable(missing.message, system=system)
    if missing is not None:
        # This system answers by now, and another one does not: the order waits for that one.
        waits_for = str(missing.system_value)
        return Done(Outcome(messages=(check_again(transaction.id, transaction.entity, waits_for),)))
    decision = gravest(list(results))
    holding = {reason.code for result in results for reason in result.reasons if reason.decision is not Decision.ACCEPT}
    if decision is Decision.HOLD and holding == known.codes:
        return Done(Outcome())  # its exception says so already
    outcome = redecide(flow, work.dossier, work.dossier.order, None, results, SYSTEM, known.overridden)
    entry = AuditEntry(
        SYSTEM,
        "order.check_again",
        "transaction",
        str(transaction.id),
        transaction.entity,
        transaction.id,
        detail={"decision": decision.value, "system": system},
    )
    return Done(replace(outcome, audits=(entry,)))
