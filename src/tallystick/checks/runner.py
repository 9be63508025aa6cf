"""Runs all checks of a batch at once under one deadline, and turns reasons into results by the entity's policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tallystick.checks.check import Batch, Check, Judgement
from tallystick.checks.credit import CreditCheck
from tallystick.checks.customer import CustomerCheck
from tallystick.checks.facts import FactSource, unavailable_message
from tallystick.checks.inventory import InventoryCheck
from tallystick.checks.price import PriceCheck
from tallystick.checks.tax import TaxCheck
from tallystick.documents.decision import CheckResult, Decision, Reason
from tallystick.documents.order import Order
from tallystick.settings import Entity, FactsPolicy, Policy
from tallystick.store.pool import Pool
from tallystick.systems.failure import Failure, Unavailable
from tallystick.systems.ports import Erp, System, Tax

# A new check is one file and its line here.
CHECKS: dict[str, Check] = {
    check.name: check for check in (CustomerCheck(), PriceCheck(), TaxCheck(), InventoryCheck(), CreditCheck())
}


class CheckRunner:
    """Judges orders. `systems` are the connected systems by name."""

    def __init__(self, pool: Pool, systems: Mapping[str, System]) -> None:
        self._pool = pool
        self._systems = systems

    async def check(
        self,
        entity: Entity,
        orders: Sequence[Order],
        *,
        replacing: Sequence[Order | None] | None = None,
        overrides: Sequence[frozenset[str]] | None = None,
    ) -> list[tuple[CheckResult, ...]]:
        """Results of every check for each order, in the orders' order.

        `overrides` are, for each order, the reason codes that a person overrode: those accept and say so.
        """
        erp = self._systems.get(entity.erp)
        tax = self._systems.get(entity.tax) if entity.tax else None
        batch = Batch(
            orders=orders,
            replacing=replacing or [None] * len(orders),
            policy=entity.policy,
            source=FactSource(self._pool, entity.erp, erp if isinstance(erp, Erp) else None),
            tax=tax if isinstance(tax, Tax) else None,
            today=datetime.now(UTC).date(),
        )
        checks = [check for name, check in CHECKS.items() if name not in entity.policy.disabled_checks]
        judged = await asyncio.gather(*(_judge(check, batch) for check in checks))
        overridden = overrides or [frozenset()] * len(orders)
        return [
            tuple(
                _result(check.name, judgement, index, entity.policy, overridden[index], duration)
                for check, (judgement, duration) in zip(checks, judged, strict=True)
            )
            for index in range(len(orders))
        ]


async def _judge(check: Check, batch: Batch) -> tuple[Judgement, float]:
    """A check's judgement and its milliseconds; without facts by the deadline, what the policy says of such orders."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(batch.policy.deadline_seconds):
            judgement = await check.judge(batch)
    except TimeoutError:
        late = Unavailable(f"no answer within {batch.policy.deadline_seconds} s", system=f"the {check.name} check")
        judgement = _without_facts(check.name, batch, late)
    except Failure as failure:
        judgement = _without_facts(check.name, batch, failure)
    return judgement, (time.perf_counter() - started) * 1000


def _without_facts(name: str, batch: Batch, failure: Failure) -> Judgement:
    policy: FactsPolicy = getattr(batch.policy, name, FactsPolicy())
    decision = Decision(policy.when_unavailable)
    message = unavailable_message(failure, f"facts for the {name} check")
    reasons = [
        (
            Reason(
                check=name,
                code=f"{name}.facts_unavailable",
                message=message,
                decision=decision,
                system_value=failure.system,
                money_at_risk=max(0, order.net_amount),
            ),
        )
        for order in batch.orders
    ]
    return Judgement(reasons)


def _result(
    name: str, judgement: Judgement, index: int, policy: Policy, overridden: frozenset[str], duration_ms: float
) -> CheckResult:
    reasons = tuple(_decided(reason, policy, overridden) for reason in judgement.reasons[index])
    decision = max((each.decision for each in reasons), key=lambda each: each.gravity, default=Decision.ACCEPT)
    return CheckResult.model_construct(
        check=name,
        decision=decision,
        reasons=reasons,
        source=judgement.source,
        facts_age_seconds=judgement.age_seconds,
        duration_ms=round(duration_ms, 3),
        tax_amount=judgement.tax_amounts[index] if judgement.tax_amounts else None,
    )


def _decided(reason: Reason, policy: Policy, overridden: frozenset[str]) -> Reason:
    if reason.code in overridden:
        return reason.model_copy(update={"decision": Decision.ACCEPT, "message": f"overridden: {reason.message}"})
    decision = policy.decisions.get(reason.code)
    return reason if decision is None else reason.model_copy(update={"decision": Decision(decision)})
