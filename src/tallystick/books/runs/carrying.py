"""Breaks carry over from run to run: found again they keep their story, matched they close, come back they reopen. All in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tallystick.books.runs.found import STAGED, Missing
from tallystick.control.audit import SYSTEM
from tallystick.store.pool import Connection

_LONG = 600.0
"""Seconds that a statement over all breaks of a run may take."""
_PAGE = 20_000
# What makes an acceptance lapse: it was given for an amount.
_AMOUNT_CHANGED = """(b.money_at_risk, b.amount_difference, b.currency) is distinct from
    (i.money_at_risk, i.amount_difference, i.currency)"""


@dataclass(frozen=True, slots=True)
class Which:
    """The reconciliation whose breaks carry over, and the run that they carry over to."""

    entity: str
    reconciliation: str
    run_id: UUID


async def stage(connection: Connection, batches: Iterator[bytes]) -> int:
    """Copy a run's breaks beside those that stand; returns how many.

    From here to the end of the transaction whole tables are read where that is cheaper, as they are nowhere else.
    """
    await connection.execute("""
        set local enable_seqscan = on;
        create temp table incoming (
            id uuid, number bigint, identity text, likeness text, class text, side text, left_name text, right_name text,
            differs text, cause_kind text, cause text, confidence double precision, evidence text, correction text,
            currency text, money_at_risk bigint, amount_difference bigint, left_record jsonb, right_record jsonb
        ) on commit drop;
        create temp table paired (id uuid primary key, break_id uuid unique) on commit drop;
        create temp table resolved (break_id uuid, resolution text) on commit drop
        """)
    count = 0
    for batch in batches:
        status = await connection.copy_to_table(
            "incoming", source=_single(batch), columns=STAGED, format="csv", timeout=_LONG
        )
        count += int(status.rpartition(" ")[2])
    await connection.execute(
        "create index on incoming (id); create index on incoming (identity); analyze incoming", timeout=_LONG
    )
    return count


async def _single(batch: bytes) -> Any:
    yield batch


async def find_again(connection: Connection, which: Which) -> None:
    """Tell for each staged break which known one it is: standing ones before closed ones, those with the same amounts first."""
    await connection.execute(
        """
        create temp table known on commit drop as
        select id, identity, likeness, state = 'closed' as closed, closed_at from reconciliation_breaks
        where entity = $1 and reconciliation = $2 and identity in (select identity from incoming)
        """,
        which.entity,
        which.reconciliation,
        timeout=_LONG,
    )
    await connection.execute("analyze known")
    for closed in (False, True):
        for named in ("identity, likeness", "identity"):
            await connection.execute(
                f"""
                insert into paired
                select fresh.id, old.break_id
                from (
                    select id, identity, likeness, row_number() over (partition by {named} order by number) as place
                    from incoming i where not exists (select from paired p where p.id = i.id)
                ) fresh join (
                    select id as break_id, identity, likeness,
                        row_number() over (partition by {named} order by closed_at desc nulls last, id) as place
                    from known k where closed = $1 and not exists (select from paired p where p.break_id = k.id)
                ) old using ({named}, place)
                """,
                closed,
                timeout=_LONG,
            )
    await connection.execute("analyze paired")


async def missing(connection: Connection, which: Which) -> Any:
    """The breaks that stand and that the run did not find, some thousand at a time."""
    cursor = connection.cursor(
        """
        select id, left_name, right_name from reconciliation_breaks b
        where entity = $1 and reconciliation = $2 and state <> 'closed'
            and not exists (select from paired p where p.break_id = b.id)
        """,
        which.entity,
        which.reconciliation,
        prefetch=_PAGE,
    )
    page: list[Missing] = []
    async for row in cursor:
        page.append(Missing(row["id"], row["left_name"], row["right_name"]))
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


async def take_resolved(connection: Connection, pages: Iterator[Sequence[tuple[UUID, str]]]) -> None:
    """Note of which missing breaks the run says that they are none any more."""
    for page in pages:
        await connection.copy_records_to_table("resolved", records=page, timeout=_LONG)
    await connection.execute("create index on resolved (break_id); analyze resolved")


async def carry_over(connection: Connection, which: Which) -> dict[str, int]:
    """Bring the breaks to what the run found, with notes of what changed; returns how many became what."""
    await _note_changes(connection, which)
    counts = await _again(connection, which)
    counts |= await _fresh(connection, which)
    counts |= await _gone(connection, which)
    return counts


async def _note_changes(connection: Connection, which: Which) -> None:
    """The story of each break that comes back, or whose amount is another; before the break itself is changed."""
    await connection.execute(
        f"""
        insert into reconciliation_break_notes (break_id, principal, action, note, detail)
        select b.id, $1,
            case when b.state = 'closed' then 'come_back' when b.state = 'accepted' then 'acceptance_lapsed'
                 else 'amount_changed' end,
            case when b.state = 'closed' then 'found again after it was closed'
                 when b.state = 'accepted' then 'the amount is another than the one that ' || b.accepted_by || ' accepted'
                 else 'the amount is another than in the run before' end,
            jsonb_build_object('run_id', $2::uuid, 'acceptance', b.acceptance, 'accepted_by', b.accepted_by,
                'was', jsonb_build_object('money_at_risk', b.money_at_risk, 'amount_difference', b.amount_difference,
                                          'currency', b.currency),
                'is', jsonb_build_object('money_at_risk', i.money_at_risk, 'amount_difference', i.amount_difference,
                                         'currency', i.currency))
        from incoming i join paired p on p.id = i.id join reconciliation_breaks b on b.id = p.break_id
        where b.state = 'closed' or {_AMOUNT_CHANGED}
        """,
        SYSTEM,
        which.run_id,
        timeout=_LONG,
    )


async def _again(connection: Connection, which: Which) -> dict[str, int]:
    """Breaks that were known: what the run says of them is new, what people said of them stays, but for a lapsed acceptance."""
    row = await connection.fetchrow(
        f"""
        with before as (
            select b.id, p.id as incoming_id, b.state, {_AMOUNT_CHANGED} as changed
            from incoming i join paired p on p.id = i.id join reconciliation_breaks b on b.id = p.break_id
        ), kept as (
            insert into reconciliation_findings (run_id, break_id, found, cause_kind, cause, currency, money_at_risk,
                                                 amount_difference)
            select $1, b.id, case when b.state = 'closed' then 'come_back' else 'again' end, i.cause_kind, i.cause,
                i.currency, i.money_at_risk, i.amount_difference
            from incoming i join before b on b.incoming_id = i.id
        ), done as (
            update reconciliation_breaks b set
                likeness = i.likeness, differs = i.differs, cause_kind = i.cause_kind, cause = i.cause,
                confidence = i.confidence, evidence = i.evidence, correction = i.correction, currency = i.currency,
                money_at_risk = i.money_at_risk, amount_difference = i.amount_difference,
                left_record = jsonb_strip_nulls(i.left_record), right_record = jsonb_strip_nulls(i.right_record),
                state = case when before.state = 'accepted' and not before.changed then 'accepted' else 'open' end,
                lapsed = case when before.state = 'accepted' and before.changed then jsonb_build_object(
                    'accepted_by', b.accepted_by, 'accepted_at', b.accepted_at, 'acceptance', b.acceptance,
                    'money_at_risk', b.money_at_risk, 'amount_difference', b.amount_difference, 'currency', b.currency,
                    'run_id', $1::uuid) else b.lapsed end,
                accepted_by = case when before.changed then null else b.accepted_by end,
                accepted_at = case when before.changed then null else b.accepted_at end,
                acceptance = case when before.changed then null else b.acceptance end,
                last_run_id = $1, absent_since = null, closed_run_id = null, closed_at = null, resolution = null,
                version = b.version + (before.changed or before.state = 'closed' or b.absent_since is not null)::integer
            from incoming i join before on before.incoming_id = i.id
            where b.id = before.id
        )
        select count(*) filter (where state <> 'closed') as again, count(*) filter (where state = 'closed') as come_back,
            count(*) filter (where state = 'accepted' and changed) as lapsed
        from before
        """,
        which.run_id,
        timeout=_LONG,
    )
    return dict(row or {})


async def _fresh(connection: Connection, which: Which) -> dict[str, int]:
    """Breaks that nobody knew."""
    count = await connection.fetchval(
        """
        with made as (
            insert into reconciliation_breaks (id, entity, reconciliation, identity, likeness, class, side, name, left_name,
                right_name, differs, cause_kind, cause, confidence, evidence, correction, currency, money_at_risk,
                amount_difference, left_record, right_record, first_run_id, first_run_at, last_run_id)
            select id, $1, $2, identity, likeness, class, side, coalesce(left_name, right_name, '(no key)'), left_name,
                right_name, differs, cause_kind, cause, confidence, evidence, correction, currency, money_at_risk,
                amount_difference, jsonb_strip_nulls(left_record), jsonb_strip_nulls(right_record), $3, now(), $3
            from incoming i where not exists (select from paired p where p.id = i.id)
            returning id, cause_kind, cause, currency, money_at_risk, amount_difference
        ), found as (
            insert into reconciliation_findings (run_id, break_id, found, cause_kind, cause, currency, money_at_risk,
                                                 amount_difference)
            select $3, id, 'new', cause_kind, cause, currency, money_at_risk, amount_difference from made
            returning 1
        )
        select count(*) from found
        """,
        which.entity,
        which.reconciliation,
        which.run_id,
        timeout=_LONG,
    )
    return {"new": int(count)}


async def _gone(connection: Connection, which: Which) -> dict[str, int]:
    """Breaks that the run did not find: closed where it says why, else still there and marked as absent."""
    row = await connection.fetchrow(
        """
        with closed as (
            update reconciliation_breaks b set state = 'closed', resolution = r.resolution, closed_run_id = $3,
                closed_at = now(), accepted_by = null, accepted_at = null, acceptance = null, absent_since = null,
                version = b.version + 1
            from resolved r where b.id = r.break_id
            returning b.id, b.resolution
        ), told as (
            insert into reconciliation_break_notes (break_id, principal, action, note, detail)
            select id, $4, 'close', case when resolution = 'matched' then 'closed by a later match'
                else 'closed: what it is about differs otherwise now' end, jsonb_build_object('run_id', $3::uuid)
            from closed
        ), absent as (
            update reconciliation_breaks b set last_run_id = $3, absent_since = coalesce(b.absent_since, $3),
                version = b.version + (b.absent_since is null)::integer
            where b.entity = $1 and b.reconciliation = $2 and b.state <> 'closed'
                and b.last_run_id <> $3 and not exists (select from resolved r where r.break_id = b.id)
            returning b.id, b.cause_kind, b.cause, b.currency, b.money_at_risk, b.amount_difference
        ), carried as (
            insert into reconciliation_findings (run_id, break_id, found, cause_kind, cause, currency, money_at_risk,
                                                 amount_difference)
            select $3, id, 'absent', cause_kind, cause, currency, money_at_risk, amount_difference from absent
            returning 1
        )
        select (select count(*) from closed where resolution = 'matched') as matched,
            (select count(*) from closed where resolution <> 'matched') as differs_otherwise,
            (select count(*) from carried) as absent
        """,
        which.entity,
        which.reconciliation,
        which.run_id,
        SYSTEM,
        timeout=_LONG,
    )
    return dict(row or {})


def standing(counts: Mapping[str, int]) -> int:
    """How many breaks stand after a run."""
    return counts["again"] + counts["come_back"] + counts["new"] + counts["absent"]
