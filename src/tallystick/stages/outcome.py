"""What a stage made of a message, as data, and the one place that writes a whole batch of outcomes in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.checks.promises import Promise, keep, promise, release
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import Closing, ExceptionOpening, close_decided, open_exceptions
from tallystick.control.lineage import LineageFact, record_facts
from tallystick.mailbox.carrier import Carrier
from tallystick.mailbox.messages import Message
from tallystick.stages.early import take_up_early
from tallystick.stages.transactions import (
    CrossReference,
    DocumentRecord,
    TransactionChange,
    apply_changes,
    keep_cross_references,
    keep_documents,
)
from tallystick.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything one handled message changes. Empty: the message was a repetition of what is known."""

    change: TransactionChange | None = None
    documents: tuple[DocumentRecord, ...] = ()
    references: tuple[CrossReference, ...] = ()
    facts: tuple[LineageFact, ...] = ()
    messages: tuple[Message, ...] = ()
    closings: tuple[Closing, ...] = ()
    exceptions: tuple[ExceptionOpening, ...] = ()
    audits: tuple[AuditEntry, ...] = ()
    promised: tuple[Promise, ...] = ()
    kept: tuple[Promise, ...] = ()
    """Promises the ERP has taken over."""
    released: tuple[Promise, ...] = ()


async def record_outcomes(connection: Connection, carrier: Carrier, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes inside the caller's database transaction, a statement a kind of row for the whole batch."""
    changes = [outcome.change for outcome in outcomes if outcome.change]
    await keep_documents(connection, [each for outcome in outcomes for each in outcome.documents])
    await apply_changes(connection, changes)
    await keep_cross_references(connection, [each for outcome in outcomes for each in outcome.references])
    await record_facts(connection, [each for outcome in outcomes for each in outcome.facts])
    await close_decided(connection, [each for outcome in outcomes for each in outcome.closings])
    await open_exceptions(connection, [each for outcome in outcomes for each in outcome.exceptions])
    await write_audit(connection, [each for outcome in outcomes for each in outcome.audits])
    await promise(connection, [each for outcome in outcomes for each in outcome.promised])
    await keep(connection, [each for outcome in outcomes for each in outcome.kept])
    await release(connection, [each for outcome in outcomes for each in outcome.released])
    await carrier.offer(connection, [each for outcome in outcomes for each in outcome.messages])
    await take_up_early(connection, [change.id for change in changes])
