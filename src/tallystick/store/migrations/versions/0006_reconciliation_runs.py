"""Reconciliations that are kept: each run with its inputs, and every break with its story from run to run."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables of runs, breaks, what each run found, and what was done about a break."""
    # `period` is there while the run is prepared or signed off for it, so a period has one run and one only.
    op.execute("""
    create table reconciliation_runs (
        id uuid primary key,
        entity text not null,
        reconciliation text not null,
        number integer not null,
        rules_version integer not null,
        rules_hash text not null,
        inputs jsonb not null,
        summary jsonb not null,
        breaks integer not null,
        carried jsonb not null,
        run_by text not null,
        started_at timestamptz not null,
        kept_at timestamptz not null default now(),
        state text not null default 'kept' check (state in ('kept', 'prepared', 'signed_off')),
        period text,
        statement text,
        allowed jsonb,
        unexplained jsonb,
        prepared_by text,
        prepared_at timestamptz,
        signed_by text,
        signed_at timestamptz,
        reopened_by text,
        reopened_at timestamptz,
        reopen_reason text,
        version integer not null default 1,
        unique (entity, reconciliation, number),
        check ((period is null) = (state = 'kept'))
    )
    """)
    op.execute("""
    create unique index reconciliation_runs_period on reconciliation_runs (entity, reconciliation, period)
        where period is not null
    """)
    # One row a break, however many runs find it. `identity` names what breaks (side, keys, class), `likeness` also how much of
    # it: where one key breaks several times, those with the same amounts are the same break.
    op.execute("""
    create table reconciliation_breaks (
        id uuid primary key,
        entity text not null,
        reconciliation text not null,
        identity text not null,
        likeness text not null,
        class text not null,
        side text not null check (side in ('left', 'right', 'both')),
        name text not null,
        left_name text,
        right_name text,
        differs text not null,
        cause_kind text,
        cause text,
        confidence double precision,
        evidence text,
        correction text,
        currency text,
        money_at_risk bigint not null,
        amount_difference bigint,
        left_record jsonb not null,
        right_record jsonb not null,
        state text not null default 'open' check (state in ('open', 'accepted', 'closed')),
        owner text,
        explained_kind text check (explained_kind in ('data_quality', 'process_design', 'missing_api', 'weak_orchestration')),
        explanation text,
        explained_by text,
        explained_at timestamptz,
        accepted_by text,
        accepted_at timestamptz,
        acceptance text,
        lapsed jsonb,
        first_run_id uuid not null,
        first_run_at timestamptz not null,
        last_run_id uuid not null,
        absent_since uuid,
        closed_run_id uuid,
        closed_at timestamptz,
        resolution text check (resolution in ('matched', 'differs_otherwise')),
        version integer not null default 1,
        check ((state = 'closed') = (closed_run_id is not null)),
        check ((state = 'accepted') = (accepted_by is not null))
    )
    """)
    op.execute(
        "create index reconciliation_breaks_identity on reconciliation_breaks (entity, reconciliation, identity)"
    )
    op.execute("""
    create index reconciliation_breaks_standing on reconciliation_breaks (entity, reconciliation) where state <> 'closed'
    """)
    op.execute("create index reconciliation_breaks_money on reconciliation_breaks (money_at_risk, id)")
    op.execute("create index reconciliation_breaks_age on reconciliation_breaks (first_run_at, id)")
    # What a run said of a break; the columns after `found` are how it stood when the run was prepared for a period.
    op.execute("""
    create table reconciliation_findings (
        run_id uuid not null,
        break_id uuid not null,
        found text not null check (found in ('new', 'again', 'come_back', 'absent')),
        cause_kind text,
        cause text,
        currency text,
        money_at_risk bigint not null,
        amount_difference bigint,
        state text,
        owner text,
        explained_kind text,
        explanation text,
        accepted_by text,
        acceptance text,
        resolution text,
        break_version integer,
        primary key (run_id, break_id)
    )
    """)
    op.execute("""
    create table reconciliation_break_notes (
        id bigint generated always as identity primary key,
        break_id uuid not null,
        at timestamptz not null default now(),
        principal text not null,
        action text not null,
        note text,
        detail jsonb
    )
    """)
    op.execute("create index reconciliation_break_notes_of on reconciliation_break_notes (break_id, id)")
