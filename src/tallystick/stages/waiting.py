"""Where policy asks for it, an order's answer waits a moment for the ERP: committed when it made it, pending when not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from tallystick.documents.transaction import CommitmentState
from tallystick.stages.flow import Flow
from tallystick.stages.intake import IntakeAnswer

_LOOK_EVERY_SECONDS = 0.1


async def wait_for_commitment(flow: Flow, entity_name: str, answer: IntakeAnswer) -> IntakeAnswer:
    """The answer with the ERP's word in it, if that comes within the entity's `wait_for_commit_seconds`."""
    entity = flow.entity(entity_name)
    seconds = entity.policy.wait_for_commit_seconds if entity else 0.0
    if not seconds or answer.status != 201 or answer.body["commitment"] != CommitmentState.PENDING:
        return answer
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        row = await flow.pool.fetchrow(
            "select commitment, erp_reference from transactions where id = $1", answer.transaction_id
        )
        if row is not None and row["commitment"] != CommitmentState.PENDING:
            return replace(answer, body=answer.body | dict(row))
    return answer
