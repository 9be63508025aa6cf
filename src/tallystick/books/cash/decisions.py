"""What a person decides of a line: accept a suggestion, apply it by hand, or refuse it; audited, and its work item closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.books.cash.kept import decide_line, find_line
from tallystick.books.cash.posting import NotPostable, message_of, posting_of
from tallystick.control.access import Principal
from tallystick.control.audit import AuditEntry, write_audit
from tallystick.control.exceptions import note_exception, resolve_exceptions
from tallystick.mailbox.carrier import Carrier
from tallystick.store.pool import Connection, Pool

OPEN_STATES = ("suggested", "unidentified")


class CashNotPossible(Exception):
    """It can't be done with the line as it is; `code` is stable, the message says why and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LineChanged(Exception):
    """Somebody changed the line since it was read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decides what of which line."""

    line_id: UUID
    principal: Principal
    version: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How it is to be applied: a suggestion by its rank, or by hand. What is not allocated stays on the customer's account."""

    choice: int | None = None
    allocations: tuple[dict[str, Any], ...] = ()
    """customer_id, number, amount, discount."""
    customer_id: str | None = None


async def accept_line(
    pool: Pool, carrier: Carrier, erp_by_entity: dict[str, str], decision: Decision, wanted: Acceptance
) -> dict[str, Any] | None:
    """Have it booked; None where there is no such line for the principal. Raises CashNotPossible or LineChanged."""
    async with pool.acquire() as connection, connection.transaction():
        line = await _open_line(connection, decision)
        if line is None:
            return None
        erp = erp_by_entity.get(line["entity"])
        if erp is None:
            raise CashNotPossible("cash.no_erp", f"entity {line['entity']!r} has no ERP; correct the settings")
        chosen = _chosen(line, wanted)
        customer = (
            wanted.customer_id or line["customer_id"] or next((e["customer_id"] for e in chosen["allocations"]), None)
        )
        try:
            posting = posting_of(
                line["id"],
                line["reference"],
                chosen,
                amount=line["amount"],
                currency=line["currency"],
                paid_on=line["paid_on"],
                payer=line["payer"],
                remittance=" ".join(filter(None, (line["payer_reference"], line["remittance"]))),
                customer_id=customer,
            )
        except NotPostable as error:
            raise CashNotPossible("cash.not_postable", str(error)) from None
        await carrier.offer(connection, [message_of(line["entity"], erp, posting)])
        by = decision.principal.name
        await decide_line(
            connection,
            line["id"],
            state="posting",
            by=by,
            reason=decision.reason,
            chosen=chosen,
            customer_id=posting.parts[0].customer_id if len(posting.parts) == 1 else None,
        )
        result = {"line_id": str(line["id"]), "state": "posting", "reference": line["reference"]}
        await _decided(connection, line, decision, "accept", "accepted", {"chosen": chosen})
        return {**result, "version": line["version"] + 1}


async def refuse_line(pool: Pool, decision: Decision) -> dict[str, Any] | None:
    """Leave it to be dealt with elsewhere; None where there is no such line for the principal. Raises as `accept_line`."""
    async with pool.acquire() as connection, connection.transaction():
        line = await _open_line(connection, decision)
        if line is None:
            return None
        await decide_line(connection, line["id"], state="refused", by=decision.principal.name, reason=decision.reason)
        await _decided(connection, line, decision, "refuse", "refused", {})
        return {
            "line_id": str(line["id"]),
            "state": "refused",
            "reference": line["reference"],
            "version": line["version"] + 1,
        }


async def _open_line(connection: Connection, decision: Decision) -> dict[str, Any] | None:
    line = await find_line(connection, decision.line_id, decision.principal.entity_filter, lock=True)
    if line is None:
        return None
    if decision.version is not None and line["version"] != decision.version:
        raise LineChanged(f"the line was changed meanwhile: it is at version {line['version']}; read it again")
    if line["state"] not in OPEN_STATES:
        raise CashNotPossible("cash.decided", f"the line is {line['state']} already; there is nothing to decide")
    return line


def _chosen(line: dict[str, Any], wanted: Acceptance) -> dict[str, Any]:
    """The proposal to book, as plain data."""
    if wanted.choice is not None:
        if not 1 <= wanted.choice <= len(line["proposals"]):
            there = f"there are {len(line['proposals'])}"
            raise CashNotPossible("cash.no_such_choice", f"there is no suggestion {wanted.choice}; {there}")
        found: dict[str, Any] = line["proposals"][wanted.choice - 1]
        return found
    allocated = sum(each["amount"] for each in wanted.allocations)
    if allocated > line["amount"]:
        raise CashNotPossible("cash.not_postable", "what goes to invoices is more than the payment")
    return {
        "rule": "by_hand",
        "covers": "one_for_many" if len(wanted.allocations) > 1 else "one_for_one",
        "evidence": "a person applied it",
        "allocations": list(wanted.allocations),
        "on_account": line["amount"] - allocated,
        "deductions": [],
    }


async def _decided(
    connection: Connection,
    line: dict[str, Any],
    decision: Decision,
    action: str,
    resolution: str,
    detail: dict[str, Any],
) -> None:
    """Close the work item, and write it into the audit trail."""
    by = decision.principal.name
    if line["exception_id"] is not None:
        await note_exception(connection, line["exception_id"], by, action, decision.reason, detail or None)
        await resolve_exceptions(
            connection, by=by, resolution=resolution, reason=decision.reason, exception_ids=[line["exception_id"]]
        )
    entry = AuditEntry(
        by, f"cash.{action}", "cash_line", str(line["id"]), line["entity"], reason=decision.reason, detail=detail
    )
    await write_audit(connection, [entry])
