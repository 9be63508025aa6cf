"""What the delivering stages share: load the batch's dossiers, let each kind's function answer, write the outcomes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from pydantic import ValidationError

from tallystick.control.audit import SYSTEM
from tallystick.control.exceptions import ExceptionOpening, open_exceptions, resolve_exceptions
from tallystick.control.lineage import LineageFact, record_facts
from tallystick.documents.payment import Payment
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.values import Document
from tallystick.mailbox.dead_letters import replay_messages
from tallystick.mailbox.messages import Delivery, Done, Message
from tallystick.stages.early import Early
from tallystick.stages.flow import Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.stages.transactions import Dossier, lock_versions, read_dossiers
from tallystick.store.crash_points import crash_point
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure, Rejected

Sent = TypeVar("Sent", bound=Document)
Answer = TypeVar("Answer")
Numbered = Shipment | Payment | Return


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

    def difference(
        self, kind: str, stage: str, summary: str, reasons: Sequence[dict[str, Any]], due_hours: float, **context: Any
    ) -> ExceptionOpening:
        """An exception where two sides disagree and the flow goes on; the money at risk is its reasons' together."""
        transaction = self.dossier.transaction
        return ExceptionOpening(
            entity=transaction.entity,
            type=kind,
            stage=stage,
            summary=summary,
            transaction_id=transaction.id,
            system=self.delivery.system,
            reasons=tuple(reasons),
            context=context,
            money_at_risk=sum(reason["money_at_risk"] for reason in reasons),
            currency=transaction.currency,
            due_in=timedelta(hours=due_hours),
        )

    @property
    def sender(self) -> str:
        """The system whose event the message is; where it is none, the system it goes to."""
        return str(self.delivery.payload.get("sender", self.delivery.system))

    def document(self, kind: type[Sent]) -> Sent | Rejected:
        """The document that the message carries under its kind's name; Rejected where a person has edited it into none."""
        field = kind.__name__.lower()
        try:
            return kind.model_validate(self.delivery.payload[field])
        except (KeyError, ValidationError) as error:
            why = str(error).replace("\n", " ")[:300]
            message = f"the message's {field!r} is not a valid {field} ({why}); correct its payload"
            return Rejected(message, system=self.delivery.system, code="message.invalid_payload")

    def repetition(self, kind: str, sent: Numbered) -> Result | None:
        """The answer to a document whose number is known: nothing to do where it is the same, a person's where it differs."""
        known = self.dossier.bodies.get((kind, sent.number))
        if known is None:
            return None
        if type(sent).model_validate(known) == sent:
            return Done(Outcome())
        message = f"{kind} {sent.number} came before with other content; find out which of the two is true"
        return Rejected(message, system=self.delivery.system, code=f"{kind}.number_reused")


Result = Done[Outcome] | Failure


def unasked(result: Result) -> Result:
    """The same answer, saying that it is ours alone: the system was not asked."""
    if isinstance(result, Failure):
        result.asked = False
        return result
    return replace(result, asked=False)


KindFunction = Callable[[Flow, Sequence[Work]], Awaitable[Sequence[Result]]]
RefusalFunction = Callable[[Flow, Work, Failure], Outcome]
RiskFunction = Callable[[Work], int]


def no_refusal(_flow: Flow, _work: Work, _failure: Failure) -> Outcome:
    """A refusal that changes nothing but the exception that it opens."""
    return Outcome()


def whole_order(work: Work) -> int:
    """Money at risk in minor units where the order itself is in question: its net amount and its tax."""
    return work.dossier.transaction.ordered_amount + work.dossier.transaction.tax_amount


class Stage:
    """A mailbox handler made of one function a kind of message; each gets a batch of its kind for one system.

    `refusal` says what a Rejected changes of its transaction, `at_risk` how much money a dead letter's exception is about.
    """

    def __init__(
        self,
        name: str,
        flow: Flow,
        kinds: Mapping[str, KindFunction],
        refusal: RefusalFunction = no_refusal,
        at_risk: RiskFunction = whole_order,
    ) -> None:
        self.stage = name
        self._flow = flow
        self._kinds = kinds
        self._refusal = refusal
        self._at_risk = at_risk

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Result]:
        """One answer for each delivery."""
        ids = [each.transaction_id for each in deliveries if each.transaction_id is not None]
        async with self._flow.pool.acquire() as connection:
            dossiers = await read_dossiers(connection, ids)
        answers: dict[UUID, Result] = {}
        by_kind: dict[str, list[Work]] = {}
        for delivery in deliveries:
            dossier = dossiers.get(delivery.transaction_id) if delivery.transaction_id else None
            if dossier is None:
                answers[delivery.id] = _impossible(delivery, "its transaction does not exist")
            elif delivery.kind not in self._kinds:
                answers[delivery.id] = _impossible(delivery, f"the {self.stage} stage knows no {delivery.kind!r}")
            elif delivery.lane != delivery.transaction_id:
                answers[delivery.id] = unasked(Done(Outcome(messages=(_back_in_line(delivery),))))
            else:
                by_kind.setdefault(delivery.kind, []).append(Work(delivery, dossier))
        for kind, works in by_kind.items():
            answers.update(await self._ask(kind, works))
        return [answers[each.id] for each in deliveries]

    async def _ask(self, kind: str, works: Sequence[Work]) -> dict[UUID, Result]:
        """The answers of one kind's function; its facts say how long it took, which is what the outside took."""
        started = time.perf_counter()
        results: Sequence[Result]
        crash_point(f"{self.stage}.{kind}.before_write")
        try:
            results = await self._kinds[kind](self._flow, works)
        except Failure as failure:
            results = [failure] * len(works)
        crash_point(f"{self.stage}.{kind}.after_write")
        duration_ms = round((time.perf_counter() - started) * 1000, 3)
        return {work.delivery.id: _timed(result, duration_ms) for work, result in zip(works, results, strict=True)}

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Write the outcomes, offer what follows, and close the exceptions of what has gone through at last."""
        await record_outcomes(connection, self._flow.carrier, [outcome for _, outcome in done])
        tried_before = [delivery.id for delivery, _ in done if delivery.delivery > 1]
        if tried_before:
            await resolve_exceptions(connection, by=SYSTEM, resolution="went_through", message_ids=tried_before)

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        """Open an exception with the whole story for each dead letter; a refusal also changes the transaction's state.

        What was too early for a transaction that has changed meanwhile is tried again at once. What has waited as too early
        and now fails for good gets a new exception in place of the one that said it would go on by itself.
        """
        ids = [each.transaction_id for each, _ in failed if each.transaction_id]
        versions = await lock_versions(connection, ids)
        dossiers = await read_dossiers(connection, ids)
        moved_on = [delivery.id for delivery, failure in failed if _moved_on(delivery, failure, versions)]
        await replay_messages(connection, moved_on)
        buried = [each for each in failed if each[0].id not in moved_on]
        for_good = [delivery.id for delivery, failure in buried if not isinstance(failure, Early)]
        await resolve_exceptions(connection, by=SYSTEM, resolution="overtaken", message_ids=for_good)
        openings = {
            delivery.id: self._opening(delivery, failure, _dossier_of(delivery, dossiers))
            for delivery, failure in buried
        }
        new = await open_exceptions(connection, list(openings.values()))
        works = [
            (Work(delivery, dossier), failure)
            for delivery, failure in buried
            if (dossier := _dossier_of(delivery, dossiers)) is not None and openings[delivery.id].id in new
        ]
        await record_facts(connection, [self._buried(work, failure) for work, failure in works])
        refusals = [
            self._refusal(self._flow, work, failure)
            for work, failure in works
            if isinstance(failure, Rejected) and not isinstance(failure, Early)
        ]
        await record_outcomes(connection, self._flow.carrier, refusals)

    def _opening(self, delivery: Delivery, failure: Failure, dossier: Dossier | None) -> ExceptionOpening:
        entity = self._flow.entity(delivery.entity)
        kind, verdict = _verdict(delivery, failure)
        return ExceptionOpening(
            entity=delivery.entity,
            type=f"{self.stage}.{kind}",
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
            money_at_risk=max(0, self._at_risk(Work(delivery, dossier))) if dossier else 0,
            currency=dossier.transaction.currency if dossier else None,
            due_in=timedelta(hours=entity.policy.exception_due_hours if entity else 24.0),
        )

    def _buried(self, work: Work, failure: Failure) -> LineageFact:
        fact = {"early": "set_aside", "rejected": "rejected"}.get(failure.kind, "dead_lettered")
        return work.fact(self.stage, fact, kind=work.delivery.kind, code=failure.code, message=failure.message)


async def carry_documents(
    works: Sequence[Work],
    kind: type[Sent],
    judge: Callable[[Work, Sent], Result | None],
    ask: Callable[[Sequence[tuple[Work, Sent]]], Awaitable[Sequence[Answer | Failure]]],
    done: Callable[[Work, Sent, Answer], Result],
) -> list[Result]:
    """Answers to messages that carry a document from an event into the ERP.

    `judge` answers where the ERP need not, or must not, be asked; the others go there in one call, `done` makes their answers.
    """
    results: dict[UUID, Result] = {}
    ready: list[tuple[Work, Sent]] = []
    for work in works:
        sent = work.document(kind)
        judged = sent if isinstance(sent, Rejected) else judge(work, sent)
        if judged is not None:
            results[work.delivery.id] = unasked(judged)
        elif not isinstance(sent, Rejected):
            ready.append((work, sent))
    answers = await ask(ready) if ready else ()
    for (work, sent), answer in zip(ready, answers, strict=True):
        results[work.delivery.id] = answer if isinstance(answer, Failure) else done(work, sent, answer)
    return [results[work.delivery.id] for work in works]


def wait_outside(delivery: Delivery, wait: timedelta) -> Message:
    """The same message again after `wait`, in a lane of its own: what comes for its transaction meanwhile goes before it."""
    return Message(
        stage=delivery.stage,
        system=delivery.system,
        kind=delivery.kind,
        lane=new_id(),
        transaction_id=delivery.transaction_id,
        entity=delivery.entity,
        payload=delivery.payload,
        available_at=datetime.now(UTC) + wait,
    )


def waited(work: Work) -> bool:
    """Whether the message has waited outside of its lane already."""
    return bool(work.delivery.payload.get("waited"))


def _back_in_line(delivery: Delivery) -> Message:
    """Two messages of a stage never run side by side for one transaction, so what waited outside goes to its lane's end."""
    return Message(
        stage=delivery.stage,
        system=delivery.system,
        kind=delivery.kind,
        lane=delivery.transaction_id or delivery.lane,
        transaction_id=delivery.transaction_id,
        entity=delivery.entity,
        payload={**delivery.payload, "waited": True},
    )


def _timed(result: Result, duration_ms: float) -> Result:
    if isinstance(result, Failure):
        return result
    outcome = result.outcome
    facts = tuple(replace(fact, duration_ms=duration_ms) for fact in outcome.facts)
    return replace(result, outcome=replace(outcome, facts=facts))


def _moved_on(delivery: Delivery, failure: Failure, versions: Mapping[UUID, int]) -> bool:
    """Whether an early message's transaction has changed since it was judged, so that nothing would take it up again."""
    if not isinstance(failure, Early) or delivery.transaction_id is None:
        return False
    return versions.get(delivery.transaction_id) != failure.version


def _dossier_of(delivery: Delivery, dossiers: Mapping[UUID, Dossier]) -> Dossier | None:
    return dossiers.get(delivery.transaction_id) if delivery.transaction_id else None


def _verdict(delivery: Delivery, failure: Failure) -> tuple[str, str]:
    """The second half of the exception's type, and what happened in words."""
    if isinstance(failure, Early):
        return "early", "came too early and goes on by itself when it can"
    if isinstance(failure, Rejected):
        return (
            "rejected",
            f"was rejected by {failure.system}" if failure.asked else f"was not sent to {delivery.system}",
        )
    return "dead_letter", f"failed for good at {delivery.system}"


def _impossible(delivery: Delivery, why: str) -> Rejected:
    message = f"message {delivery.id} can't be handled: {why}"
    return Rejected(message, system=delivery.system, code="message.impossible", asked=False)
