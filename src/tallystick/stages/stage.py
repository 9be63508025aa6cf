"""What the five delivering stages share: load the batch's dossiers, let each kind's function answer, write the outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from tallystick.control.exceptions import ExceptionOpening, open_exceptions
from tallystick.control.lineage import LineageFact, record_facts
from tallystick.mailbox.messages import Delivery, Done
from tallystick.stages.flow import Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import Dossier, read_dossiers
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure, Rejected

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Work:
    """One delivery with its transaction and documents, as they were when the batch was claimed."""

    delivery: Delivery
    dossier: Dossier

    def fact(self, stage: str, fact: str, **detail: Any) -> LineageFact:
        """A lineage fact of this delivery."""
        return LineageFact(
            transaction_id=self.dossier.transaction.id,
            stage=stage,
            fact=fact,
            system=self.delivery.system,
            message_id=self.delivery.id,
            detail=detail or None,
        )


Result = Done[Outcome] | Failure
KindFunction = Callable[[Flow, Sequence[Work]], Awaitable[Sequence[Result]]]
RefusalFunction = Callable[[Flow, Work, Failure], Outcome]


def no_refusal(_flow: Flow, _work: Work, _failure: Failure) -> Outcome:
    """A refusal that changes nothing but the exception that it opens."""
    return Outcome()


class Stage:
    """A mailbox handler made of one function a kind of message; each gets a batch of its kind for one system."""

    def __init__(
        self, name: str, flow: Flow, kinds: Mapping[str, KindFunction], refusal: RefusalFunction = no_refusal
    ) -> None:
        self.stage = name
        self._flow = flow
        self._kinds = kinds
        self._refusal = refusal

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Result]:
        """One answer for each delivery."""
        ids = [each.transaction_id for each in deliveries if each.transaction_id is not None]
        async with self._flow.pool.acquire() as connection:
            dossiers = await read_dossiers(connection, ids)
        answers: dict[Any, Result] = {}
        by_kind: dict[str, list[Work]] = {}
        for delivery in deliveries:
            dossier = dossiers.get(delivery.transaction_id) if delivery.transaction_id else None
            if dossier is None:
                answers[delivery.id] = _impossible(delivery, "its transaction does not exist")
            elif delivery.kind not in self._kinds:
                answers[delivery.id] = _impossible(delivery, f"the {self.stage} stage knows no {delivery.kind!r}")
            else:
                by_kind.setdefault(delivery.kind, []).append(Work(delivery, dossier))
        for kind, works in by_kind.items():
            try:
                results = await self._kinds[kind](self._flow, works)
            except Failure as failure:
                results = [failure] * len(works)
            answers.update((work.delivery.id, result) for work, result in zip(works, results, strict=True))
        return [answers[each.id] for each in deliveries]

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Write the outcomes and offer what follows."""
        await record_outcomes(connection, self._flow.carrier, [outcome for _, outcome in done])

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        """Open an exception with the whole story for each dead letter; a refusal also changes the transaction's state."""
        dossiers = await read_dossiers(connection, [each.transaction_id for each, _ in failed if each.transaction_id])
        works = [
            (Work(delivery, dossiers[delivery.transaction_id]), failure)
            for delivery, failure in failed
            if delivery.transaction_id in dossiers
        ]
        await open_exceptions(
            connection,
            [
                self._opening(delivery, failure, dossiers[delivery.transaction_id] if delivery.transaction_id else None)
                for delivery, failure in failed
            ],
        )
        await record_facts(connection, [self._buried(work, failure) for work, failure in works])
        refusals = [
            self._refusal(self._flow, work, failure) for work, failure in works if isinstance(failure, Rejected)
        ]
        await record_outcomes(connection, self._flow.carrier, refusals)

    def _opening(self, delivery: Delivery, failure: Failure, dossier: Dossier | None) -> ExceptionOpening:
        entity = self._flow.entity(delivery.entity)
        rejected = isinstance(failure, Rejected)
        verdict = f"was rejected by {delivery.system}" if rejected else f"failed for good at {delivery.system}"
        return ExceptionOpening(
            entity=delivery.entity,
            type=f"{self.stage}.{'rejected' if rejected else 'dead_letter'}",
            stage=self.stage,
            summary=f"{delivery.kind} {verdict}: {failure.message}",
            transaction_id=delivery.transaction_id,
            message_id=delivery.id,
            system=delivery.system,
            reasons=({"code": failure.code, "message": failure.message, "system": failure.system},),
            context={
                "kind": delivery.kind,
                "attempts": delivery.attempts + 1,
                "request": failure.request,
                "response": failure.response,
            },
            money_at_risk=dossier.transaction.ordered_amount if dossier else 0,
            currency=dossier.transaction.currency if dossier else None,
            due_in=timedelta(hours=entity.policy.exception_due_hours if entity else 24.0),
        )

    def _buried(self, work: Work, failure: Failure) -> LineageFact:
        fact = "rejected" if isinstance(failure, Rejected) else "dead_lettered"
        return work.fact(self.stage, fact, kind=work.delivery.kind, code=failure.code, message=failure.message)


def _impossible(delivery: Delivery, why: str) -> Rejected:
    return Rejected(f"message {delivery.id} can't be handled: {why}", system=delivery.system, code="message.impossible")
