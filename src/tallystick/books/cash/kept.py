"""The received lines in the database: each once, with what was made of it and what a person decided."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.books.cash.plain import proposal_data
from tallystick.books.cash.proposals import Application, Status
from tallystick.books.cash.received import FileReceived, Received, account_key
from tallystick.books.cash.twins import Line
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Connection, Pool

_LOOK_AGAIN_SECONDS = 0.1


def reference_of(entity: str, account: str, identity: str) -> str:
    """What the line's payment carries in the ERP: the same whenever and in whatever file the line comes."""
    whole = f"{entity}\n{account_key(account)}\n{identity}".encode()
    return f"TSC-{hashlib.sha256(whole).hexdigest()[:24]}"


@asynccontextmanager
async def alone(pool: Pool, entity: str) -> AsyncIterator[Connection]:
    """One at a time applies an entity's cash: two at once would give the same invoice to two payments. Who waits holds no
    connection meanwhile.

    The lock is the session's and not a transaction's: applying takes its time, and an open transaction must not.
    """
    while True:
        async with pool.acquire() as connection:
            if await connection.fetchval("select pg_try_advisory_lock(hashtextextended('cash/' || $1, 0))", entity):
                try:
                    yield connection
                finally:
                    await connection.execute("select pg_advisory_unlock(hashtextextended('cash/' || $1, 0))", entity)
                return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def known_identities(connection: Connection, entity: str, received: Sequence[Received]) -> set[tuple[str, str]]:
    """(account key, identity) of these lines as far as they were received before."""
    rows = await connection.fetch(
        """
        select c.account_key, c.identity from unnest($2::text[], $3::text[]) as n (account_key, identity)
        join cash_lines c on c.entity = $1 and c.account_key = n.account_key and c.identity = n.identity
        """,
        entity,
        [account_key(each.statement.account) for each in received],
        [each.identity for each in received],
    )
    return {(row["account_key"], row["identity"]) for row in rows}


async def like_lines(connection: Connection, entity: str, received: Sequence[Received]) -> dict[str, list[Line]]:
    """Lines received before on these accounts, by their keys, of these days and amounts."""
    rows = await connection.fetch(
        """
        select account_key, booked_on, amount, currency, format, file_hash, bank_reference, payer_reference, payer_account,
               concat_ws(' ', payer_reference, remittance, payer) as text, statement
        from cash_lines
        where entity = $1 and (account_key, booked_on, amount) in (
            select distinct * from unnest($2::text[], $3::date[], $4::bigint[]))
        order by id
        """,
        entity,
        [account_key(each.statement.account) for each in received],
        [each.entry.booked_on for each in received],
        [each.entry.amount for each in received],
    )
    found: dict[str, list[Line]] = {}
    for row in rows:
        fields = dict(row)
        found.setdefault(fields.pop("account_key"), []).append(Line(**fields))
    return found


async def not_in_the_erp_yet(connection: Connection, entity: str, since: datetime) -> list[dict[str, Any]]:
    """The chosen proposals that the ERP's open items can't show yet: of lines under way, or booked since they were asked for."""
    rows = await connection.fetch(
        """
        select chosen from cash_lines
        where entity = $1 and (state = 'posting' or (state = 'posted' and posted_at >= $2)) and chosen is not null
        """,
        entity,
        since,
    )
    return [row["chosen"] for row in rows]


async def payers(connection: Connection, entity: str) -> dict[str, str]:
    """Whose a paying account is, as booked lines show; one that paid for several customers is nobody's."""
    rows = await connection.fetch(
        """
        select payer_account, min(customer_id) as customer_id from cash_lines
        where entity = $1 and state = 'posted' and payer_account is not null and customer_id is not null
        group by payer_account having count(distinct customer_id) = 1
        """,
        entity,
    )
    return {row["payer_account"]: row["customer_id"] for row in rows}


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A line to keep, with what was made of it."""

    received: Received
    file: FileReceived
    answer: Application
    reference: str
    exception_id: UUID | None
    id: UUID


async def keep_lines(connection: Connection, entity: str, lines: Sequence[KeptLine], by: str) -> None:
    """Keep new lines. Raises asyncpg.UniqueViolationError for one that is there; call it `alone`."""
    await connection.executemany(
        """
        insert into cash_lines (id, entity, account, account_key, statement, identity, format, file_name, file_hash, booked_on,
            paid_on, amount, currency, bank_reference, payer_reference, remittance, payer, payer_account, customer_id, state,
            rule, proposals, rivals, chosen, doubt, reference, exception_id, received_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
            $25, $26, $27, $28)
        """,
        [_values(entity, each, by) for each in lines],
    )


def _values(entity: str, line: KeptLine, by: str) -> tuple[Any, ...]:
    statement, entry, answer = line.received.statement, line.received.entry, line.answer
    proposals = [proposal_data(each) for each in answer.proposals]
    applied = answer.status is Status.APPLIED
    allocations = answer.proposals[0].allocations if answer.proposals else ()
    customer = answer.payment.customer_id or (allocations[0].customer_id if applied and allocations else None)
    return (
        line.id,
        entity,
        statement.account,
        account_key(statement.account),
        statement.number,
        line.received.identity,
        statement.format,
        line.file.name,
        line.file.hash,
        entry.booked_on,
        answer.payment.paid_on,
        entry.amount,
        entry.currency,
        entry.bank_reference,
        entry.payer_reference,
        entry.remittance,
        entry.counterparty,
        entry.counterparty_account,
        customer,
        "posting" if applied else answer.status.value,
        answer.proposals[0].rule.value if answer.proposals else None,
        proposals,
        answer.rivals,
        proposals[0] if applied else None,
        answer.payment.doubt,
        line.reference,
        line.exception_id,
        by,
    )


_SHOWN = """id, entity, account, statement, format, file_name, booked_on, paid_on, amount, currency, payer_reference, remittance,
    payer, payer_account, customer_id, state, rule, proposals, rivals, chosen, doubt, reference, posted, posted_at, decided_by,
    decided_at, reason, exception_id, received_by, received_at, version"""


async def list_lines(
    connection: Connection,
    entities: Sequence[str] | None,
    *,
    states: Sequence[str],
    after: UUID | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Lines in these states, in the order in which they came."""
    rows = await connection.fetch(
        f"""
        select {_SHOWN} from cash_lines
        where ($1::text[] is null or entity = any($1)) and state = any($2::text[]) and ($3::uuid is null or id > $3)
        order by id limit $4
        """,
        entities,
        list(states),
        after,
        limit,
    )
    return [dict(row) for row in rows]


async def find_line(
    connection: Connection, line_id: UUID, entities: Sequence[str] | None, *, lock: bool = False
) -> dict[str, Any] | None:
    """One line; None if unknown to these entities."""
    row = await connection.fetchrow(
        f"select {_SHOWN} from cash_lines where id = $1 and ($2::text[] is null or entity = any($2))"
        + (" for update" if lock else ""),
        line_id,
        entities,
    )
    return dict(row) if row else None


async def decide_line(
    connection: Connection,
    line_id: UUID,
    *,
    state: str,
    by: str,
    reason: str | None,
    chosen: dict[str, Any] | None = None,
    customer_id: str | None = None,
) -> None:
    """Write down what a person decided of a line that is locked."""
    await connection.execute(
        """
        update cash_lines set state = $2, decided_by = $3, decided_at = now(), reason = $4, chosen = $5,
            customer_id = coalesce($6, customer_id), version = version + 1
        where id = $1
        """,
        line_id,
        state,
        by,
        reason,
        chosen,
        customer_id,
    )


def fresh_line(
    entity: str, received: Received, file: FileReceived, answer: Application, exception_id: UUID | None
) -> KeptLine:
    """A line with its own id and reference."""
    reference = reference_of(entity, received.statement.account, received.identity)
    return KeptLine(received, file, answer, reference, exception_id, new_id())
