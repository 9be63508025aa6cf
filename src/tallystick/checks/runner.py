"""Runs all checks of a batch at once under one deadline, and turns reasons into results by the entity's policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tallystick.checks.check import Batch, Case, Check, Evidence
from tallystick.checks.credit import CreditCheck
from tallystick.checks.customer import CustomerCheck
from tallystick.checks.facts import FactSource
from tallystick.checks.inventory import InventoryCheck
from tallystick.checks.masters import Masters
from tallystick.checks.price import PriceCheck
from tallystick.checks.tax import TaxCheck
from tallystick.checks.tax_rates import Rates, TaxSource
from tallystick.documents.decision import CheckResult, Decision, Reason
from tallystick.documents.order import Order
from tallystick.settings import Entity, FactsPolicy, Policy
from tallystick.store.pool import Pool
from tallystick.systems.failure import Failure, Unavailable
from tallystick.systems.ports import Erp, System, Tax

# A new check is one file and its line here. They judge in this order: credit counts the tax that the tax check found.
CHECKS: dict[str, Check] = {
    check.name: check for check in (CustomerCheck(), PriceCheck(), TaxCheck(), InventoryCheck(), CreditCheck())
}


class CheckRunner:
    """Judges orders. `systems` are the connected systems by name."""

    def __init__(self, pool: Pool, systems: Mapping[str, System]) -> None:
        self._pool = pool
        self._systems = systems
        self._masters: dict[str, Masters] = {}
        self._rates: dict[str, Rates] = {}

    async def check(
        self,
        entity: Entity,
        orders: Sequence[Order],
        *,
        replacing: Sequence[Order | None] | None = None,
        overrides: Sequence[frozenset[str]] | None = None,
    ) -> list[tuple[CheckResult, ...]]:
        """Results of every check for each order, in the orders' order: that in which they arrived.

        Facts are gathered for all orders at once. Then one order is judged after the other, and one that all checks accept
        counts against the stock and credit of those behind it. `overrides` are, for each order, the reason codes that a person
        overrode: those accept and say so. Raises what the database raises; a system's failure becomes a reason.
        """
        policy = entity.policy
        replaced = replacing or [None] * len(orders)
        cases = [Case(order, before) for order, before in zip(orders, replaced, strict=True)]
        checks = [check for name, check in CHECKS.items() if name not in policy.disabled_checks]
        batch = self._batch(entity, cases)
        try:
            gathered = await _gather(checks, batch, entity)
        finally:
            await batch.close()
        waived = overrides or [frozenset[str]()] * len(orders)
        return [_judge(case, gathered, policy, codes) for case, codes in zip(cases, waived, strict=True)]

    def _batch(self, entity: Entity, cases: Sequence[Case]) -> Batch:
        erp = self._systems.get(entity.erp)
        tax = self._systems.get(entity.tax) if entity.tax else None
        masters = self._masters.setdefault(entity.erp, Masters(self._pool, entity.erp))
        taxes: TaxSource | None = None
        if entity.tax and "tax" not in entity.policy.disabled_checks:
            rates = self._rates.setdefault(entity.tax, Rates())
            taxes = TaxSource(self._pool, entity.tax, tax if isinstance(tax, Tax) else None, rates)
        return Batch(
            cases=cases,
            policy=entity.policy,
            source=FactSource(self._pool, entity.erp, erp if isinstance(erp, Erp) else None, masters),
            tax=taxes,
            today=datetime.now(UTC).date(),
        )


@dataclass(frozen=True, slots=True)
class _Gathered:
    """One check with its evidence, and how long that took."""

    name: str
    evidence: Evidence
    duration_ms: float
    passed: dict[tuple[int | None, str | None], CheckResult] = field(default_factory=dict)
    """Results without a reason, one for each (tax amount, warehouse): most orders of a batch share them."""

    def result(self, case: Case, decision: Decision, reasons: tuple[Reason, ...]) -> CheckResult:
        """The check's result for one order."""
        tax_amount = case.tax_amount if self.name == "tax" else None
        warehouse = case.warehouse if self.name == "inventory" else None
        shared = None if reasons else self.passed.get((tax_amount, warehouse))
        if shared is not None:
            return shared
        made = CheckResult.model_construct(
            check=self.name,
            decision=decision,
            reasons=reasons,
            source=self.evidence.source,
            facts_age_seconds=self.evidence.age_seconds,
            duration_ms=self.duration_ms,
            tax_amount=tax_amount,
            warehouse=warehouse,
        )
        if not reasons:
            self.passed[tax_amount, warehouse] = made
        return made


async def _gather(checks: Sequence[Check], batch: Batch, entity: Entity) -> list[_Gathered]:
    """All checks' evidence, asked for at once; the first unexpected error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_evidence(check, batch, entity)) for check in checks]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _evidence(check: Check, batch: Batch, entity: Entity) -> _Gathered:
    """A check's evidence; without facts by the deadline, that they are missing."""
    started = time.perf_counter()
    evidence: Evidence
    try:
        async with asyncio.timeout(batch.policy.deadline_seconds):
            evidence = await check.gather(batch)
    except TimeoutError:
        system = (entity.tax if check.role == "tax" else None) or entity.erp
        late = Unavailable(f"{system} gave no answer within {batch.policy.deadline_seconds:g} s", system=system)
        evidence = Missing(check.name, late, batch.policy)
    except Failure as failure:
        evidence = Missing(check.name, failure, batch.policy)
    return _Gathered(check.name, evidence, round((time.perf_counter() - started) * 1000, 3))


class Missing:
    """A check without facts: every order gets what the policy says of such orders, and why."""

    source: str = "none"
    age_seconds: float | None = None

    def __init__(self, name: str, failure: Failure, policy: Policy) -> None:
        facts: FactsPolicy = getattr(policy, name, FactsPolicy())
        self._name = name
        self._failure = failure
        self._decision = Decision(facts.when_unavailable)

    def judge(self, case: Case) -> Sequence[Reason]:
        """That nothing is known."""
        failure = self._failure
        return [
            Reason(
                check=self._name,
                code=f"{self._name}.facts_unavailable",
                message=f"facts for the {self._name} check could not be had: {failure.message}; "
                f"retry when {failure.system} answers, or override",
                decision=self._decision,
                system_value=failure.system,
                money_at_risk=max(0, case.order.net_amount),
            )
        ]

    def take(self, case: Case) -> None:
        """Nothing is known that could be used up."""


def _judge(
    case: Case, gathered: Sequence[_Gathered], policy: Policy, overridden: frozenset[str]
) -> tuple[CheckResult, ...]:
    results: list[CheckResult] = []
    accepted = True
    for each in gathered:
        found = each.evidence.judge(case)
        reasons = tuple([_decided(reason, policy, overridden) for reason in found]) if found else ()
        decision = max((reason.decision for reason in reasons), key=_gravity) if reasons else Decision.ACCEPT
        accepted = accepted and decision is Decision.ACCEPT
        results.append(each.result(case, decision, reasons))
    if accepted:
        for each in gathered:
            each.evidence.take(case)
    return tuple(results)


def _gravity(decision: Decision) -> int:
    return decision.gravity


def _decided(reason: Reason, policy: Policy, overridden: frozenset[str]) -> Reason:
    """The reason with the policy's decision for its code; one that a person overrode is kept and accepts."""
    if reason.code in overridden:
        return reason.model_copy(update={"decision": Decision.ACCEPT, "message": f"overridden: {reason.message}"})
    decision = policy.decisions.get(reason.code)
    return reason if decision is None else reason.model_copy(update={"decision": Decision(decision)})
