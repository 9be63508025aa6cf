"""Publication: every outcome goes back to the sales side, in order for each transaction, whether or not other systems are up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tallystick.mailbox.messages import Done
from tallystick.stages.flow import PUBLICATION, Flow
from tallystick.stages.outcome import Outcome
from tallystick.stages.stage import Result, Stage, Work
from tallystick.systems.failure import Failure
from tallystick.systems.ports import StatusUpdate


def publication(flow: Flow) -> Stage:
    """The stage with its one kind of message; news that does not get through puts no money at risk."""
    return Stage(PUBLICATION, flow, {"publish": publish}, at_risk=lambda _: 0)


def _update(work: Work) -> StatusUpdate:
    payload = work.delivery.payload
    return StatusUpdate(
        reference=payload["event_id"],
        event_type=payload["type"],
        transaction_id=str(work.dossier.transaction.id),
        order_number=payload["order_number"],
        channel=payload["channel"],
        occurred_at=datetime.fromisoformat(payload["occurred_at"]),
        data=payload["data"],
        verify=work.delivery.verify,
    )


async def publish(flow: Flow, works: Sequence[Work]) -> Sequence[Result]:
    """Tell the sales system; it takes each event once by its id."""
    answers = await flow.crm(works[0].delivery.system).publish_status([_update(work) for work in works])
    return [
        answer
        if isinstance(answer, Failure)
        else Done(Outcome(facts=(work.fact(PUBLICATION, "published", event=work.delivery.payload["type"]),)))
        for work, answer in zip(works, answers, strict=True)
    ]
